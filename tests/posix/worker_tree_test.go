package posix

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// treeCalls look at whole trees, as root: all below the case's directory.
var treeCalls = map[string]call{
	// look tells of every name its attributes, and which times have changed
	// since the last look.
	"look": func(w *agent, _ *args) (string, error) { return w.tree(false) },
	// inspect tells the content and extended attributes, too.
	"inspect": func(w *agent, _ *args) (string, error) { return w.tree(true) },
	"wipe":    func(_ *agent, a *args) (string, error) { return "", os.RemoveAll(a.word()) },
	// deep makes directories below each other and stays in the lowest.
	"deep": func(_ *agent, a *args) (string, error) {
		name, n := a.word(), a.int()
		for i := range n {
			if err := unix.Mkdir(name, 0o777); err != nil {
				return fmt.Sprint(i), err
			}
			if err := unix.Chdir(name); err != nil {
				return fmt.Sprint(i), err
			}
		}
		return "", nil
	},
}

// stamps are the times of an inode.
type stamps struct{ a, m, c unix.StatxTimestamp }

// A view is one look at a tree.
type view struct {
	w      *agent
	lines  []string
	deeply bool
	seen   map[uint64]stamps
}

func (w *agent) tree(deeply bool) (string, error) {
	v := &view{w: w, deeply: deeply, seen: map[uint64]stamps{}}
	if err := v.add("."); err != nil {
		return "", err
	}
	w.last = v.seen
	return strings.Join(v.lines, "\n"), nil
}

// add tells of path and all below it, in the order of names.
func (v *view) add(path string) error {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &s); err != nil {
		v.lines = append(v.lines, strconv.Quote(path)+": "+errnoName(err))
		return nil
	}
	line := strconv.Quote(path) + " " + describe(&s) + v.times(&s)
	if v.deeply {
		line += contentOf(path, &s) + xattrsOf(path)
	}
	v.lines = append(v.lines, line)
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	names, err := list(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := v.add(path + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

// times shows a time that a script has set as it is, one that was set by
// itself as now, and by a + that it is another than before. Whether an access
// is noted depends on the clock's tick where the others are new.
func (v *view) times(s *unix.Statx_t) string {
	now := stamps{s.Atime, s.Mtime, s.Ctime}
	old, known := v.w.last[s.Ino]
	v.seen[s.Ino] = now
	changed := func(is, was unix.StatxTimestamp) string {
		if known && is != was {
			return "+"
		}
		return ""
	}
	return fmt.Sprintf(" a=%s m=%s%s c=%s%s", when(now.a), when(now.m), changed(now.m, old.m), when(now.c), changed(now.c, old.c))
}

// Scripts set times before 2020 or after 2100.
func when(t unix.StatxTimestamp) string {
	const y2020, y2100 = 1577836800, 4102444800
	if t.Sec > y2020 && t.Sec < y2100 {
		return "now"
	}
	return fmt.Sprintf("%d.%09d", t.Sec, t.Nsec)
}

// list reads a directory without leaving a trace.
func list(path string) ([]string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), path)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// contentOf shows what a file or link holds.
func contentOf(path string, s *unix.Statx_t) string {
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return " " + errnoName(err)
		}
		return " -> " + strconv.Quote(target)
	case unix.S_IFREG:
		f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NOATIME, 0)
		if err != nil {
			return " " + errnoName(err)
		}
		defer f.Close()
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, io.LimitReader(f, 1<<26))
		if err != nil {
			return " " + errnoName(err)
		}
		return fmt.Sprintf(" %d bytes, crc %08x", n, sum.Sum32())
	}
	return ""
}
