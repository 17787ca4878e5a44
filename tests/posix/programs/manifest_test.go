package programs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// An entry is all that a file is: what another machine has to see too.
type entry struct {
	mode, uid, gid uint32 // mode with the type bits
	rdev           uint64 // of devices
	size           int64  // of regular files
	mtime          int64  // nanoseconds
	xattrs         string // name=value, sorted; of files and directories
	sum            [sha256.Size]byte
	target         string // of symbolic links
}

func (e *entry) kind() uint32 { return e.mode & syscall.S_IFMT }

// body is the digest of the object that stands for the entry.
func (e *entry) body() [sha256.Size]byte {
	switch e.kind() {
	case syscall.S_IFREG:
		return e.sum
	default:
		return sha256.Sum256([]byte(e.target))
	}
}

// A tree is the entries below a directory, by their paths there.
type tree map[string]entry

// A detail is how closely trees are compared.
type detail int

const (
	untimed detail = iota // all but times
	timed                 // times too, but for directories
	exact                 // all: the times of directories were set, not left behind
)

// manifest reads the tree below dir. A mount that does not answer fails the
// test.
func (s *site) manifest(dir string) tree {
	s.t.Helper()
	t := tree{}
	err := s.mount.Within(programLimit, "reading "+dir, func() error {
		return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			t[name], err = readEntry(path)
			return err
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

func readEntry(path string) (entry, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return entry{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	e := entry{mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim.Nano()}
	var err error
	switch e.kind() {
	case syscall.S_IFLNK:
		e.target, err = os.Readlink(path)
	case syscall.S_IFBLK, syscall.S_IFCHR:
		e.rdev = st.Rdev
	case syscall.S_IFDIR:
		e.xattrs, err = readXattrs(path)
	case syscall.S_IFREG:
		var data []byte
		data, err = os.ReadFile(path)
		if err == nil && int64(len(data)) != st.Size {
			err = fmt.Errorf("%s: stat says %d bytes, read %d", path, st.Size, len(data))
		}
		e.size, e.sum = st.Size, sha256.Sum256(data)
		xattrs, xerr := readXattrs(path)
		e.xattrs, err = xattrs, errors.Join(err, xerr)
	}
	return e, err
}

// readXattrs returns the user's extended attributes, without those that moorfs
// makes up.
func readXattrs(path string) (string, error) {
	names := make([]byte, 64<<10)
	n, err := syscall.Listxattr(path, names)
	if err != nil {
		return "", &fs.PathError{Op: "listxattr", Path: path, Err: err}
	}
	var all []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.s3.") || strings.HasPrefix(name, "user.moorfs.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := syscall.Getxattr(path, name, value)
		if err != nil {
			return "", &fs.PathError{Op: "getxattr " + name, Path: path, Err: err}
		}
		all = append(all, fmt.Sprintf("%s=%q", name, value[:n]))
	}
	slices.Sort(all)
	return strings.Join(all, " "), nil
}

// same fails the test where got is not want.
func (s *site) same(got, want tree, d detail) {
	s.t.Helper()
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		w := want[name]
		g, there := got[name]
		if !there {
			wrong = append(wrong, fmt.Sprintf("%s is missing", name))
			continue
		}
		if d == untimed || d == timed && g.kind() == syscall.S_IFDIR {
			g.mtime = w.mtime
		}
		if g != w {
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", name, g, w))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[name]; !wanted {
			wrong = append(wrong, fmt.Sprintf("%s is too many", name))
		}
	}
	s.complain("the trees differ", wrong)
}

func (e entry) String() string {
	return fmt.Sprintf("{%o %d:%d dev %x, %d bytes of %d, to %q, %s, %x}",
		e.mode, e.uid, e.gid, e.rdev, e.size, e.mtime, e.target, e.xattrs, e.sum[:6])
}

// complain fails the test with the first of what is wrong.
func (s *site) complain(what string, wrong []string) {
	s.t.Helper()
	const most = 20
	if len(wrong) > most {
		wrong = append(wrong[:most], fmt.Sprintf("and %d more", len(wrong)-most))
	}
	if len(wrong) > 0 {
		s.t.Errorf("%s:\n\t%s", what, strings.Join(wrong, "\n\t"))
	}
}
