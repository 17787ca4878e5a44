package faults

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

var (
	rounds = flag.Int("faults.rounds", 1, "how often to go through the table")
	slow   = flag.Bool("faults.slow", false, "the rows, too, that take minutes")
)

const (
	lanes       = 8
	readTimeout = 2 * time.Second
	// prompt is when an operation must have ended: kernel and cache may ask
	// for more than one thing, and the machine may be slow.
	prompt = 15 * time.Second
	// settled is when everything must have arrived after a fault.
	settled = 90 * time.Second
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m.Run))
}

// A tally is what all lanes have done.
type tally struct{ faults, injected, operations, violations atomic.Int64 }

func TestFaults(t *testing.T) {
	var sum tally
	harness.Binary(t, harness.Plain)
	began := time.Now()
	var running sync.WaitGroup
	for n := range lanes {
		running.Go(func() { newLane(t, n, &sum).run() })
	}
	running.Wait()
	t.Logf("%d rounds of %d faults: %d requests hit, %d operations, %d violations, in %v", *rounds, sum.faults.Load(), sum.injected.Load(),
		sum.operations.Load(), sum.violations.Load(), time.Since(began).Round(time.Second))
}

// rows returns the rows of the table that a lane goes through.
func rows(lane int) (mine []fault) {
	n := 0
	for _, f := range table {
		if f.slow && !*slow {
			continue
		}
		if n%lanes == lane {
			mine = append(mine, f)
		}
		n++
	}
	return mine
}

// run goes through a lane's rows, and before and after through no fault.
func (l *lane) run() {
	steps := []*step{{lane: l, dir: "before"}}
	for r := range *rounds {
		for i, f := range rows(l.n) {
			steps = append(steps, &step{lane: l, dir: fmt.Sprintf("fault-%d-%d", r, i), f: &f})
		}
	}
	steps = append(steps, &step{lane: l, dir: "after"})
	for _, s := range steps {
		if err := s.prepare(); err != nil {
			l.t.Error(err)
			return
		}
	}
	l.mount()
	var before usage
	for i, s := range steps {
		if s.f != nil {
			l.sum.faults.Add(1)
		}
		s.run()
		if i == 0 {
			before = l.use()
		}
	}
	l.noLeak(before)
}
