package fs

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A fakeRaw is a filesystem below front.
type fakeRaw struct {
	fuse.RawFileSystem
	lookup func() fuse.Status
}

func (f *fakeRaw) Lookup(<-chan struct{}, *fuse.InHeader, string, *fuse.EntryOut) fuse.Status {
	return f.lookup()
}

func newFront(lookup func() fuse.Status, log *bytes.Buffer) *front {
	return &front{RawFileSystem: &fakeRaw{RawFileSystem: fuse.NewDefaultRawFileSystem(), lookup: lookup},
		under: &inflight{}, counts: &counts{}, log: slog.New(slog.NewTextHandler(log, nil))}
}

func (f *front) look(uid uint32) fuse.Status {
	h := &fuse.InHeader{NodeId: 5}
	h.Uid = uid
	return f.Lookup(nil, h, "name", &fuse.EntryOut{})
}

func TestFrontTurnsAPanicIntoEIO(t *testing.T) {
	var log bytes.Buffer
	f := newFront(func() fuse.Status { panic("made up by a test") }, &log)
	if s := f.look(0); s != fuse.EIO {
		t.Errorf("got %v, want EIO", s)
	}
	for _, want := range []string{"made up by a test", "operation=lookup", "inode=5", "name=name", "front_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &log)
		}
	}
	if c := f.counts.snapshot(); c.Panics != 1 || len(c.Operations) != 1 || c.Operations[0].Outcomes[syscall.EIO] != 1 {
		t.Errorf("got %+v", c)
	}
	if len(f.under.free) != len(f.under.places) {
		t.Error("the request is still under way")
	}
}

func TestFrontKnowsWhatIsStuck(t *testing.T) {
	blocked, release := make(chan struct{}), make(chan struct{})
	f := newFront(func() fuse.Status { close(blocked); <-release; return fuse.ENOENT }, &bytes.Buffer{})
	ended := make(chan struct{})
	go func() { f.look(0); close(ended) }()
	<-blocked
	if got := f.under.stuck(time.Hour); len(got) != 0 {
		t.Errorf("stuck for an hour: %+v", got)
	}
	s := &Server{front: f, kernel: newKernel(f.log)}
	got := f.under.stuck(0)
	if len(got) != 1 || got[0].Operation != "lookup" || got[0].Inode != 5 || got[0].Path != "name" || !got[0].New {
		t.Fatalf("got %+v", got)
	}
	if again := f.under.stuck(0); len(again) != 1 || again[0].New {
		t.Errorf("the second time: %+v", again)
	}
	stack := s.stacks()
	if got := stackOf(stack, got[0].label); !strings.Contains(got, "TestFrontKnowsWhatIsStuck") || strings.Count(got, "# labels") != 1 {
		t.Errorf("no stack of it: %q in %s", got, stack)
	}
	close(release)
	<-ended
	if got := f.under.stuck(0); len(got) != 0 {
		t.Errorf("after its end: %+v", got)
	}
	if c := f.counts.snapshot(); c.Operations[0].Outcomes[syscall.ENOENT] != 1 || c.Operations[0].Classes[time.Minute] != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestFrontKeepsOthersOut(t *testing.T) {
	f := newFront(func() fuse.Status { return fuse.OK }, &bytes.Buffer{})
	f.closed, f.owner = true, 1000
	for uid, want := range map[uint32]fuse.Status{0: fuse.OK, 1000: fuse.OK, 1001: fuse.EACCES} {
		if got := f.look(uid); got != want {
			t.Errorf("uid %d: %v, want %v", uid, got, want)
		}
	}
	in := &fuse.FlushIn{}
	in.Uid = 1001
	if got := f.Flush(nil, in); got == fuse.EACCES {
		t.Error("who has a file open may not flush it")
	}
}

// BenchmarkFront is the price of being watched and counted.
func BenchmarkFront(b *testing.B) {
	f := newFront(func() fuse.Status { return fuse.OK }, &bytes.Buffer{})
	h, out := &fuse.InHeader{NodeId: 5}, &fuse.EntryOut{}
	run := func(fs fuse.RawFileSystem) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					fs.Lookup(nil, h, "name", out)
				}
			})
		}
	}
	b.Run("bare", run(f.RawFileSystem))
	b.Run("watched", run(f))
}
