package cache

import (
	"context"
	"fmt"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

func (b *bench) mv(from, to string) {
	b.t.Helper()
	var r Rename
	r.OldParent, r.OldName = b.where(from)
	r.NewParent, r.NewName = b.where(to)
	b.ok(b.Rename(b.t.Context(), r))
}

func (b *bench) chmod(ino Ino, mode uint32) {
	b.t.Helper()
	_, err := b.SetAttr(b.t.Context(), ino, AttrChange{Mode: &mode})
	b.ok(err)
}

// occupy has the only worker wait until free is closed.
func occupy(b *bench, faults *remotetest.Faults) (free chan struct{}) {
	b.t.Helper()
	busy, free := make(chan struct{}), make(chan struct{})
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op == "put" && c.Keys[0] == "p/busy" {
			close(busy)
			<-free
		}
		return nil
	})
	b.write(Root, "busy", nil)
	b.queue.waitFor([]string{"p/busy"})
	<-busy
	return free
}

// Two directories, each of which was moved out of the other while that one's
// marker was to be written, do not wait for each other for ever.
func TestDirectoriesThatLeftEachOther(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, func(c *Config) { c.MaxUploads = 1 })
	b.mem.Set("p/f/", nil, nil)
	b.mem.Set("p/f/e/", nil, nil)
	b.chmod(b.lookup("f"), 0o711)
	b.chmod(b.lookup("f", "e"), 0o711)
	free := occupy(b, faults)
	b.mv("f/e", "e")
	b.mv("f", "e/f2")
	b.mv("e/f2", "g")
	close(free)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/e/": "", "p/g/": "", "p/busy": ""})
}

// The directory that another leaves as its last child has its marker before
// the keys of that one go, however often it is renamed meanwhile.
func TestLeftDirectoryStays(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, func(c *Config) { c.MaxUploads = 1 })
	b.mem.Set("p/f/e/x", []byte("x"), nil)
	b.listed(b.lookup("f", "e"), "x")
	free := occupy(b, faults)
	b.mv("f/e", "e")
	b.mv("e", "g")
	faults.Fail(remotetest.Fault{Op: "put", Key: "p/f/", Kind: s3backend.Denied, Forever: true})
	close(free)
	if err := b.drainSoon(); err == nil {
		t.Error("nothing is left to do")
	}
	b.bucket(map[string]string{"p/f/e/x": "x", "p/g/x": "x", "p/busy": ""})
	faults.Heal()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f/": "", "p/g/x": "x", "p/busy": ""})
}

// Moves that have made many copies wait leave the workers to those, also when
// nobody but they would hurry them.
func TestMovesLeaveWorkersToCopies(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.MaxUploads = 1 })
	const ahead = 5 * moveBatch
	b.mu.Lock()
	b.moves.ahead, b.moves.stall = ahead, slow
	b.mu.Unlock()
	for i := range ahead + 5*moveBatch {
		b.mem.Set(fmt.Sprintf("p/a/%d", i), nil, nil)
	}
	b.mv("a", "z")
	b.drain()
	if n := len(b.mem.Keys()); n != ahead+5*moveBatch {
		t.Errorf("%d objects", n)
	}
	if len(b.names(Root)) != 1 || len(b.moves.backlogs) != 0 {
		t.Errorf("names %q, backlogs %v", b.names(Root), b.moves.backlogs)
	}
}

// A file does not get the name of a directory beside which another shows that
// has the very key of that name.
func TestExchangeBesideAFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	want := map[string]string{"p/x": "beside", "p/x/1": "1", "p/y": "file", "p/d/2": "2"}
	for key, body := range want {
		b.mem.Set(key, []byte(body), nil)
	}
	b.listed(Root, "%=x%f", "d", "x", "y")
	b.is(b.Rename(ctx, Rename{OldParent: Root, OldName: "x", NewParent: Root, NewName: "y", Exchange: true}), ErrInvalid)
	b.is(b.Rename(ctx, Rename{OldParent: Root, OldName: "y", NewParent: Root, NewName: "x", Exchange: true}), ErrInvalid)
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "x", NewParent: Root, NewName: "d", Exchange: true}))
	b.write(Root, "%=x%f", []byte("edited"))
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/x": "edited", "p/d/1": "1", "p/y": "file", "p/x/2": "2"})
}
