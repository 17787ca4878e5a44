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

// crash is where the process dies, read once: MOORFS_CRASH_AT=name, or name#n
// for the n-th time that the point is reached; several, between commas: at the
// first that is.
var crash = sync.OnceValue(func() *countdowns {
	c := &countdowns{left: map[string]int{}}
	for at := range strings.SplitSeq(os.Getenv("MOORFS_CRASH_AT"), ",") {
		name, nth, _ := strings.Cut(at, "#")
		n, err := strconv.Atoi(nth)
		if err != nil {
			n = 1
		}
		c.left[name] = n
	}
	return c
})

type countdowns struct {
	mu   sync.Mutex
	left map[string]int // by name
}

// reached reports whether the process shall die here.
func (c *countdowns) reached(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left[name] == 0 {
		return false
	}
	c.left[name]--
	return c.left[name] == 0
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

// Point kills the process with SIGKILL if it is one named by MOORFS_CRASH_AT,
// having said so on stderr, or panics as MOORFS_PANIC_WHILE says.
func Point(name string) {
	mayPanic(name)
	if !crash().reached(name) {
		return
	}
	os.Stderr.WriteString("died at " + name + "\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {} // the signal may take a moment; nothing must happen in it
}

// pretendedBoot is a boot id to take for the kernel's: MOORFS_BOOT_ID, for
// tests of a power cut.
func pretendedBoot() string { return os.Getenv("MOORFS_BOOT_ID") }
