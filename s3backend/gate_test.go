package s3backend

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A storm of requests to a bucket that is busy becomes a trickle, and is back
// at full width some time after the bucket is well.
func TestGateNarrowsAndWidens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16)
		var busy atomic.Bool
		var requests, inside, most atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for range 500 {
			workers.Go(func() {
				for g.enter(ctx) == nil {
					began := time.Now()
					requests.Add(1)
					most.Store(max(most.Load(), inside.Add(1)))
					time.Sleep(10 * time.Millisecond)
					v := loadFine
					if busy.Load() {
						v = loadBusy
					}
					inside.Add(-1)
					g.leave(began, v)
				}
			})
		}
		time.Sleep(time.Second)
		if n := most.Load(); n != 16 {
			t.Errorf("%d at a time", n)
		}
		busy.Store(true)
		time.Sleep(time.Second)
		before := requests.Load()
		time.Sleep(time.Minute)
		if n := requests.Load() - before; n < 20 || n > 60 {
			t.Errorf("%d requests in a minute to a bucket that is busy", n)
		}
		if g.width() != 1 {
			t.Errorf("width %d", g.width())
		}
		busy.Store(false)
		time.Sleep(gatePauseMost + 2*time.Second)
		if g.width() != 16 {
			t.Errorf("width %d afterwards", g.width())
		}
		stop()
		workers.Wait()
		if len(g.line) != 0 || g.inside != 0 {
			t.Errorf("%d wait, %d are inside", len(g.line), g.inside)
		}
	})
}

// One congestion halves once, however many requests met it.
func TestGateHalvesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(16)
		for range 16 {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		time.Sleep(time.Millisecond)
		for range 16 {
			g.leave(began, loadBusy)
		}
		if g.width() != 8 {
			t.Errorf("width %d", g.width())
		}
	})
}

// Whoever waits at a gate until his time is up is told of the bucket; whoever
// gives up is not.
func TestWaitingAtAGateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.leave(time.Now().Add(time.Second), loadBusy)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := fail(short, call{"GetObject", "k"}, g.enter(short))
		wantKind(t, err, Busy)
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := g.enter(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		g.leave(time.Now(), loadFine)
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// However many files want something of a busy bucket, and whoever repeats
// their requests, it sees few.
func TestNoRetryStorm(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests.Add(1)
		refusal(w, 503, "SlowDown", "Please reduce your request rate.")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = put(c, ctx, "body") // the last one is cut off
			}
		})
	}
	all.Wait()
	if n := requests.Load(); n > 60 {
		t.Errorf("%d requests in two seconds", n)
	}
	if w := c.Parallelism()["writes"]; w != 1 {
		t.Errorf("%d writes at a time", w)
	}
}

// The answer to a write that comes drop by drop is no answer.
func TestDrippingAnswerEnds(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(*Client) error{
		"copy": func(c *Client) error {
			_, err := c.Copy(t.Context(), Copy{From: Object{Key: "a", ETag: "e"}, To: "k"})
			return err
		},
		"list": func(c *Client) error { _, _, err := c.ListPage(t.Context(), "", "", 10); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fake(t, impatient(), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000000")
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, " "); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush() // the client may be gone
					time.Sleep(time.Millisecond)
				}
			})
			done := make(chan error, 1)
			go func() { done <- request(c) }()
			select {
			case err := <-done:
				wantKind(t, err, Offline)
			case <-time.After(20 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}

// Trouble is told of at once, not when a request has given up.
func TestTroubleIsToldOf(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			refusal(w, 503, "SlowDown", "Please reduce your request rate.")
			return
		}
		serve(w, r, "etag", "some text")
	})
	var told atomic.Int64
	c.OnTrouble(func(err error) {
		wantKind(t, err, Busy)
		told.Add(1)
	})
	if _, err := c.Head(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
}
