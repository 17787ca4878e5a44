package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A sweep is one run of a fixed program with a call to the bucket that fails.
type sweep struct {
	*bench
	faults *remotetest.Faults
	old    []byte
	want   map[string]string // by key, of files
	dirs   map[string]bool   // keys of markers
}

// sweepParts is the part size: small, so that one file is sent in parts.
const sweepParts = 256 << 10

// TestEveryCallFailsOnce runs the program again and again, each time with
// another call to the bucket failing: once or from then on, with nothing done
// or only the reply lost.
func TestEveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	for _, when := range []remotetest.When{remotetest.Before, remotetest.Midway, remotetest.After} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("when %d, for ever %v", when, forever), func(t *testing.T) {
				t.Parallel()
				var reached atomic.Bool
				reached.Store(true)
				for n := 1; reached.Load(); n++ {
					t.Run(fmt.Sprint(n), func(t *testing.T) {
						fault := remotetest.Fault{Nth: n, Forever: forever, Kind: s3backend.Busy, When: when}
						reached.Store(runSweep(t, fault))
					})
				}
			})
		}
	}
}

// runSweep reports whether the fault was met.
func runSweep(t *testing.T, fault remotetest.Fault) bool {
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: sweepParts})
	faults := remotetest.NewFaults(mem)
	b := newBench(t, func(c *Config) { c.PartSize, c.Remote = sweepParts, faults }).on(mem)
	s := &sweep{bench: b, faults: faults, want: map[string]string{}, dirs: map[string]bool{}}
	s.prepare()
	before := faults.Calls()
	faults.Fail(fault)
	met := func() bool { return faults.Calls()-before >= fault.Nth }
	s.first()
	s.push(met)
	s.second()
	s.push(met)
	if fault.Nth%2 == 0 {
		s.reopen()
	}
	reached := met()
	faults.Heal()
	s.settle()
	s.noConflicts()
	s.check()
	s.reopen()
	s.check()
	return reached
}

func (s *sweep) prepare() {
	s.old = randomBytes(9<<20, 1)
	s.mem.Set("p/old", s.old, nil)
	for _, name := range []string{"meta", "r", "u", "x", "y"} {
		s.mem.Set("p/"+name, []byte("content of "+name), nil)
		s.want["p/"+name] = "content of " + name
	}
	s.mem.Set("p/e/", nil, nil)
	s.listed(Root, "e", "meta", "old", "r", "u", "x", "y")
	s.listed(s.lookup("e"))
	h, err := s.Cache.Open(s.t.Context(), s.lookup("old"), OpenMode{})
	s.ok(err)
	p := make([]byte, 100)
	_, err = h.ReadAt(s.t.Context(), p, 8<<20)
	s.ok(err)
	h.Release()
	s.want["p/old"] = string(s.old)
}

func (s *sweep) put1(dir Ino, path, data string) {
	s.write(dir, path[len(path)-1:], []byte(data))
	s.want["p/"+path] = data
}

func (s *sweep) patch(off int64, data string) {
	h, err := s.Cache.Open(s.t.Context(), s.lookup("old"), OpenMode{Write: true})
	s.ok(err)
	s.put(h, []byte(data), off)
	s.ok(h.Flush(s.t.Context()))
	h.Release()
	s.old = bytes.Clone(s.old)
	copy(s.old[off:], data)
	s.want["p/old"] = string(s.old)
}

func (s *sweep) move(from, to string, exchange bool) {
	s.ok(s.Rename(s.t.Context(), Rename{OldParent: Root, OldName: from, NewParent: Root, NewName: to, Exchange: exchange}))
	a, z := "p/"+from, "p/"+to
	if exchange {
		s.want[a], s.want[z] = s.want[z], s.want[a]
		return
	}
	s.want[z] = s.want[a]
	delete(s.want, a)
}

func (s *sweep) remove1(dir Ino, path string) {
	s.ok(s.Unlink(s.t.Context(), dir, path[len(path)-1:]))
	delete(s.want, "p/"+path)
}

// first changes everything once.
func (s *sweep) first() {
	ctx := s.t.Context()
	s.put1(Root, "a", "first content")
	s.put1(Root, "b", string(randomBytes(600<<10, 2)))
	s.patch(100, "patched")
	mode := uint32(0o711)
	_, err := s.SetAttr(ctx, s.lookup("meta"), AttrChange{Mode: &mode})
	s.ok(err)
	s.move("r", "s", false)
	s.move("x", "y", true)
	s.remove1(Root, "u")
	d, err := s.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o750})
	s.ok(err)
	s.put1(d.Ino, "d/f", "in a directory")
	s.dirs["p/d/"] = true
	s.ok(s.Rmdir(ctx, Root, "e"))
}

// second changes again what may have been sent, or not, or without a reply.
func (s *sweep) second() {
	ctx := s.t.Context()
	s.put1(Root, "a", "second")
	s.put1(Root, "b", string(randomBytes(600<<10, 3)))
	s.patch(8<<20+50, "again")
	s.put1(Root, "t", "an editor's save")
	s.move("t", "s", false)
	s.move("x", "z", false)
	s.ok(s.Unlink(ctx, Root, "meta"))
	delete(s.want, "p/meta")
	s.put1(Root, "u", "made again")
	s.remove1(s.lookup("d"), "d/f")
	s.ok(s.Rmdir(ctx, Root, "d"))
	delete(s.dirs, "p/d/")
}

// push sends until nothing is left, or some while after the fault.
func (s *sweep) push(met func() bool) {
	calls := -1
	s.until("the fault or the end", func() bool {
		select {
		case <-s.queue.waitFor(nil).done:
			return true
		case <-time.After(2 * time.Millisecond):
		}
		if !met() {
			return false
		}
		if calls < 0 {
			calls = s.faults.Calls()
		}
		return s.faults.Calls() >= calls+8
	})
}

// settle drains without waiting out the pauses between attempts.
func (s *sweep) settle() {
	s.t.Helper()
	s.until("the end of the queue", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Millisecond)
		defer cancel()
		err := s.Drain(ctx, nil)
		var left *Unfinished
		if err != nil && !errors.As(err, &left) {
			s.t.Fatal(err)
		}
		return err == nil
	})
}

// check compares the bucket and the local view with what was done.
func (s *sweep) check() {
	s.t.Helper()
	all := maps.Clone(s.want)
	for key := range s.dirs {
		all[key] = ""
	}
	s.bucket(all)
	for path, body := range s.files(Root, "") {
		if s.want["p/"+path] != body {
			s.t.Errorf("%s reads %d bytes %.40q", path, len(body), body)
		}
	}
	if n := len(s.files(Root, "")); n != len(s.want) {
		s.t.Errorf("%d files, want %d", n, len(s.want))
	}
}
