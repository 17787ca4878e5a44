package cache

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

var sweepStride = flag.Int("cache.sweep", 15, "fail every so manieth call only; 1: each")

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
				sweepCalls(t, int(when), *sweepStride, func(t *testing.T, n int) bool {
					return runSweep(t, remotetest.Fault{Nth: n, Forever: forever, Kind: s3backend.Busy, When: when})
				})
			})
		}
	}
}

// sweepCalls runs a program for n = 1, 2, 3 … until n is more than its calls,
// leaving out some if the flag says so.
func sweepCalls(t *testing.T, start, stride int, run func(t *testing.T, n int) (reached bool)) {
	reached := true
	for n := 1 + start%stride; reached; n += stride {
		t.Run(fmt.Sprint(n), func(t *testing.T) { reached = run(t, n) })
	}
}

// TestKillAtEveryCall kills the daemon while a call is under way, applied or
// not, and goes on with what is on its disk. The second half of the program is
// run before the kill or after it.
func TestKillAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("applied %v, second half before %v", applied, early), func(t *testing.T) {
				t.Parallel()
				sweepCalls(t, 0, *sweepStride, func(t *testing.T, n int) bool { return runKill(t, n, applied, early) })
			})
		}
	}
}

// runKill reports whether the n-th call came.
func runKill(t *testing.T, n int, applied, early bool) bool {
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: sweepParts})
	last := &lastCall{Memory: mem, applied: applied, came: make(chan struct{}), over: make(chan struct{})}
	b := newBench(t, func(c *Config) { c.PartSize, c.Remote, c.MaxUploads = sweepParts, last, 1 }).on(mem)
	s := &sweep{bench: b, want: map[string]string{}, dirs: map[string]bool{}}
	s.prepare()
	s.first()
	last.left.Store(int64(n))
	reached := true
	select {
	case <-last.came:
	case <-s.queue.waitFor(nil).done:
		reached = false
	}
	if reached && early {
		s.second()
	}
	s.bench = b.crash(func(c *Config) { c.Remote = mem })
	b.stop()
	close(last.over)
	if !reached || !early {
		s.second()
	}
	s.settle()
	s.noConflicts()
	s.check()
	return reached
}

// unused reports whether no file is held in memory.
func (b *bench) unused() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.Cache.files) == 0
}

// A lastCall is a bucket that does not answer any more from some call on,
// which is applied or not.
type lastCall struct {
	*remotetest.Memory
	left       atomic.Int64 // calls until then; 0: never
	applied    bool
	came, over chan struct{}
}

func (l *lastCall) call(do func()) {
	if l.left.Load() == 0 || l.left.Add(-1) > 0 {
		do()
		return
	}
	l.left.Store(1) // the next one neither
	if l.applied {
		do()
	}
	close(l.came)
	<-l.over
}

var errKilled = errors.New("killed")

func (l *lastCall) Put(ctx context.Context, p s3backend.Put) (o s3backend.Object, err error) {
	err = errKilled
	l.call(func() { o, err = l.Memory.Put(ctx, p) })
	return o, err
}

func (l *lastCall) Copy(ctx context.Context, c s3backend.Copy) (o s3backend.Object, err error) {
	err = errKilled
	l.call(func() { o, err = l.Memory.Copy(ctx, c) })
	return o, err
}

func (l *lastCall) Delete(ctx context.Context, ds ...s3backend.Deletion) (errs []error) {
	errs = slices.Repeat([]error{errKilled}, len(ds))
	l.call(func() { errs = l.Memory.Delete(ctx, ds...) })
	return errs
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
	s.old = someBytes(5<<20, 1)
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
	_, err = h.ReadAt(s.t.Context(), p, 4<<20+1000)
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
	s.put1(Root, "b", string(someBytes(600<<10, 2)))
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
	s.put1(Root, "b", string(someBytes(600<<10, 3)))
	s.patch(4<<20+1050, "again")
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
	files := s.files(Root, "")
	for path, body := range files {
		if s.want["p/"+path] != body {
			s.t.Errorf("%s reads %d bytes %.40q", path, len(body), body)
		}
	}
	s.until("the close of every file", s.unused)
	if n := len(files); n != len(s.want) {
		s.t.Errorf("%d files, want %d", n, len(s.want))
	}
}

// TestRandomProgramsWithFaults runs random programs whose writes to the bucket
// fail now and then, mostly with a lost reply.
func TestRandomProgramsWithFaults(t *testing.T) {
	t.Parallel()
	seeds := []uint64{*randomSeed}
	if *randomSeed == 0 {
		seeds = nil
		start := uint64(time.Now().UnixNano())
		for i := range *randomRuns / 3 {
			seeds = append(seeds, start+uint64(i))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			randomWithFaults(t, seed)
		})
	}
}

func randomWithFaults(t *testing.T, seed uint64) {
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: 64 << 10})
	faults := remotetest.NewFaults(mem)
	p := &program{r: rand.New(rand.NewPCG(seed, 8)), files: map[string][]byte{}}
	p.bench = newBench(t, func(c *Config) { c.PartSize, c.Remote = 64<<10, faults }).on(mem)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -cache.seed %d\n%s", seed, strings.Join(p.log, "\n"))
		}
	})
	p.prepare()
	ops := []string{"put", "copy", "delete", "abort", "head"}
	for range *randomSteps {
		if p.r.IntN(8) == 0 {
			f := remotetest.Fault{Op: ops[p.r.IntN(len(ops))], Kind: s3backend.Busy, When: remotetest.When(p.r.IntN(3))}
			if f.Op == "head" {
				f.When = remotetest.Before
			}
			p.note("fault %s %d", f.Op, f.When)
			faults.Fail(f)
		}
		p.step()
		if p.r.IntN(10) == 0 {
			faults.Heal()
		}
	}
	faults.Heal()
	p.check()
	p.drain()
	p.check()
	p.checkBucket()
}
