package model

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// do carries out an operation by system calls, under a watchdog.
func (m *mountSide) do(o op, number int) (a answer) {
	err := m.mount.Within(hangLimit, o.String(), func() error {
		a = m.call(o, number)
		return nil
	})
	if err != nil {
		return answer{err: err.Error()}
	}
	return a
}

func errnoName(err error) string {
	if err == nil {
		return ""
	}
	if e := syscall.Errno(0); errors.As(err, &e) {
		return unix.ErrnoName(e)
	}
	return err.Error()
}

func (m *mountSide) call(o op, number int) answer {
	if verbs[o.verb].args[0] == 'h' {
		return m.onDescriptor(o, number)
	}
	path := m.mount.Path(o.path)
	var err error
	switch o.verb {
	case "stat":
		return lstat(path)
	case "readdir":
		return readNames(path)
	case "readfile":
		data, err := os.ReadFile(path)
		return answer{err: errnoName(err), data: data}
	case "save":
		err = os.WriteFile(path, content(number, o.n), 0o644)
	case "create":
		m.open[o.h], err = unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, parseMode(o.flag))
		m.open[o.h] = max(m.open[o.h], 0)
	case "open":
		m.open[o.h], err = unix.Open(path, openFlags[o.flag]|unix.O_CLOEXEC, 0)
		m.open[o.h] = max(m.open[o.h], 0)
	case "truncate":
		err = unix.Truncate(path, o.n)
	case "setxattr":
		err = unix.Setxattr(path, xattrName(o), []byte(xattrValue(number)), slices.Index(verbs["setxattr"].flags, o.flag))
	case "rmxattr":
		err = unix.Removexattr(path, xattrName(o))
	default:
		err = m.onPath(o, path)
	}
	return answer{err: errnoName(err)}
}

// openFlags are those of open(2).
var openFlags = map[string]int{"r": unix.O_RDONLY, "rw": unix.O_RDWR, "a": unix.O_RDWR | unix.O_APPEND, "t": unix.O_RDWR | unix.O_TRUNC}

// renameFlags are those of renameat2(2).
var renameFlags = map[string]uint{"-": 0, "noreplace": unix.RENAME_NOREPLACE, "exchange": unix.RENAME_EXCHANGE}

// nodeTypes are those of mknod(2).
var nodeTypes = map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "chr": unix.S_IFCHR}

func (m *mountSide) onPath(o op, path string) error {
	switch o.verb {
	case "mkdir":
		return unix.Mkdir(path, parseMode(o.flag))
	case "symlink":
		return unix.Symlink(linkTarget(o), path)
	case "mknod":
		dev := 0
		if o.flag == "chr" {
			dev = charDevice
		}
		return unix.Mknod(path, nodeTypes[o.flag]|0o600, dev)
	case "unlink":
		return unix.Unlink(path)
	case "rmdir":
		return unix.Rmdir(path)
	case "rename":
		return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, m.mount.Path(o.to), renameFlags[o.flag])
	case "chmod":
		return unix.Chmod(path, parseMode(o.flag))
	case "chown":
		return unix.Lchown(path, int(o.n), int(o.n+1))
	case "utimens":
		atime, mtime := times(o)
		ts := []unix.Timespec{unix.NsecToTimespec(atime), unix.NsecToTimespec(mtime)}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	return errors.New("no such operation")
}

func readNames(path string) answer {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return answer{err: errnoName(err)}
	}
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return answer{err: errnoName(errors.Join(err, f.Close())), names: names}
}

func lstat(path string) answer {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return answer{err: errnoName(err)}
	}
	a, err := shownBy(st)
	if err == nil && a.kind == symlinkKind {
		a.target, err = os.Readlink(path)
	}
	if err == nil && (a.kind == fileKind || a.kind == dirKind) {
		a.xattrs, err = xattrs(
			func(b []byte) (int, error) { return unix.Listxattr(path, b) },
			func(name string, b []byte) (int, error) { return unix.Getxattr(path, name, b) })
	}
	return answer{err: errnoName(err), attr: a}
}

// shownBy turns what stat says into an attr.
func shownBy(st unix.Stat_t) (*attr, error) {
	a := &attr{mode: st.Mode & 0o7777, uid: st.Uid, gid: st.Gid, rdev: uint32(st.Rdev), size: st.Size,
		mtime: st.Mtim.Nano(), atime: st.Atim.Nano()}
	for kind, bits := range typeBits {
		if uint64(st.Mode&unix.S_IFMT) == bits {
			a.kind = kind
		}
	}
	if a.kind == dirKind {
		a.size = 0
	}
	if a.kind == "" {
		return a, errors.New("a file type that no program makes")
	}
	return a, nil
}

func xattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) (map[string]string, error) {
	b := make([]byte, 8<<10)
	n, err := list(b)
	if err != nil {
		return nil, err
	}
	var all map[string]string
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "user.s3.") || strings.HasPrefix(name, "user.moorfs.") {
			continue // those that every file has
		}
		v := make([]byte, 4<<10)
		n, err := get(name, v)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = map[string]string{}
		}
		all[name] = string(v[:n])
	}
	return all, nil
}

// fallocateModes are those of fallocate(2).
var fallocateModes = map[string]uint32{"grow": 0, "keep": unix.FALLOC_FL_KEEP_SIZE,
	"punch": unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, "zero": unix.FALLOC_FL_ZERO_RANGE,
	"zerokeep": unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE}

func (m *mountSide) onDescriptor(o op, number int) answer {
	fd := m.open[o.h]
	var err error
	switch o.verb {
	case "read":
		p := make([]byte, o.n)
		n, err := unix.Pread(fd, p, o.off)
		return answer{err: errnoName(err), data: p[:max(n, 0)]}
	case "write":
		var n int
		if n, err = unix.Pwrite(fd, content(number, o.n), o.off); err == nil && int64(n) < o.n {
			err = io.ErrShortWrite
		}
	case "resize":
		err = unix.Ftruncate(fd, o.n)
	case "allocate":
		err = unix.Fallocate(fd, fallocateModes[o.flag], o.off, o.n)
	case "fsync":
		err = unix.Fsync(fd)
	case "close":
		m.open[o.h] = 0
		err = unix.Close(fd)
	case "fstat":
		return fstat(fd)
	}
	return answer{err: errnoName(err)}
}

func fstat(fd int) answer {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return answer{err: errnoName(err)}
	}
	a, err := shownBy(st)
	if err == nil {
		a.xattrs, err = xattrs(
			func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
			func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
	}
	return answer{err: errnoName(err), attr: a}
}
