package cache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// A wire is a network to be broken, and what was made of it. Time is that of
// the synctest bubble.
type wire struct {
	*network
	ctx    context.Context
	answer atomic.Pointer[func(context.Context) error]
	log    bytes.Buffer
	logMu  sync.Mutex
	probes atomic.Int64
	atOnce atomic.Int64
	most   atomic.Int64
}

func (w *wire) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (w *wire) lines() int {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return strings.Count(w.log.String(), "\n")
}

// onWire runs fn with a network whose probes are answered so.
func onWire(t *testing.T, answer func(context.Context) error, fn func(w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{ctx: t.Context()}
		w.answer.Store(&answer)
		w.network = newNetwork(slog.New(slog.NewTextHandler(w, nil)), func(ctx context.Context) error {
			w.probes.Add(1)
			w.most.Store(max(w.most.Load(), w.atOnce.Add(1)))
			defer w.atOnce.Add(-1)
			return (*w.answer.Load())(ctx)
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.loop(ctx); close(ended) }()
		defer func() { stop(); <-ended }()
		fn(w)
	})
}

func (w *wire) answers(answer func(context.Context) error) { w.answer.Store(&answer) }

var errRefused = &s3backend.Error{Op: "head", Kind: s3backend.Offline, Err: errors.New("connection refused")}

func fine(context.Context) error    { return nil }
func refused(context.Context) error { return errRefused }
func mute(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// One lost answer is trouble, not an outage, and is over after a while.
func TestOneLostAnswer(t *testing.T) {
	onWire(t, fine, func(w *wire) {
		w.note(errRefused)
		if w.state() != Degraded {
			t.Errorf("state %v", w.state())
		}
		time.Sleep(calmAfter + probeMost)
		if w.state() != Online || w.snapshot().Error != "" {
			t.Errorf("afterwards %+v", w.snapshot())
		}
		if w.lines() != 2 {
			t.Errorf("log:\n%s", w.log.String())
		}
		before := w.probes.Load()
		time.Sleep(time.Hour)
		if n := w.probes.Load() - before; n > 0 {
			t.Errorf("%d probes of a network that is well", n)
		}
	})
}

// Lost answers among others never make an outage, however many there are.
func TestFlakyIsNotOffline(t *testing.T) {
	n := 0
	flaky := func(context.Context) error {
		if n++; n%2 == 0 {
			return errRefused
		}
		return nil
	}
	onWire(t, flaky, func(w *wire) {
		for range 1000 {
			w.note(errRefused)
			w.note(nil)
			time.Sleep(100 * time.Millisecond)
			if w.state() == Offline {
				t.Fatal("offline")
			}
		}
		if w.lines() != 1 {
			t.Errorf("log:\n%s", w.log.String())
		}
	})
}

// An outage is noticed at once, costs few requests and three lines in the log
// however long it lasts, and its end is noticed within seconds.
func TestOutage(t *testing.T) {
	onWire(t, refused, func(w *wire) {
		w.note(errRefused)
		time.Sleep(time.Second)
		if w.state() != Offline {
			t.Fatalf("state %v after a second", w.state())
		}
		time.Sleep(time.Hour)
		if n := w.probes.Load(); n > int64(2*time.Hour/probeMost)+10 {
			t.Errorf("%d probes in an hour", n)
		}
		w.answers(fine)
		time.Sleep(probeMost)
		if w.state() != Online {
			t.Errorf("state %v", w.state())
		}
		if w.lines() != 3 {
			t.Errorf("log:\n%s", w.log.String())
		}
		if s := w.snapshot(); s.Changes != 3 || s.Unanswered == 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// Whoever asks while offline gets an error soon, after one probe for all.
func TestOfflineEndsSoonForAll(t *testing.T) {
	onWire(t, mute, func(w *wire) {
		w.take(silent, errRefused)
		began := time.Now()
		var asked sync.WaitGroup
		for i := range 1000 {
			asked.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				since := time.Now()
				err := w.reach(w.ctx, "get", "k")
				if Cause(err) != FailOffline || !errors.Is(err, errWentOffline) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(since); took > 2*probeTimeout {
					t.Errorf("an error after %v", took)
				}
			})
		}
		asked.Wait()
		if w.most.Load() != 1 {
			t.Errorf("%d probes at a time", w.most.Load())
		}
		if n := w.probes.Load(); n > int64(time.Since(began)/probeGap) {
			t.Errorf("%d probes in %v", n, time.Since(began))
		}
		w.answers(fine)
		time.Sleep(2 * probeTimeout) // that of the probe under way
		if err := w.reach(w.ctx, "get", "k"); err != nil {
			t.Errorf("back again: %v", err)
		}
	})
}

// Where connections are made and nothing is answered, a question that waits
// has the network looked at, and ends long before its own time is up.
func TestHalfOpen(t *testing.T) {
	onWire(t, mute, func(w *wire) {
		began := time.Now()
		ctx, done := w.question(w.ctx)
		defer done()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), errWentOffline) || w.state() != Offline {
			t.Errorf("cause %v, state %v", context.Cause(ctx), w.state())
		}
		if took := time.Since(began); took > suspectAfter+3*probeTimeout {
			t.Errorf("noticed after %v", took)
		}
		late, lateDone := w.question(w.ctx)
		defer lateDone()
		if late.Err() == nil {
			t.Error("a question that began offline waits")
		}
	})
}

