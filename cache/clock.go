package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// Moments that rows and listings keep are stamps: ns since 1970 by a clock that
// begins with the process as the wall's and that nobody sets. Durations are
// measured with them: a wall that is set an hour back or a year ahead delays
// nothing, and makes nothing young. It is the clock of time.Now, so that stamps
// and times have one order. What an earlier process stamped may lie in the
// future of this one.

// started is when this process began; it has a monotonic reading.
var started = time.Now()

// stamp returns the present.
func stamp() int64 { return stampOf(time.Now()) }

// stampOf returns the stamp of a time that time.Now has returned.
func stampOf(t time.Time) int64 { return started.UnixNano() + int64(t.Sub(started)) }

// ofStamp returns the time of a stamp, as time.Now would have returned it.
func ofStamp(ns int64) time.Time { return started.Add(time.Duration(ns - started.UnixNano())) }

// A napWatch notices that the machine has slept, which that clock does not
// count: what was learnt before may be older than it seems.
type napWatch struct {
	slept func() int64 // for how long since the boot, ns
	last  int64
}

// leastNap is more than two readings of clocks are apart.
const leastNap = 2 * time.Second

func newNapWatch(slept func() int64) *napWatch { return &napWatch{slept, slept()} }

// woke reports whether it has slept since woke was called last.
func (w *napWatch) woke() bool {
	before := w.last
	w.last = w.slept()
	return w.last-before >= int64(leastNap)
}

// sleptSinceBoot is what CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC.
func sleptSinceBoot() int64 {
	var ran, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ran) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0
	}
	return all.Nano() - ran.Nano()
}

// wall returns the time that people see.
func (c *Cache) wall() time.Time {
	if c.cfg.wall != nil {
		return c.cfg.wall()
	}
	return time.Now()
}
