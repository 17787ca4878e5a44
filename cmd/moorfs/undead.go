package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/fs"
)

// A daemon that was killed can stay undead: a thread of it tells the kernel to
// forget a name and waits for the lock of that directory, which a process holds
// that waits for an answer of the dead daemon. No signal reaches either; the
// cache stays locked, the mount hangs. Aborting its connection ends the waiting.

const (
	// deathTime is how long a daemon that does not listen any more may take
	// to end.
	deathTime = 10 * time.Second
	// unaided is how long one that was killed may take until it is helped.
	unaided = 500 * time.Millisecond
)

// isDying reports whether a process was killed and is not gone: some thread of
// it has not come out of the kernel. Only stat and status are read: other
// files below /proc can wait for a lock that the thread holds.
func isDying(pid int) bool {
	first, _, err := processStat(pid)
	if err != nil {
		return false
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // it has ended
		}
		if ended, killed := threadState(string(b)); !ended && (killed || first == 'Z') {
			return true
		}
	}
	return false
}

// threadState reads /proc/PID/task/TID/status: whether the thread has ended,
// and whether a SIGKILL waits for it.
func threadState(status string) (ended, killed bool) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "State":
			ended = strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")
		case "SigPnd", "ShdPnd":
			set, err := strconv.ParseUint(value, 16, 64)
			killed = killed || err == nil && set&(1<<(unix.SIGKILL-1)) != 0
		}
	}
	return ended, killed
}

func (m registration) isDying() bool {
	_, start, err := processStat(m.Pid)
	return err == nil && start == m.Start && isDying(m.Pid)
}

// endUndead ends the daemons among those that match which were killed and
// cannot end, and returns once they are gone.
func endUndead(match func(registration) bool) error {
	_, dying, err := registered()
	if err != nil {
		return err
	}
	for _, m := range dying {
		if !match(m) {
			continue
		}
		if ended, err := awaitDeath(m); err != nil || !ended {
			return errors.Join(err, fmt.Errorf("the daemon of %s (pid %d) was killed and does not end; does /sys/fs/fuse/connections show its connection (a mount of type fusectl)?", m.Mountpoint, m.Pid))
		}
	}
	return nil
}

// awaitDeath waits, at most deathTime, until the daemon of m has ended, which
// may need help, and reports whether it has.
func awaitDeath(m registration) (bool, error) {
	if !m.isDying() {
		return waitExit(m.Pid, m.Start, deathTime)
	}
	if ended, err := waitExit(m.Pid, m.Start, unaided); err != nil || ended {
		return ended, err
	}
	connection, err := m.connection()
	if err != nil {
		return false, err
	}
	// The connection is its, and its number not given to another, as long as
	// it is dying. If there is none any more nothing holds it.
	if err := fs.AbortIf(connection, m.isDying); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	return waitExit(m.Pid, m.Start, deathTime)
}

// connection returns the number of the FUSE connection of m. One that was
// registered counts: the mount may be detached.
func (m registration) connection() (int, error) {
	if m.Connection != 0 {
		return m.Connection, nil
	}
	at, mounted, err := mountAt(m.Mountpoint)
	if err != nil || !mounted || at.fstype != "fuse.moorfs" || at.source != m.Source {
		return 0, errors.Join(err, fmt.Errorf("the daemon of %s (pid %d) was killed and cannot end; its FUSE connection is not known", m.Mountpoint, m.Pid))
	}
	_, minor, _ := strings.Cut(at.device, ":")
	return strconv.Atoi(minor)
}
