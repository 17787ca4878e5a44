package exercise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// onBoth runs a test on a mount and on a local disk, which shows that the test
// asks for what local filesystems do. flush brings a mount's files to the
// bucket.
func onBoth(t *testing.T, run func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("local", func(t *testing.T) { run(t, harness.Dir(t)) })
	t.Run("mount", func(t *testing.T) {
		s3 := harness.Versity(t)
		m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(),
			Options: []string{"--endpoint-url", s3.Server.URL}})
		stop := harness.AbortAfter(m.Dir, flushLimit)
		run(t, m.Dir)
		if !stop() {
			t.Errorf("hung; aborted after %v", flushLimit)
		}
	})
}

// A process is a hands process of a test.
type process struct {
	*hands
	t *testing.T
}

func startProcess(t *testing.T, dir string) *process {
	t.Helper()
	h, err := startHands(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{h, t}
	t.Cleanup(func() {
		if err := p.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Logf("ending a process: %v", err)
		}
	})
	return p
}

// does has steps done, which must succeed, and returns what the last one read.
func (p *process) does(lines ...string) []byte {
	p.t.Helper()
	var r result
	for _, line := range lines {
		r = p.try(line)
		if r.Errno != 0 {
			p.t.Fatalf("%s: %v", line, r.Errno)
		}
	}
	return r.Data
}

// fails has a step done that must fail so.
func (p *process) fails(line string, want syscall.Errno) {
	p.t.Helper()
	if r := p.try(line); r.Errno != want {
		p.t.Fatalf("%s: %v, want %v", line, errnoOf(r), want)
	}
}

func (p *process) try(line string) result {
	p.t.Helper()
	s, err := parseStep(line)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := p.do(s)
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	return r
}

// What one process stores through a map, or writes, all others see at once,
// through maps and read(2).
func TestSharedMaps(t *testing.T) {
	onBoth(t, func(t *testing.T, dir string) {
		a, b := startProcess(t, dir), startProcess(t, dir)
		a.does("open file=f h=1 how=bc", "resize h=1 n=10000", "mmap h=1 m=1 n=12288 how=shared")
		b.does("open file=f h=1 how=b", "mmap h=1 m=1 n=12288 how=shared", "mmap h=1 m=2 n=12288 how=private")
		shows := func(p *process, line string, fill uint64, n int64) {
			t.Helper()
			if d := difference(p.does(line), filling(fill, n)); d != "" {
				t.Fatalf("%s: %s", line, d)
			}
		}
		a.does("store m=1 off=4000 n=200 fill=1")
		shows(b, "load m=1 off=4000 n=200", 1, 200)
		shows(b, "load m=2 off=4000 n=200", 1, 200)
		shows(b, "read h=1 off=4000 n=200", 1, 200)
		b.does("write h=1 off=8000 n=300 fill=2")
		shows(a, "load m=1 off=8000 n=300", 2, 300)
		b.does("store m=2 off=0 n=100 fill=3")
		shows(a, "load m=1 off=0 n=100", 0, 100)
		shows(a, "read h=1 off=0 n=100", 0, 100)
		a.does("munmap m=1", "close h=1")
		shows(b, "read h=1 off=4000 n=200", 1, 200)
	})
}

// Two processes store into the same page at the same time: neither loses
// anything to the other.
func TestStoresIntoOnePage(t *testing.T) {
	onBoth(t, func(t *testing.T, dir string) {
		const processes, each = 4, 50
		first := startProcess(t, dir)
		first.does("open file=f h=1 how=bc", "resize h=1 n=4096")
		together(t, processes, func(i int) error {
			h, err := startHands(dir)
			if err != nil {
				return err
			}
			for k := range each + 2 {
				s := step{Do: store, M: 1, Off: int64(k-2)*processes*8 + int64(i)*8, N: 8, Fill: uint64(i + 1)}
				switch k {
				case 0:
					s = step{Do: open, File: "f", H: 1, How: "b"}
				case 1:
					s = step{Do: mmap, H: 1, M: 1, N: 4096, How: "shared"}
				}
				if r, err := h.do(s); err != nil || r.Errno != 0 {
					return errors.Join(err, fmt.Errorf("%v: %w", s, errnoOf(r)))
				}
			}
			return h.end()
		})
		var want []byte
		for range each {
			for i := range processes {
				want = append(want, filling(uint64(i+1), 8)...)
			}
		}
		if d := difference(first.does(fmt.Sprintf("read h=1 n=%d", len(want))), want); d != "" {
			t.Error(d)
		}
	})
}

