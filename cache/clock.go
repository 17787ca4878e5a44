package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// Moments that rows and listings keep are stamps: ns since 1970 by a clock that
// begins with the process as the wall's and that nobody sets. Durations are
// measured with them: a wall that is set an hour back or a year ahead delays
// nothing, and makes nothing young. The time that the machine sleeps counts.
// What an earlier process stamped may lie in the future of this one.

// started is when this process began; it has a monotonic reading.
var started = time.Now()

// stamp returns the present.
func stamp() int64 { return stampOf(time.Now()) }

// stampOf returns the stamp of a time that time.Now has returned since the
// machine last slept.
func stampOf(t time.Time) int64 { return started.UnixNano() + int64(t.Sub(started)) + slept() }

// ofStamp returns the time of a stamp, as time.Now would have returned it.
func ofStamp(ns int64) time.Time {
	return started.Add(time.Duration(ns - started.UnixNano() - slept()))
}

// slept returns for how long the machine has slept since the process began:
// that the monotonic clock does not count.
func slept() int64 {
	const jitter = int64(100 * time.Millisecond) // between two readings
	if d := sleep() - sleptBefore; d > jitter {
		return d
	}
	return 0
}

// sleptBefore is how long it had slept when the process began.
var sleptBefore = sleep()

// sleep is how long the machine has slept since its boot.
func sleep() int64 {
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
