package exercise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

const (
	stepLimit  = 40 * time.Second // of one step, until its mount is aborted
	flushLimit = 2 * time.Minute
	seenLimit  = 30 * time.Second // until what others did is seen here
)

// A setting is a way to mount under which every program must show the same.
type setting struct {
	name    string
	server  func(harness.T) *harness.S3
	options []string
	slow    bool // a network that takes time and fails now and then
	lazy    bool // what others did may be seen later
	evicts  bool // the cache is smaller than what is read
	durable bool // close and fsync wait for the bucket
}

// now and soon say when what others did is seen.
var (
	now  = []string{"--attr-ttl", "0s", "--list-ttl", "0s", "--negative-ttl", "0s"}
	soon = []string{"--attr-ttl", "300ms", "--list-ttl", "300ms", "--negative-ttl", "300ms"}
)

var settings = []setting{
	{name: "default", server: harness.Versity, lazy: true, options: soon},
	{name: "tiny", server: harness.Versity, evicts: true, options: slices.Concat(now, []string{"--cache-size", "48MiB", "--read-ahead", "1MiB"})},
	{name: "slow", server: harness.MinIO, slow: true, lazy: true,
		options: slices.Concat(soon, []string{"--write-back", "10ms", "--part-size", "5MiB"})},
	{name: "durable", server: harness.MinIO, durable: true, options: slices.Concat(now, []string{"--durability", "bucket"})},
}

// folder is where in the mount the files of an exercise lie, fillers what is
// read to have them evicted.
const (
	folder     = "x"
	fillerSize = 12 << 20
)

var fillers = []string{"filler/0", "filler/1", "filler/2", "filler/3"}

// A run is one program on one mount.
type run struct {
	t     harness.T
	set   setting
	s3    *harness.S3
	dir   string // of mountpoint and caches
	cache int    // which cache is in use
	m     *harness.Mount
	hands *hands
	sh    *shadow
	sent  chan error // of a flush that is going on; nil: none
}

// An attempt is the T of one run, which may fail without failing the test.
type attempt struct {
	*testing.T
	cleanups []func()
}

func (a *attempt) Cleanup(fn func()) { a.cleanups = append(a.cleanups, fn) }
func (a *attempt) Failed() bool      { return true }

// Errorf only logs: what counts is what the run answers.
func (a *attempt) Errorf(format string, args ...any) { a.Helper(); a.Logf(format, args...) }

func (a *attempt) end() {
	for i := len(a.cleanups) - 1; i >= 0; i-- {
		a.cleanups[i]()
	}
}

// attemptProgram runs a program on a new bucket and returns the number of the
// step that failed, and why.
func attemptProgram(t *testing.T, set setting, program []step) (failed int, err error) {
	t.Helper()
	a := &attempt{T: t}
	defer a.end()
	r := &run{t: a, set: set, s3: set.server(a), dir: harness.Dir(a), sh: newShadow()}
	if err := r.begin(); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\ndaemon: %s", err, r.m.Log())
			r.abandon()
		}
	}()
	for i, s := range program {
		if err := r.m.Within(stepLimit, s.String(), func() error { return r.step(s) }); err != nil {
			return i, fmt.Errorf("step %d, %v: %w", i+1, s, err)
		}
	}
	if err := r.end(); err != nil {
		return len(program) - 1, fmt.Errorf("after the last step: %w", err)
	}
	return 0, nil
}

// begin fills the bucket and mounts.
func (r *run) begin() error {
	if r.set.evicts {
		for i, key := range fillers {
			if err := r.s3.Raw.Put(context.Background(), key, filling(uint64(i+1), fillerSize), nil); err != nil {
				return err
			}
		}
	}
	if err := r.mount(); err != nil {
		return err
	}
	return os.Mkdir(r.m.Path(folder), 0o755)
}

func (r *run) mount() error {
	endpoint := r.s3.Server.URL
	if r.set.slow {
		endpoint = r.s3.Endpoint
		r.s3.Fair() // mounting asks much, one after the other
		defer r.s3.Slow(1)
	}
	m, err := harness.Try(r.t, harness.Spec{Source: "s3://" + r.s3.Bucket, Env: r.s3.Env(), Dir: filepath.Join(r.dir, "mnt"),
		Cache: filepath.Join(r.dir, fmt.Sprintf("cache-%d", r.cache)), Options: append([]string{"--endpoint-url", endpoint}, r.set.options...)})
	if err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	r.m = m
	r.hands, err = startHands(m.Path(folder))
	return err
}