// Behind the last page of a file there is nothing to load from; in the last
// page there are zeros behind the end.
func TestMapBehindTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, dir string) {
		a, b := startProcess(t, dir), startProcess(t, dir)
		a.does("open file=f h=1 how=bc", "write h=1 n=5000 fill=1", "mmap h=1 m=1 n=16384 how=shared")
		if data := a.does("load m=1 off=5000 n=3192"); leadingZeros(data) < len(data) {
			t.Error("behind the end of the file there is something in its last page")
		}
		a.fails("load m=1 off=8192 n=1", syscall.EFAULT)
		a.fails("store m=1 off=12288 n=1 fill=1", syscall.EFAULT)
		b.does("open file=f h=1 how=b", "resize h=1 n=9000")
		if data := a.does("load m=1 off=8192 n=808"); leadingZeros(data) < len(data) {
			t.Error("a file that grew has something in its new page")
		}
		b.does("resize h=1 n=100")
		a.fails("load m=1 off=4096 n=1", syscall.EFAULT)
		if data := a.does("load m=1 off=100 n=3996"); leadingZeros(data) < len(data) {
			t.Error("what was cut off is still in the page")
		}
	})
}

// together runs fn(0) … fn(n-1) at the same time.
func together(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Eight processes append to one file: no record is lost or torn, and those of
// each are in order.
func TestAppendByProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, dir string) {
		const processes, each, size = 8, 100, 1777
		record := func(i, k int) []byte { return filling(uint64(1+i*each+k), size) }
		together(t, processes, func(i int) error {
			h, err := startHands(dir)
			if err != nil {
				return err
			}
			if r, err := h.do(step{Do: open, File: "log", H: 1, How: "wca"}); err != nil || r.Errno != 0 {
				return errors.Join(err, errnoOf(r))
			}
			for k := range each {
				if r, err := h.do(step{Do: write, H: 1, N: size, Fill: uint64(1 + i*each + k)}); err != nil || r.N != size {
					return errors.Join(err, fmt.Errorf("wrote %d bytes: %w", r.N, errnoOf(r)))
				}
			}
			return h.end()
		})
		data := startProcess(t, dir).does("whole file=log n=65536")
		if len(data) != processes*each*size {
			t.Fatalf("%d bytes, want %d", len(data), processes*each*size)
		}
		var next [processes]int
	records:
		for at := 0; at < len(data); at += size {
			for i := range next {
				if next[i] < each && bytes.Equal(data[at:at+size], record(i, next[i])) {
					next[i]++
					continue records
				}
			}
			t.Fatalf("at %d lies no record that comes next", at)
		}
	})
}

// Locks of one process are seen by the others, and go with it.
func TestLocksBetweenProcesses(t *testing.T) {
	for _, kind := range []string{"flock", "fcntl", "ofd"} {
		t.Run(kind, func(t *testing.T) {
			onBoth(t, func(t *testing.T, dir string) {
				a, b := startProcess(t, dir), startProcess(t, dir)
				a.does("open file=f h=1 how=bc", "write h=1 n=1000 fill=1")
				b.does("open file=f h=1 how=b")
				a.does("lock h=1 how=" + kind + "-read")
				b.does("lock h=1 how=" + kind + "-read")
				b.fails("lock h=1 how="+kind+"-write", syscall.EAGAIN)
				a.does("lock h=1 how=" + kind + "-none")
				b.does("lock h=1 how=" + kind + "-write")
				a.fails("lock h=1 how="+kind+"-read", syscall.EAGAIN)
				b.does("close h=1")
				a.does("lock h=1 how=" + kind + "-write")
				b.does("open file=f h=1 how=b")
				b.fails("lock h=1 how="+kind+"-write", syscall.EAGAIN)
				if err := a.kill(); err != nil {
					t.Fatal(err)
				}
				b.does("lock h=1 how=" + kind + "-write")
			})
		})
	}
}

// Locks of ranges are held against those that overlap.
func TestLocksOfRanges(t *testing.T) {
	for _, kind := range []string{"fcntl", "ofd"} {
		t.Run(kind, func(t *testing.T) {
			onBoth(t, func(t *testing.T, dir string) {
				a, b := startProcess(t, dir), startProcess(t, dir)
				a.does("open file=f h=1 how=bc", "lock h=1 off=100 n=100 how="+kind+"-write")
				b.does("open file=f h=1 how=b", "lock h=1 off=0 n=100 how="+kind+"-write", "lock h=1 off=200 how="+kind+"-write")
				b.fails("lock h=1 off=150 n=1 how="+kind+"-read", syscall.EAGAIN)
				a.does("lock h=1 off=100 n=50 how=" + kind + "-none")
				b.fails("lock h=1 off=149 n=2 how="+kind+"-read", syscall.EAGAIN)
				b.does("lock h=1 off=100 n=50 how=" + kind + "-read")
				// rename and unlink do not touch the locks.
				b.does("rename file=f name=g")
				b.fails("lock h=1 off=150 n=1 how="+kind+"-read", syscall.EAGAIN)
				b.does("unlink file=g")
				a.fails("lock h=1 off=0 n=1 how="+kind+"-write", syscall.EAGAIN)
			})
		})
	}
}
