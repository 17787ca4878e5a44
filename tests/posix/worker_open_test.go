package posix

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openCalls open and close files, and act on what is open.
var openCalls = map[string]call{
	"open": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		flags := a.bits(openFlags)
		var mode uint32
		if a.more() {
			mode = a.mode()
		}
		return a.keep(unix.Openat(at, path, flags, mode))
	},
	"close": func(w *agent, a *args) (string, error) {
		slot := a.word()
		fd, open := w.slots[slot]
		if !open {
			return "", unix.EBADF
		}
		delete(w.slots, slot)
		return "", unix.Close(fd)
	},
	"dup": func(_ *agent, a *args) (string, error) { return a.keep(unix.Dup(a.fd())) },
	"setfl": func(_ *agent, a *args) (string, error) {
		_, err := unix.FcntlInt(uintptr(a.fd()), unix.F_SETFL, a.bits(openFlags))
		return "", err
	},
	"getfl": func(_ *agent, a *args) (string, error) {
		flags, err := unix.FcntlInt(uintptr(a.fd()), unix.F_GETFL, 0)
		return fmt.Sprintf("%#x", flags), err
	},
	"fsync":     func(_ *agent, a *args) (string, error) { return "", unix.Fsync(a.fd()) },
	"fdatasync": func(_ *agent, a *args) (string, error) { return "", unix.Fdatasync(a.fd()) },
	"syncfs":    func(_ *agent, a *args) (string, error) { return "", unix.Syncfs(a.fd()) },
}
