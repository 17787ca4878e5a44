package exercise

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is a step for tests of processes, which no program has: lock, or
// unlock, N bytes at Off of slot H without waiting. How is a kind and a mode.
const lock action = "lock"

var flockModes = map[string]int{"read": unix.LOCK_SH, "write": unix.LOCK_EX, "none": unix.LOCK_UN}

var rangeModes = map[string]int16{"read": unix.F_RDLCK, "write": unix.F_WRLCK, "none": unix.F_UNLCK}

var rangeKinds = map[string]int{"fcntl": unix.F_SETLK, "ofd": unix.F_OFD_SETLK}

func (w *worker) lock(s step) error {
	kind, mode, _ := strings.Cut(s.How, "-")
	fd, there := w.slots[s.H]
	if !there {
		return fmt.Errorf("slot %d is empty", s.H)
	}
	if kind == "flock" {
		return unix.Flock(fd, flockModes[mode]|unix.LOCK_NB)
	}
	return unix.FcntlFlock(uintptr(fd), rangeKinds[kind],
		&unix.Flock_t{Type: rangeModes[mode], Whence: io.SeekStart, Start: s.Off, Len: s.N})
}