// A question that takes long while others are answered is left alone, and so
// is one that is itself the only thing that is slow.
func TestSlowIsNotOffline(t *testing.T) {
	onWire(t, fine, func(w *wire) {
		ctx, done := w.question(w.ctx)
		defer done()
		time.Sleep(time.Minute)
		if ctx.Err() != nil || w.state() != Online {
			t.Errorf("%v, state %v", ctx.Err(), w.state())
		}
	})
}

// A portal that answers in the bucket's place does not count as an answer.
func TestPortalIsOffline(t *testing.T) {
	page := &s3backend.Error{Op: "head", Kind: s3backend.Corrupt, Err: errors.New("the answer has no ETag")}
	onWire(t, func(context.Context) error { return page }, func(w *wire) {
		w.note(page)
		time.Sleep(time.Second)
		if w.state() != Offline {
			t.Errorf("state %v", w.state())
		}
	})
}

// A bucket that is busy is degraded for as long as it is.
func TestBusyIsDegraded(t *testing.T) {
	busy := &s3backend.Error{Op: "head", Kind: s3backend.Busy, Err: errors.New("SlowDown")}
	onWire(t, func(context.Context) error { return busy }, func(w *wire) {
		w.note(busy)
		time.Sleep(time.Minute)
		if w.state() != Degraded || w.snapshot().Busy < 2 {
			t.Errorf("status %+v", w.snapshot())
		}
		w.answers(fine)
		time.Sleep(calmAfter + 2*probeMost)
		if w.state() != Online || w.lines() != 2 {
			t.Errorf("status %+v, log:\n%s", w.snapshot(), w.log.String())
		}
	})
}

// Every sign has a meaning in every state.
func TestMeanings(t *testing.T) {
	for _, from := range []NetworkState{Online, Degraded, Offline} {
		for s := range signs {
			if to := meanings[from][s]; to != Online && to != Degraded && to != Offline {
				t.Errorf("sign %d in state %s leads to %q", s, from, to)
			}
		}
	}
}

// A write that nobody answers ends when the bucket is heard of again; one that
// began afterwards goes on.
func TestHungWritesEndWithTheSilence(t *testing.T) {
	onWire(t, mute, func(w *wire) {
		old, oldDone := w.writing(w.ctx)
		defer oldDone()
		time.Sleep(time.Second)
		w.look()
		time.Sleep(probeTimeout + probeGap)
		if old.Err() != nil {
			t.Error("ended before anything was heard")
		}
		w.answers(fine)
		late, lateDone := w.writing(w.ctx)
		defer lateDone()
		time.Sleep(2*probeTimeout + probeMost)
		if !errors.Is(context.Cause(old), errWentOffline) {
			t.Errorf("the write that hung: %v", context.Cause(old))
		}
		if late.Err() != nil {
			t.Errorf("the write that came later: %v", context.Cause(late))
		}
	})
}
