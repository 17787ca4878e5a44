package posix

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lockCalls never wait: who would is told EAGAIN.
var lockCalls = map[string]call{
	"flock": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		return "", unix.Flock(fd, a.bits(flockKinds)|unix.LOCK_NB)
	},
	"lock": func(_ *agent, a *args) (string, error) {
		fd, l := a.fd(), a.lock()
		return "", unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &l)
	},
	"oflock": func(_ *agent, a *args) (string, error) {
		fd, l := a.fd(), a.lock()
		return "", unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l)
	},
	"getlock": func(_ *agent, a *args) (string, error) {
		fd, l := a.fd(), a.lock()
		if err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &l); err != nil {
			return "", err
		}
		return fmt.Sprintf("kind %d, %d bytes at %d, held by another: %v", l.Type, l.Len, l.Start, l.Pid > 0), nil
	},
}

var flockKinds = map[string]int{"LOCK_SH": unix.LOCK_SH, "LOCK_EX": unix.LOCK_EX, "LOCK_UN": unix.LOCK_UN}

var lockKinds = map[string]int{"F_RDLCK": unix.F_RDLCK, "F_WRLCK": unix.F_WRLCK, "F_UNLCK": unix.F_UNLCK}

// lock reads "kind start length".
func (a *args) lock() unix.Flock_t {
	kind := a.bits(lockKinds)
	start := a.int()
	return unix.Flock_t{Type: int16(kind), Whence: unix.SEEK_SET, Start: start, Len: a.int()}
}
