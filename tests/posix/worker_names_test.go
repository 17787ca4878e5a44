package posix

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// nameCalls make, move and remove names.
var nameCalls = map[string]call{
	"mkdir": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Mkdirat(at, path, a.mode())
	},
	"rmdir": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Unlinkat(at, path, unix.AT_REMOVEDIR)
	},
	"unlink": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Unlinkat(at, path, a.optionalBits(atFlags))
	},
	"symlink": func(_ *agent, a *args) (string, error) {
		target := a.word()
		at, path := a.path()
		return "", unix.Symlinkat(target, at, path)
	},
	"readlink": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		buf := make([]byte, 8192)
		if a.more() {
			buf = buf[:a.int()]
		}
		n, err := unix.Readlinkat(at, path, buf)
		if err != nil {
			return "", err
		}
		return strconv.Quote(string(buf[:n])), nil
	},
	"link": func(_ *agent, a *args) (string, error) {
		at, from := a.path()
		newAt, to := a.path()
		return "", unix.Linkat(at, from, newAt, to, a.optionalBits(atFlags))
	},
	"linkfd": func(_ *agent, a *args) (string, error) {
		from := fmt.Sprintf("/proc/self/fd/%d", a.fd())
		at, to := a.path()
		return "", unix.Linkat(unix.AT_FDCWD, from, at, to, unix.AT_SYMLINK_FOLLOW)
	},
	"linkempty": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		at, to := a.path()
		return "", unix.Linkat(fd, "", at, to, unix.AT_EMPTY_PATH)
	},
	"rename": func(_ *agent, a *args) (string, error) {
		at, from := a.path()
		newAt, to := a.path()
		return "", unix.Renameat2(at, from, newAt, to, uint(a.optionalBits(renameFlags)))
	},
	"mknod": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		mode := a.bits(nodeKinds) | int(a.mode())
		dev := 0
		if a.more() {
			dev = int(a.int())
		}
		return "", unix.Mknodat(at, path, uint32(mode), dev)
	},
	"mkfifo": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Mkfifoat(at, path, a.mode())
	},
	"umask": func(_ *agent, a *args) (string, error) {
		return fmt.Sprintf("%#o", unix.Umask(int(a.mode()))), nil
	},
	"chdir": func(_ *agent, a *args) (string, error) { return "", unix.Chdir(a.word()) },
	"mk":    (*agent).make,
	"begin": (*agent).begin,
	"end":   (*agent).end,
}

var renameFlags = map[string]int{
	"RENAME_NOREPLACE": unix.RENAME_NOREPLACE, "RENAME_EXCHANGE": unix.RENAME_EXCHANGE, "RENAME_WHITEOUT": unix.RENAME_WHITEOUT,
}

var nodeKinds = map[string]int{
	"file": unix.S_IFREG, "fifo": unix.S_IFIFO, "sock": unix.S_IFSOCK, "chr": unix.S_IFCHR, "blk": unix.S_IFBLK,
	"dir": unix.S_IFDIR, "link": unix.S_IFLNK, "none": 0, "bad": 0o150000,
}

// make prepares a case: "mk kind path mode owner group" makes an entry of any
// kind. A file has a few bytes; a link points to nothing.
func (w *agent) make(a *args) (string, error) {
	kind := a.word()
	at, path := a.path()
	mode, uid, gid := a.mode(), a.id(), a.id()
	var err error
	switch kind {
	case "file":
		var fd int
		if fd, err = unix.Openat(at, path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600); err == nil {
			_, err = unix.Write(fd, []byte("content of a file\n"))
			_ = unix.Close(fd)
		}
	case "dir":
		err = unix.Mkdirat(at, path, 0o700)
	case "link":
		err = unix.Symlinkat("nowhere", at, path)
	case "chr", "blk":
		err = unix.Mknodat(at, path, uint32(nodeKinds[kind])|0o600, int(unix.Mkdev(1, 3)))
	default:
		err = unix.Mknodat(at, path, uint32(nodeKinds[kind])|0o600, 0)
	}
	if err == nil {
		err = unix.Fchownat(at, path, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil && kind != "link" {
		err = unix.Fchmodat(at, path, mode, 0)
	}
	return "", err
}