// step does one step, on the mount and in the shadow, and compares.
func (r *run) step(s step) error {
	switch s.Do {
	case flush, sending, peek, evict, remount, fresh, crash, foreign:
		return r.event(s)
	}
	at := r.sh.slots[s.H]
	want, applies := r.sh.apply(s)
	if !applies {
		return nil
	}
	got, err := r.hands.do(s)
	if err != nil {
		return err
	}
	if err := r.compare(s, got, want); err != nil {
		return err
	}
	if r.set.durable && at != nil && at.wrote && (s.Do == closing || s.Do == fsync) {
		at.wrote = false
		return r.isInBucket(at.c)
	}
	return nil
}

func (r *run) compare(s step, got, want result) error {
	switch {
	case got.Errno != want.Errno:
		return fmt.Errorf("%w, want %w", errnoOf(got), errnoOf(want))
	case got.Size != want.Size && usesSlot(s.Do):
		return fmt.Errorf("the file has %d bytes now, want %d", got.Size, want.Size)
	case got.N != want.N:
		return fmt.Errorf("answer %d, want %d", got.N, want.N)
	case !bytes.Equal(got.Data, want.Data):
		return errors.New(difference(got.Data, want.Data))
	case s.Do == holes && want.Errno == 0:
		return r.sh.slots[s.H].c.checkHoles(got.Ranges)
	}
	return nil
}

func errnoOf(r result) error {
	if r.Errno == 0 {
		return errors.New("no error")
	}
	return r.Errno
}

// checkHoles checks that all that is not zero lies in one of the ranges, and
// that they are in order.
func (c *content) checkHoles(ranges []dataRange) error {
	at, size := int64(0), int64(len(c.data))
	for _, d := range append(ranges, dataRange{size, size}) {
		if d.From < at || d.From > size || d.To > size {
			return fmt.Errorf("data from %d to %d of %d bytes, after %d", d.From, d.To, size, at)
		}
		// The kernel does not send stores through a map before it asks.
		if hole := c.data[at:d.From]; !c.mapped && leadingZeros(hole) < len(hole) {
			return fmt.Errorf("a hole from %d to %d, with data at %d", at, d.From, at+int64(leadingZeros(hole)))
		}
		at = d.To
	}
	return nil
}

// isInBucket checks that the object of a file is its content of now.
func (r *run) isInBucket(c *content) error {
	for name, named := range r.sh.names {
		if named != c {
			continue
		}
		_, body, err := r.s3.Raw.Get(context.Background(), folder+"/"+name)
		if err != nil {
			return fmt.Errorf("after close or fsync with --durability bucket: %w", err)
		}
		if d := difference(body, c.data); d != "" {
			return fmt.Errorf("after close or fsync with --durability bucket, the object: %s", d)
		}
	}
	return nil
}

// end closes everything, unmounts and compares the bucket.
func (r *run) end() error {
	if err := r.unmount(); err != nil {
		return err
	}
	return r.compareBucket()
}

// compareBucket compares all objects with the shadow, through a client that
// shares nothing with moorfs.
func (r *run) compareBucket() error {
	objects, err := r.s3.Objects(context.Background(), folder+"/")
	if err != nil {
		return err
	}
	var errs []error
	for name, c := range r.sh.names {
		body, there := objects[folder+"/"+name]
		if !there {
			errs = append(errs, fmt.Errorf("the bucket lacks %s (%d bytes)", name, len(c.data)))
		} else if d := difference(body, c.data); d != "" {
			errs = append(errs, fmt.Errorf("the bucket's %s: %s", name, d))
		}
	}
	for key := range objects {
		if name := strings.TrimPrefix(key, folder+"/"); name != "" && r.sh.names[name] == nil {
			errs = append(errs, fmt.Errorf("the bucket has %s, want nothing", name))
		}
	}
	return errors.Join(errs...)
}
