package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// The kernel asks twice for what it could not read ahead: a read that the
// bucket does not answer takes its time once.
func TestUnansweredReadTakesItsTimeOnce(t *testing.T) {
	t.Parallel()
	var faults *remotetest.Faults
	b := newBench(t, func(c *Config) {
		faults = remotetest.NewFaults(c.Remote)
		c.Remote, c.ReadTimeout = faults, time.Second
	})
	b.mem.Set("p/f", []byte("content"), nil)
	b.names(Root)
	var gets atomic.Int64
	faults.Hook(func(ctx context.Context, c remotetest.Call) error {
		if c.Op != "get" {
			return nil
		}
		gets.Add(1)
		<-ctx.Done()
		return ctx.Err()
	})
	h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{})
	b.ok(err)
	defer h.Release()
	p := make([]byte, 7)
	for range 2 {
		if _, err := h.ReadAt(t.Context(), p, 0); Cause(err) != FailOffline && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	}
	if n := gets.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	faults.Hook(nil)
	b.until("the content", func() bool {
		_, err := h.ReadAt(t.Context(), p, 0)
		return err == nil && string(p) == "content"
	})
}
