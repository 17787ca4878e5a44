package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorfs/moorfs/tests/harness"
)

// A run is one work on one subject, once.
type run struct {
	lab     *lab
	work    *work
	kind    kind
	net     *network   // nil on the local disk
	client  *s3.Client // around the proxy
	bucket  string     // empty on the local disk
	source  string     // the fixture's files on the local disk
	dir     string     // of this run: mountpoint, cache
	subject *subject
	before  map[string]object // the bucket's, for works that change it
	again   bool              // not the first run
	fig     figure
}

// own is when a work of moorfs or of a reference is given up as hung.
const ownLimit = 5 * time.Minute

// measure does a work once. Runs after the first differ in that nobody waits
// until time alone has brought all to the bucket.
func (l *lab) measure(w *work, net string, k kind, again int) (figure, error) {
	r := &run{lab: l, work: w, kind: k, dir: harness.Dir(l.t), again: again > 0 || l.s.quick}
	err := r.place(net)
	if err == nil && k.bare {
		err = r.doBare()
	} else if err == nil {
		err = r.doMounted()
	}
	return r.fig, errors.Join(err, r.clear())
}

func (r *run) doMounted() error {
	if r.work.pages > 0 && !r.lab.s.quick {
		if err := settleMemory(r.dir, r.work.pages); err != nil {
			return err
		}
	}
	if err := r.start(); err != nil {
		return err
	}
	err := r.measured()
	if err == nil {
		err = r.compare()
	}
	if r.subject == nil { // the work itself mounts, and failed
		return err
	}
	return errors.Join(err, r.subject.stop())
}

// start mounts the subject.
func (r *run) start() (err error) {
	r.subject, err = r.kind.start(r)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// remount ends the subject's mount and makes it again with the same cache.
func (r *run) remount() error {
	if err := r.subject.stop(); err != nil {
		return err
	}
	return r.start()
}

// measured does what is before, and the work.
func (r *run) measured() error {
	if r.work.warm != nil {
		if err := r.work.warm(r); err != nil {
			return fmt.Errorf("before: %w", err)
		}
	}
	if r.work.cold && !r.lab.s.quick {
		if err := dropPages(); err != nil {
			return err
		}
	}
	if r.net != nil {
		r.net.reset()
	}
	pid, before := r.subject.pid, usageOf(r.subject.pid)
	start := time.Now()
	if err := r.work.act(r); err != nil {
		return err
	}
	if r.fig.Returned == 0 { // the work did not measure it better
		r.fig.Returned = time.Since(start).Seconds()
	}
	if r.net == nil {
		return nil
	}
	if r.work.changes {
		start = time.Now()
		if err := r.flush(); err != nil {
			return err
		}
		if !r.hurries() {
			r.fig.InBucket = r.fig.Returned + time.Since(start).Seconds()
		}
	}
	after := usageOf(r.subject.pid)
	r.fig.RSS, r.fig.CPU = after.peak, after.cpu
	if r.subject.pid == pid {
		r.fig.CPU -= before.cpu
	}
	r.count()
	return nil
}

// count takes the requests since the last reset.
func (r *run) count() {
	r.fig.Requests = r.net.proxy.Counts()
	r.fig.Sent, r.fig.Fetched = r.net.sent.Load(), r.net.received.Load()
}

// flush returns when all that was written is in the bucket.
func (r *run) flush() error {
	switch {
	case r.net == nil:
		return nil
	case r.subject.flush != nil:
		return r.subject.flush()
	case r.hurries():
		return r.subject.hurry()
	}
	return r.awaitBucket()
}

// hurries reports whether the subject is not left to its own delay.
func (r *run) hurries() bool { return r.again && r.subject.hurry != nil }

// doBare does the work with nothing but the SDK.
func (r *run) doBare() error {
	if r.work.limit == nil {
		return fmt.Errorf("%s has no limit", r.work.name)
	}
	b := &bare{client: newClient(r.net.proxy.URL), bucket: r.bucket, files: r.source, s: r.lab.s.Sizes, fig: &r.fig}
	if err := b.prepare(r); err != nil {
		return err
	}
	r.net.reset()
	start := time.Now()
	if err := r.work.limit(context.Background(), b); err != nil {
		return err
	}
	r.fig.Returned = time.Since(start).Seconds()
	r.count()
	if !r.work.changes {
		return nil
	}
	r.fig.InBucket = r.fig.Returned
	return r.compareBucket()
}

// path returns a path within the mount.
func (r *run) path(name ...string) string {
	return filepath.Join(append([]string{r.subject.dir}, name...)...)
}

// errPatience is what a subject gets that takes too long.
var errPatience = errors.New("took too long")

// exec runs a program that uses the mount. It has nothing of our environment.
func (r *run) exec(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(cmd.Env, append(harness.Environ(), "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")...)
	limit := ownLimit
	if r.kind.peer != "" {
		limit = r.lab.s.patience
	}
	if err := harness.Spawn(cmd); err != nil {
		return err
	}
	var late atomic.Bool
	timer := time.AfterFunc(limit, func() {
		late.Store(true)
		if r.subject.hung != nil {
			r.lab.t.Logf("%s hangs: %s", r.work.name, r.subject.hung())
		}
		if err := harness.Abort(r.dir); err != nil {
			r.lab.t.Logf("%v", err)
		}
		_ = cmd.Process.Kill() // it may have ended
	})
	err := cmd.Wait()
	timer.Stop()
	if late.Load() {
		return fmt.Errorf("%s: %w: more than %v", filepath.Base(cmd.Path), errPatience, limit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, tail(stderr.String()))
	}
	return nil
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// command runs a program by its name, its output unread.
func (r *run) command(name string, args ...string) error { return r.exec(exec.Command(name, args...)) }

// exercise runs one of our own programs and returns what it found.
func (r *run) exercise(name string, args ...any) (answer, error) {
	self, err := os.Executable()
	if err != nil {
		return answer{}, err
	}
	cmd := exec.Command(self, name)
	for _, a := range args {
		cmd.Args = append(cmd.Args, fmt.Sprint(a))
	}
	cmd.Env = []string{childEnv + "=exercise"}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := r.exec(cmd); err != nil {
		return answer{}, err
	}
	var a answer
	return a, json.Unmarshal(out.Bytes(), &a)
}

// timed is exercise for the program that is measured: by itself, without what
// its start takes.
func (r *run) timed(name string, args ...any) error {
	a, err := r.exercise(name, args...)
	r.fig.Returned, r.fig.First = a.Seconds, a.First
	return err
}

// dropPages makes the kernel forget the page cache, of the mounts and of the
// data files below them.
func dropPages() error {
	syscall.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return fmt.Errorf("dropping the page cache (needs root): %w", err)
	}
	return nil
}

// settleMemory makes the kernel have so much free memory that was used before.
func settleMemory(dir string, bytes int64) error {
	syscall.Sync()
	f, err := os.CreateTemp(dir, "pages-")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, bytes)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
