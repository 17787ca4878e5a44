//go:build crashpoints

package journal

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// crashPoints reports whether this build can be told to die at a Point.
const crashPoints = true

// crash is where the process dies, read once: MOORFS_CRASH_AT=name, or
// name#n for the n-th time that the point is reached.
var crash = sync.OnceValue(func() *countdown {
	name, nth, _ := strings.Cut(os.Getenv("MOORFS_CRASH_AT"), "#")
	n, err := strconv.Atoi(nth)
	if err != nil {
		n = 1
	}
	return &countdown{name: name, left: n}
})

type countdown struct {
	name string
	mu   sync.Mutex
	left int
}

// panicWhile names a file: while it is there each point before a commit panics
// when it is reached for the first time.
var panicWhile = sync.OnceValue(func() string { return os.Getenv("MOORFS_PANIC_WHILE") })

var panicked sync.Map // names of points

func mayPanic(name string) {
	file := panicWhile()
	if file == "" || !strings.HasSuffix(name, ":before") {
		return
	}
	if _, err := os.Stat(file); err != nil {
		return
	}
	if _, done := panicked.LoadOrStore(name, true); !done {
		panic("made up at the point " + name)
	}
}

// Point kills the process with SIGKILL if it is the point named by
// MOORFS_CRASH_AT, or panics as MOORFS_PANIC_WHILE says.
func Point(name string) {
	mayPanic(name)
	c := crash()
	if name != c.name {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left > 0 {
		return
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {} // the signal may take a moment; nothing must happen in it
}
