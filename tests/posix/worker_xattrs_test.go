package posix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// xattrCalls are those of xattr(7). A name is a path that is followed; those
// with an l do not follow, those with an f take an open file.
var xattrCalls = map[string]call{
	"setxattr": func(_ *agent, a *args) (string, error) {
		path, name, value := a.word(), a.word(), a.word()
		return "", unix.Setxattr(path, name, []byte(value), a.optionalBits(xattrFlags))
	},
	"lsetxattr": func(_ *agent, a *args) (string, error) {
		path, name, value := a.word(), a.word(), a.word()
		return "", unix.Lsetxattr(path, name, []byte(value), a.optionalBits(xattrFlags))
	},
	"fsetxattr": func(_ *agent, a *args) (string, error) {
		fd, name, value := a.fd(), a.word(), a.word()
		return "", unix.Fsetxattr(fd, name, []byte(value), a.optionalBits(xattrFlags))
	},
	"getxattr": func(_ *agent, a *args) (string, error) {
		path, name, buf := a.word(), a.word(), a.buffer()
		n, err := unix.Getxattr(path, name, buf)
		return value(buf, n), err
	},
	"lgetxattr": func(_ *agent, a *args) (string, error) {
		path, name, buf := a.word(), a.word(), a.buffer()
		n, err := unix.Lgetxattr(path, name, buf)
		return value(buf, n), err
	},
	"fgetxattr": func(_ *agent, a *args) (string, error) {
		fd, name, buf := a.fd(), a.word(), a.buffer()
		n, err := unix.Fgetxattr(fd, name, buf)
		return value(buf, n), err
	},
	"listxattr": func(_ *agent, a *args) (string, error) {
		path := a.word()
		names, err := xattrNames(path)
		return strings.Join(names, " "), err
	},
	"removexattr": func(_ *agent, a *args) (string, error) {
		path := a.word()
		return "", unix.Removexattr(path, a.word())
	},
	"lremovexattr": func(_ *agent, a *args) (string, error) {
		path := a.word()
		return "", unix.Lremovexattr(path, a.word())
	},
	"fremovexattr": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		return "", unix.Fremovexattr(fd, a.word())
	},
}

var xattrFlags = map[string]int{"XATTR_CREATE": unix.XATTR_CREATE, "XATTR_REPLACE": unix.XATTR_REPLACE}

// buffer has the size of the next word; without one, enough.
func (a *args) buffer() []byte {
	if a.more() {
		return make([]byte, a.int())
	}
	return make([]byte, 1<<16)
}

// value shows an attribute, or only how long it is if none was asked for.
func value(buf []byte, n int) string {
	if n > len(buf) {
		return fmt.Sprintf("%d bytes", n)
	}
	return shown(buf, max(n, 0))
}

// xattrNames returns the names of the attributes that a path itself has, but
// for those that are computed on a moorfs mount.
func xattrNames(path string) ([]string, error) {
	buf := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name != "" && !strings.HasPrefix(name, "user.s3.") && !strings.HasPrefix(name, "user.moorfs.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// xattrsOf shows all attributes of a path itself.
func xattrsOf(path string) string {
	names, err := xattrNames(path)
	if err != nil {
		return errnoName(err)
	}
	var b strings.Builder
	for _, name := range names {
		buf := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, buf)
		if err != nil {
			fmt.Fprintf(&b, " %s: %s", strconv.Quote(name), errnoName(err))
			continue
		}
		fmt.Fprintf(&b, " %s=%s", strconv.Quote(name), shown(buf, n))
	}
	return b.String()
}
