package cache

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestQueueGoesOnAfterAPanic: a key whose work panics is a failed one, tried
// again later and later; the others are done meanwhile.
func TestQueueGoesOnAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var tries []time.Duration
		others := 0
		began := time.Now()
		q := newQueue(ctx, func(_ context.Context, tasks []task) map[string]outcome {
			if tasks[0].key == "bad" {
				if tries = append(tries, time.Since(began)); len(tries) < 5 {
					panic("made up")
				}
			} else {
				others++
			}
			return map[string]outcome{tasks[0].key: {settled: true}}
		}, 1)
		q.guard.log = slog.New(slog.DiscardHandler)
		ended := make(chan struct{})
		go func() { q.run(); close(ended) }()
		q.tell(map[string]poke{"bad": {}, "good": {}})
		q.do(func() { panic("in the queue itself") })
		time.Sleep(100 * time.Millisecond)
		s := q.stats.Load()
		if others != 1 || s.queued != 1 || !strings.Contains(s.failure, errFault.Error()) {
			t.Errorf("after the first panic: %d others done, %+v", others, s)
		}
		time.Sleep(time.Minute)
		if s := q.stats.Load(); len(tries) != 5 || s.queued != 0 {
			t.Errorf("in the end: tried at %v, %+v", tries, s)
		}
		if tries[4]-tries[3] < 2*(tries[1]-tries[0]) {
			t.Errorf("tried at %v, not later and later", tries)
		}
		if n := q.guard.panics.Load(); n != 5 {
			t.Errorf("%d panics were counted, want 5", n)
		}
		stop()
		<-ended
		q.wait()
	})
}

func TestGuardTry(t *testing.T) {
	g := &guard{log: slog.New(slog.DiscardHandler)}
	mine := errors.New("mine")
	if err := g.try("work", func() error { return mine }); !errors.Is(err, mine) || errors.Is(err, errFault) {
		t.Errorf("got %v", err)
	}
	if err := g.try("work", func() error { panic(mine) }); !errors.Is(err, errFault) {
		t.Errorf("got %v", err)
	}
}
