package cache

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A slowRemote delivers contents as its test says.
type slowRemote struct {
	*remotetest.Memory
	body func(context.Context, io.ReadCloser) io.ReadCloser

	mu   sync.Mutex
	gets []s3backend.Range
}

func newSlow(t *testing.T, edit ...func(*Config)) (*bench, *slowRemote) {
	slow := &slowRemote{}
	b := newBench(t, append(edit, func(c *Config) {
		slow.Memory = c.Remote.(*remotetest.Memory)
		c.Remote = slow
	})...)
	return b, slow
}

func (s *slowRemote) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	s.mu.Lock()
	s.gets = append(s.gets, g.Range)
	first := len(s.gets) == 1
	s.mu.Unlock()
	r, err := s.Memory.Get(ctx, g)
	if err == nil && first {
		r = s.body(ctx, r)
	}
	return r, err
}

// asked returns the ranges that were asked for.
func (s *slowRemote) asked() []s3backend.Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]s3backend.Range(nil), s.gets...)
}

// A stuckBody stands still after some bytes.
type stuckBody struct {
	io.ReadCloser
	ctx  context.Context
	left int
}

func (b *stuckBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// What has come of a large file is there for its readers while the rest is on
// its way, and is not asked for again when that breaks off.
func TestBrokenDownloadGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	const came = 1 << 20
	b, slow := newSlow(t, func(c *Config) { c.ReadTimeout = 2 * time.Second })
	slow.body = func(ctx context.Context, r io.ReadCloser) io.ReadCloser { return &stuckBody{r, ctx, came} }
	data := someBytes(6<<20, 1)
	b.mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{})
	b.ok(err)
	defer h.Release()
	p := make([]byte, 128<<10)
	_, err = h.ReadAt(t.Context(), p, 0)
	b.ok(err)
	b.until("the rest", func() bool {
		_, err := h.ReadAt(t.Context(), p, 3<<20)
		return err == nil
	})
	if got := b.read(Root, "f"); string(got) != string(data) {
		t.Error("reads something else")
	}
	for _, r := range slow.asked()[1:] {
		if r.Off < came {
			t.Errorf("bytes that were here are asked for again: %+v", slow.asked())
		}
	}
}

// A trickle brings a piece at a time.
type trickle struct {
	io.ReadCloser
	ctx   context.Context
	every time.Duration
	piece int
}

func (b *trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(b.every):
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
	return b.ReadCloser.Read(p[:min(len(p), b.piece)])
}

// A content that comes, if slowly, comes to its end, however long readers wait.
func TestSlowDownloadArrives(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	b, slow := newSlow(t, func(c *Config) { c.ReadTimeout = timeout })
	slow.body = func(ctx context.Context, r io.ReadCloser) io.ReadCloser {
		return &trickle{r, ctx, timeout / 20, leastBrought / 4}
	}
	data := someBytes(2<<20, 1)
	b.mem.Set("p/f", data, nil)
	b.reads("f", data)
	if len(slow.asked()) != 1 {
		t.Errorf("asked for %+v", slow.asked())
	}
}

// A connection on which next to nothing comes is given up for another.
func TestDrippingDownloadIsGivenUp(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	b, slow := newSlow(t, func(c *Config) { c.ReadTimeout = timeout })
	var drips atomic.Int32
	slow.body = func(ctx context.Context, r io.ReadCloser) io.ReadCloser {
		if drips.Add(1) > 1 {
			return r
		}
		return &trickle{r, ctx, timeout / 10, 1}
	}
	data := someBytes(64<<10, 1)
	b.mem.Set("p/f", data, nil)
	b.reads("f", data)
}

// reads reads a file until that succeeds.
func (b *bench) reads(name string, want []byte) {
	b.t.Helper()
	h, err := b.Cache.Open(b.t.Context(), b.lookup(name), OpenMode{})
	b.ok(err)
	defer h.Release()
	p := make([]byte, len(want))
	b.until("the content", func() bool {
		_, err := h.ReadAt(b.t.Context(), p, 0)
		return err == nil
	})
	if !bytes.Equal(p, want) {
		b.t.Errorf("%s reads %.40q", name, p)
	}
}
