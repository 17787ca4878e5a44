package posix

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// attrCalls ask for attributes and change them.
var attrCalls = map[string]call{
	"chmod": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Fchmodat(at, path, a.mode(), 0)
	},
	"lchmod": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return "", unix.Fchmodat(at, path, a.mode(), unix.AT_SYMLINK_NOFOLLOW)
	},
	"fchmod": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		return "", unix.Fchmod(fd, a.mode())
	},
	"chown": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		uid, gid := a.id(), a.id()
		return "", unix.Fchownat(at, path, uid, gid, a.optionalBits(atFlags))
	},
	"lchown": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		uid := a.id()
		return "", unix.Fchownat(at, path, uid, a.id(), unix.AT_SYMLINK_NOFOLLOW)
	},
	"fchown": func(_ *agent, a *args) (string, error) {
		fd, uid := a.fd(), a.id()
		return "", unix.Fchown(fd, uid, a.id())
	},
	"utimens": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		times := []unix.Timespec{timeOf(a.word()), timeOf(a.word())}
		return "", unix.UtimesNanoAt(at, path, times, a.optionalBits(atFlags))
	},
	"futimens": func(_ *agent, a *args) (string, error) {
		path := fmt.Sprintf("/proc/self/fd/%d", a.fd())
		times := []unix.Timespec{timeOf(a.word()), timeOf(a.word())}
		return "", unix.UtimesNanoAt(unix.AT_FDCWD, path, times, 0)
	},
	"access": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		mode := a.mode()
		return "", unix.Faccessat2(at, path, mode, a.optionalBits(atFlags))
	},
	"stat": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return statx(at, path, a.optionalBits(atFlags))
	},
	"lstat": func(_ *agent, a *args) (string, error) {
		at, path := a.path()
		return statx(at, path, unix.AT_SYMLINK_NOFOLLOW)
	},
	"fstat": func(_ *agent, a *args) (string, error) { return statx(a.fd(), "", unix.AT_EMPTY_PATH) },
	"statfs": func(_ *agent, a *args) (string, error) {
		var s unix.Statfs_t
		if err := unix.Statfs(a.word(), &s); err != nil {
			return "", err
		}
		return fmt.Sprintf("names up to %d, block %d, free %v, of all %v", s.Namelen, s.Bsize, s.Bavail > 0, s.Bavail <= s.Blocks), nil
	},
}

// statx shows what stat(2) does, without numbers that differ by nature.
func statx(at int, path string, flags int) (string, error) {
	var s unix.Statx_t
	if err := unix.Statx(at, path, flags, unix.STATX_BASIC_STATS, &s); err != nil {
		return "", err
	}
	return describe(&s), nil
}

// describe shows mode, owner, links, size (of a directory it means nothing)
// and device.
func describe(s *unix.Statx_t) string {
	text := fmt.Sprintf("%07o %d:%d links %d", s.Mode, s.Uid, s.Gid, s.Nlink)
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFCHR, unix.S_IFBLK:
		text += fmt.Sprintf(" device %d,%d", s.Rdev_major, s.Rdev_minor)
	default:
		text += fmt.Sprintf(" size %d", s.Size)
	}
	return text
}

// timeOf reads seconds.nanoseconds, now or omit.
func timeOf(word string) unix.Timespec {
	switch word {
	case "now":
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case "omit":
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	sec, nsec, _ := strings.Cut(word, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		panic(err)
	}
	var ns int64
	if nsec != "" {
		if ns, err = strconv.ParseInt(nsec, 10, 64); err != nil {
			panic(err)
		}
	}
	return unix.Timespec{Sec: s, Nsec: ns}
}
