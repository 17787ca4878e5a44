package exercise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// event does a step that is more than system calls.
func (r *run) event(s step) error {
	switch s.Do {
	case flush:
		return r.flush()
	case sending:
		if r.sent == nil {
			r.sent = make(chan error, 1)
			go func(done chan<- error) { done <- r.runFlush() }(r.sent)
		}
		return nil
	case peek:
		return r.peek(s.File)
	case evict:
		return r.evict()
	case remount:
		return errors.Join(r.unmount(), r.mountAgain())
	case fresh:
		return r.fresh()
	case crash:
		return r.crash()
	}
	return r.foreign(s)
}

func (r *run) runFlush() error {
	if status, out := r.m.Run(flushLimit, "flush", r.m.Dir); status != 0 {
		return fmt.Errorf("moorfs flush: status %d: %s", status, out)
	}
	return nil
}

// join waits for the flush that is going on.
func (r *run) join() error {
	if r.sent == nil {
		return nil
	}
	err := <-r.sent
	r.sent = nil
	return err
}

// flush brings everything to the bucket and compares. Stores through maps are
// made known to the daemon first.
func (r *run) flush() error {
	for _, m := range slices.Sorted(maps.Keys(r.sh.maps)) {
		if r.sh.maps[m].how != "shared" {
			continue
		}
		if err := r.step(step{Do: msync, M: m}); err != nil {
			return err
		}
	}
	if err := errors.Join(r.join(), r.runFlush()); err != nil {
		return err
	}
	r.sh.sharpen()
	return r.compareBucket()
}

// peek looks at an object, whatever goes on: it must be a state that some file
// had at some moment.
func (r *run) peek(name string) error {
	_, body, err := r.s3.Raw.Get(context.Background(), folder+"/"+name)
	if s3test.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(body) <= statesUpTo && !r.sh.blurred[name] && !r.sh.had(body) {
		return fmt.Errorf("the object has %d bytes that no file ever had; now it has: %s", len(body),
			difference(body, r.sh.names[name].bytes()))
	}
	return nil
}

func (c *content) bytes() []byte {
	if c == nil {
		return nil
	}
	return c.data
}

// evict reads other files until the cache had to give these up.
func (r *run) evict() error {
	if !r.set.evicts {
		return nil
	}
	for i, filler := range fillers {
		got, err := r.hands.do(step{Do: whole, File: "../" + filler, N: 1 << 20})
		if err != nil {
			return err
		}
		if d := difference(got.Data, filling(uint64(i+1), fillerSize)); d != "" || got.Errno != 0 {
			return fmt.Errorf("reading %s: %w, %s", filler, errnoOf(got), d)
		}
	}
	return nil
}

// unmount closes what is open, and unmounts, which sends everything.
func (r *run) unmount() error {
	for _, m := range slices.Sorted(maps.Keys(r.sh.maps)) {
		if err := r.step(step{Do: munmap, M: m}); err != nil {
			return err
		}
	}
	for _, h := range slices.Sorted(maps.Keys(r.sh.slots)) {
		if err := r.step(step{Do: closing, H: h}); err != nil {
			return err
		}
	}
	if err := errors.Join(r.join(), r.hands.end()); err != nil {
		return err
	}
	r.sh.sharpen()
	return r.m.Unmount()
}

// mountAgain mounts with the cache there is, and looks at the sizes: reading
// everything would fill the cache.
func (r *run) mountAgain() error {
	if err := r.mount(); err != nil {
		return err
	}
	for _, name := range fileNames {
		if err := r.step(step{Do: stat, File: name}); err != nil {
			return fmt.Errorf("stat %s: %w", name, err)
		}
	}
	return nil
}

// fresh mounts with an empty cache: all comes from the bucket.
func (r *run) fresh() error {
	if err := errors.Join(r.unmount(), r.compareBucket()); err != nil {
		return err
	}
	if err := os.RemoveAll(r.m.Cache); err != nil {
		return err
	}
	r.cache++
	return r.mountAgain()
}

// crash kills the daemon and looks what is left. From then on that is what the
// files hold.
func (r *run) crash() error {
	if err := r.m.Die(); err != nil {
		return err
	}
	if r.sent != nil {
		<-r.sent // it failed, or was in time
		r.sent = nil
	}
	if err := errors.Join(r.hands.kill(), r.m.Clear(), r.mount()); err != nil {
		return err
	}
	clear(r.sh.slots)
	clear(r.sh.maps)
	for _, name := range fileNames {
		got, err := r.hands.do(step{Do: whole, File: name, N: 1 << 20})
		if err != nil {
			return err
		}
		if err := r.sh.adopt(name, got); err != nil {
			keys, listErr := r.s3.Raw.Keys(context.Background(), folder+"/")
			return fmt.Errorf("%s after the crash: %w; the bucket has %q (%v)", name, err, keys, listErr)
		}
	}
	return nil
}

// adopt compares what a crash left of a file with what it may have left, and
// takes it over.
func (sh *shadow) adopt(name string, got result) error {
	c := sh.names[name]
	if c == nil {
		if got.Errno != syscall.ENOENT {
			return fmt.Errorf("%w, want no such file", errnoOf(got))
		}
		return nil
	}
	if got.Errno != 0 {
		return errnoOf(got)
	}
	if err := c.admits(got.Data); err != nil {
		return err
	}
	sh.names[name] = newContent(got.Data)
	sh.note(sh.names[name])
	if c.mapped {
		sh.blurred[name] = true
	}
	return nil
}

// foreign has another client replace a file that nobody uses.
func (r *run) foreign(s step) error {
	if c := r.sh.names[s.File]; c != nil && r.sh.inUse(c) {
		return nil
	}
	if err := errors.Join(r.join(), r.runFlush()); err != nil {
		return err
	}
	data := filling(s.Fill, s.N)
	if err := r.s3.Raw.Put(context.Background(), folder+"/"+s.File, data, nil); err != nil {
		return err
	}
	before := r.sh.names[s.File].bytes()
	r.sh.names[s.File] = newContent(data)
	r.sh.note(r.sh.names[s.File])
	var failure error
	err := harness.Until(seenLimit, "seeing what another client wrote", func() bool {
		got, err := r.hands.do(step{Do: whole, File: s.File, N: 1 << 20})
		if err == nil && got.Errno == 0 && bytes.Equal(got.Data, data) {
			return true
		}
		// Of a version that is trusted to be there, but is not, nothing can be read.
		late := got.Errno == syscall.ENOENT && before == nil || got.Errno == 0 && bytes.Equal(got.Data, before) || got.Errno == syscall.ESTALE
		if err != nil || !late || !r.set.lazy {
			failure = errors.Join(err, fmt.Errorf("after another client wrote it: %w, %s", errnoOf(got), difference(got.Data, data)))
			return true
		}
		return false
	})
	return errors.Join(err, failure)
}

// abandon leaves nothing of a run that failed.
func (r *run) abandon() {
	if err := errors.Join(r.hands.kill(), r.m.Kill()); err != nil {
		r.t.Logf("after the failure: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "cache-*")); err != nil {
		r.t.Logf("after the failure: %v", err)
	}
}
