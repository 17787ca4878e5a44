package cache

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A lockingRemote keeps readers off a key while an object is sent to it, as
// MinIO does; it fails them, so that a test does not hang.
type lockingRemote struct {
	*remotetest.Memory
	sending atomic.Int32
}

var errLocked = errors.New("the key is locked by a PUT that waits for this")

func (l *lockingRemote) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	l.sending.Add(1)
	defer l.sending.Add(-1)
	return l.Memory.Put(ctx, p)
}

func (l *lockingRemote) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	if l.sending.Load() > 0 {
		return nil, &s3backend.Error{Op: "get", Key: g.Key, Kind: s3backend.Busy, Err: errLocked}
	}
	return l.Memory.Get(ctx, g)
}

// An edit of part of a file that is not here is sent without a request for the
// rest meanwhile.
func TestEditOfARemoteFileReadsItBeforeItSends(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]struct {
		data string
		off  int64
	}{
		"append": {"+end", 3 << 20}, "middle": {"xy", 1<<20 - 1}, "two": {"a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) { c.Remote = &lockingRemote{Memory: c.Remote.(*remotetest.Memory)} })
			ctx := t.Context()
			body := make([]byte, 3<<20)
			for i := range body {
				body[i] = byte(i % 251)
			}
			b.mem.Set("p/f", body, nil)
			h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{Write: true})
			b.ok(err)
			b.put(h, []byte(edit.data), edit.off)
			b.ok(h.Flush(ctx))
			b.ok(b.drainSoon())
			h.Release()
			want := append(append(append([]byte{}, body[:edit.off]...), edit.data...), body[min(len(body), int(edit.off)+len(edit.data)):]...)
			b.bucket(map[string]string{"p/f": string(want)})
		})
	}
}

// A file that is cut while it is about to be sent has not lost what it was made
// of.
func TestCutBeforeItIsGathered(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Busy, Forever: true})
	b.write(Root, "f", []byte("first"))
	b.attempt("p/f")
	asked, answer := make(chan struct{}), make(chan struct{})
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op == "head" && c.Keys[0] == "p/f" {
			close(asked)
			<-answer
			faults.Hook(nil)
		}
		return nil
	})
	b.write(Root, "f", []byte("second"))
	b.queue.waitFor([]string{"p/f"})
	<-asked
	faults.Heal()
	b.write(Root, "f", []byte("third"))
	close(answer)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "third"})
}
