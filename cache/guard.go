package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// errFault is the error of work that panicked: a fault of moorfs itself.
var errFault = errors.New("a fault of moorfs; its log has the stack")

// A guard keeps a panic of one piece of work in the background from ending the
// daemon, and with it all files that are open: the work fails, its stack is
// logged, everything else goes on. Requests of the kernel are guarded by
// package fs.
//
// A panic passes deferred unlocks only, so whatever is called with a lock held
// and could panic has its unlock deferred. A transaction of the journal that it
// cuts short is not made, and what memory says is what it says after an error.
type guard struct {
	log    *slog.Logger
	panics atomic.Int64
}

// do calls fn. A panic is logged and returned as an error that wraps errFault.
func (g *guard) do(what string, fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			g.panics.Add(1)
			g.log.Error("cache: panic; this work fails, everything else goes on", "work", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errFault, v)
		}
	}()
	fn()
	return nil
}

// try is do for work that has an error of its own.
func (g *guard) try(what string, fn func() error) (err error) {
	return errors.Join(g.do(what, func() { err = fn() }), err)
}

const (
	faultPause = time.Second // before a loop that panicked goes on …
	faultMost  = time.Minute // … the longest, if it does so again and again
)

// keepGoing runs a loop until it returns by itself, and again after a panic.
func (c *Cache) keepGoing(name string, loop func()) {
	for pause := faultPause; c.guard.do(name, loop) != nil; pause = min(2*pause, faultMost) {
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// faulted is the outcome of a key whose work panicked. The queue says when it
// is tried again.
func faulted(err error) outcome { return outcome{fault: true, failure: oneLine(err)} }

// Faults returns how many panics were caught in the background.
func (c *Cache) Faults() int64 { return c.guard.panics.Load() }
