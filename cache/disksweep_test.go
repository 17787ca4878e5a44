package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// A badDisk fails from some call on, once or until it is healed.
type badDisk struct {
	mu      sync.Mutex
	calls   int
	nth     int // 0: never
	forever bool
	failed  map[diskOp]int
}

func (d *badDisk) fails(op diskOp) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.nth == 0 || d.calls < d.nth || d.calls > d.nth && !d.forever {
		return nil
	}
	d.failed[op]++
	return fmt.Errorf("%s: %w", op, unix.EIO)
}

// arm has the n-th call from now on fail; 0: none.
func (d *badDisk) arm(nth int, forever bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.nth, d.forever = 0, nth, forever
}

func (d *badDisk) met() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.failed) > 0
}

// A diskSweep is one run of a fixed program with a call to the disk that fails.
type diskSweep struct {
	*bench
	disk *badDisk
	old  []byte
	want map[string]string
}

// TestEveryDiskCallFails runs the program again and again, each time with
// another call to the cache's disk failing, once or until somebody noticed. An
// operation either fails or is done; done again it succeeds; and what is in the
// bucket and here in the end is as if nothing had failed.
func TestEveryDiskCallFails(t *testing.T) {
	t.Parallel()
	for _, forever := range []bool{false, true} {
		t.Run(fmt.Sprintf("for ever %v", forever), func(t *testing.T) {
			t.Parallel()
			start, stride := 0, *sweepStride
			if stride > 1 {
				stride *= 3 // the disk is called more often than the bucket
			}
			if forever {
				start = stride / 2
			}
			failed := map[diskOp]int{}
			sweepCalls(t, start, stride, func(t *testing.T, n int) bool { return runDiskSweep(t, n, forever, failed) })
			t.Logf("calls that failed: %v", failed)
			if *sweepStride == 1 && len(failed) < 6 {
				t.Errorf("only these calls have failed: %v", failed)
			}
		})
	}
}

func runDiskSweep(t *testing.T, nth int, forever bool, failed map[diskOp]int) (reached bool) {
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: sweepParts})
	s := &diskSweep{disk: &badDisk{failed: map[diskOp]int{}}, want: map[string]string{}}
	s.bench = newBench(t, func(c *Config) {
		c.PartSize, c.Remote, c.diskFails = sweepParts, mem, s.disk.fails
		c.Size, c.ReadAhead = 9<<20, 0
	}).on(mem)
	s.old = someBytes(5<<20, 1)
	mem.Set("p/old", s.old, nil)
	mem.Set("p/r", someBytes(3<<20, 2), nil)
	s.want["p/r"] = string(someBytes(3<<20, 2))
	s.listed(Root, "old", "r")
	s.disk.arm(nth, forever)
	s.program()
	s.drainPast()
	if nth%2 == 0 {
		if err := s.Cache.Close(); err != nil && !errors.Is(err, unix.EIO) { // what could not be made durable
			s.t.Fatal(err)
		}
		s.open()
	}
	s.second()
	s.drainPast()
	reached = s.disk.met()
	s.disk.arm(0, false)
	for op, n := range s.disk.failed {
		failed[op] += n
	}
	s.ok(s.drainSoon())
	s.check()
	s.reopen()
	s.check()
	return reached
}

// do carries an operation out; if the disk fails, again on one that works.
func (s *diskSweep) do(what string, op func() error) {
	s.t.Helper()
	err := op()
	if err == nil {
		return
	}
	if !errors.Is(err, unix.EIO) {
		s.t.Fatalf("%s: %v", what, err)
	}
	s.disk.arm(0, false)
	if err := op(); err != nil {
		s.t.Fatalf("%s, again: %v", what, err)
	}
}

// drainPast sends what can be sent while the disk is as it is.
func (s *diskSweep) drainPast() {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*retryFirst)
	defer cancel()
	var left *Unfinished
	if err := s.Drain(ctx, nil); err != nil && !errors.As(err, &left) && !errors.Is(err, unix.EIO) {
		s.t.Fatal(err)
	}
}

// edit opens a file, changes it and closes it.
func (s *diskSweep) edit(name string, m OpenMode, change func(ctx context.Context, h *Handle) error) {
	s.t.Helper()
	ctx := s.t.Context()
	s.do(name, func() error {
		var h *Handle
		a, err := s.Lookup(ctx, Root, name)
		if errors.Is(err, ErrNotExist) {
			_, h, err = s.Create(ctx, Root, name, New{Mode: 0o600})
		} else if err == nil {
			h, err = s.Cache.Open(ctx, a.Ino, m)
		}
		if err != nil {
			return err
		}
		defer h.Release()
		return errors.Join(change(ctx, h), h.Flush(ctx))
	})
}

func (s *diskSweep) whole(name string, data []byte) {
	s.t.Helper()
	s.edit(name, OpenMode{Write: true, Truncate: true}, func(ctx context.Context, h *Handle) error {
		for off := 0; off < len(data); off += 256 << 10 {
			if _, err := h.WriteAt(ctx, data[off:min(off+256<<10, len(data))], int64(off)); err != nil {
				return err
			}
		}
		return h.Sync(ctx)
	})
	s.want["p/"+name] = string(data)
}

func (s *diskSweep) patch(data string, off int) {
	s.t.Helper()
	s.edit("old", OpenMode{Write: true}, func(ctx context.Context, h *Handle) error {
		_, err := h.WriteAt(ctx, []byte(data), int64(off))
		return err
	})
	s.old = bytes.Clone(s.old)
	copy(s.old[off:], data)
}

func (s *diskSweep) resize(size int) {
	s.t.Helper()
	n := int64(size)
	s.do("resize", func() error {
		_, err := s.SetAttr(s.t.Context(), s.lookup("old"), AttrChange{Size: &n})
		return err
	})
	s.old = append(bytes.Clone(s.old[:min(size, len(s.old))]), make([]byte, max(0, size-len(s.old)))...)
}

func (s *diskSweep) program() {
	s.whole("a", []byte("first content"))
	s.whole("b", someBytes(600<<10, 3))
	s.patch("patched", 100)
	s.edit("old", OpenMode{Write: true}, func(ctx context.Context, h *Handle) error {
		return h.Allocate(ctx, 1<<20, 64<<10, AllocatePunch)
	})
	s.old = bytes.Clone(s.old)
	clear(s.old[1<<20 : 1<<20+64<<10])
	s.want["p/old"] = string(s.old)
	s.reads("old") // all of it is here
	s.resize(4<<20 + 1000)
	s.resize(4<<20 + 500000) // what was cut is zeros now
	s.reads("r")
}

// second changes what may have been sent, while some of it is being sent.
func (s *diskSweep) second() {
	s.reads("r")
	s.whole("b", someBytes(500<<10, 4))
	s.patch("again", 2<<20)
	s.whole("a", []byte("second"))
	s.reads("b")
	s.want["p/old"] = string(s.old)
}

func (s *diskSweep) reads(name string) {
	s.t.Helper()
	s.do("read "+name, func() error {
		got, err := s.tryRead(Root, name)
		if err == nil && string(got) != s.want["p/"+name] {
			s.t.Fatalf("%s reads other bytes, %d of them", name, len(got))
		}
		return err
	})
}

func (s *diskSweep) check() {
	s.t.Helper()
	s.noConflicts()
	s.bucket(s.want)
	for name, body := range s.files(Root, "") {
		if s.want["p/"+name] != body {
			s.t.Errorf("%s reads %d bytes that are others", name, len(body))
		}
	}
}
