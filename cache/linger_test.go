package cache

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// Who looked a name up just before it was replaced opens what it has found; a
// while later that is gone.
func TestOpenOfWhatWasFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	found := b.write(Root, "f", []byte("old"))
	b.write(Root, "new", []byte("new"))
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "new", NewParent: Root, NewName: "f"}))
	h, err := b.Cache.Open(ctx, found, OpenMode{})
	b.ok(err)
	p := make([]byte, 10)
	n, err := h.ReadAt(ctx, p, 0)
	if err != nil || string(p[:n]) != "old" {
		t.Errorf("reads %q, %v", p[:n], err)
	}
	h.Release()
	b.until("the unlinked file is gone", func() bool {
		_, err := b.record(found)
		return err != nil
	})
	b.write(Root, "g", []byte("x"))
	left := b.lookup("g")
	b.ok(b.Unlink(ctx, Root, "g"))
	b.until("the other one is gone too", func() bool {
		_, err := b.record(left)
		return err != nil
	})
}

// Space that only files without a name take is not missing to a writer.
func TestUnlinkedFilesMakeRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 20 << 20 })
	b.write(Root, "f", someBytes(12<<20, 1))
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.write(Root, "g", someBytes(12<<20, 2))
}

// A lateBucket answers a put with a broken connection and carries it out later.
type lateBucket struct {
	Remote
	once sync.Once
	done chan error
}

func (l *lateBucket) Put(ctx context.Context, p s3backend.Put) (o s3backend.Object, err error) {
	late := false
	l.once.Do(func() { late = true })
	if !late {
		return l.Remote.Put(ctx, p)
	}
	body, err := io.ReadAll(io.NewSectionReader(p.Body, 0, p.Size))
	if err != nil {
		return o, err
	}
	time.AfterFunc(lateWrite/3, func() {
		p.Body, p.Ready, p.Progress = bytes.NewReader(body), nil, nil
		_, err := l.Remote.Put(context.Background(), p)
		l.done <- err
	})
	return o, &s3backend.Error{Op: "put", Key: p.Key, Kind: s3backend.Offline}
}

// A file that was removed stays removed, also if a put that nobody answered
// takes effect afterwards.
func TestLatePutOfARemovedFile(t *testing.T) {
	t.Parallel()
	late := &lateBucket{done: make(chan error, 1)}
	b := newBench(t, func(c *Config) { late.Remote, c.Remote = c.Remote, late })
	b.write(Root, "f", []byte("x"))
	b.attempt("p/f")
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.ok(b.drainSoon())
	b.ok(<-late.done)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{})
}
