package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// errNotMounted says that nothing is mounted at a path.
var errNotMounted = errors.New("nothing is mounted there")

// A mount is a line of /proc/self/mountinfo.
type mount struct {
	minor        int // of st_dev; of a FUSE mount, its connection
	path         string
	fsType       string
	source       string
	superOptions string
}

// mountedOn returns the topmost mount at path, which must be absolute and
// without symbolic links, without touching it; errNotMounted if there is none.
func mountedOn(path string) (mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mount{}, fmt.Errorf("mount table: %w", err)
	}
	return parseMounts(string(data), path)
}

func parseMounts(table, path string) (mount, error) {
	found, err := mount{}, fmt.Errorf("%q: %w", path, errNotMounted)
	for line := range strings.Lines(table) {
		if m, ok := parseMount(line); ok && m.path == path {
			found, err = m, nil
		}
	}
	return found, err
}

// parseMount reads "36 35 0:45 / /mnt rw shared:1 - fuse.moorfs s3://b rw,…".
func parseMount(line string) (mount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 5 || len(r) < 3 {
		return mount{}, false
	}
	_, minor, _ := strings.Cut(l[2], ":")
	n, err := strconv.Atoi(minor)
	if err != nil {
		return mount{}, false
	}
	return mount{minor: n, path: unescape(l[4]), fsType: r[0], source: unescape(r[1]), superOptions: r[2]}, true
}

// unescape undoes the kernel's \ooo of space, tab, newline, backslash and #.
func unescape(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		code, err := strconv.ParseUint(rest[:min(3, len(rest))], 8, 8)
		if err != nil || len(rest) < 3 {
			b.WriteByte('\\')
			s = rest
			continue
		}
		b.WriteByte(byte(code))
		s = rest[3:]
	}
}

// resolve returns path absolute and without symbolic links. It touches the
// directories above, but not what is mounted at path itself: readlink(2) asks
// nothing of a mounted filesystem's root.
func resolve(path string) (string, error) {
	for range 40 {
		abs, err := filepath.Abs(path)
		if err != nil || abs == "/" {
			return abs, err
		}
		parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return "", err
		}
		abs = filepath.Join(parent, filepath.Base(abs))
		target, err := os.Readlink(abs)
		if err != nil {
			return abs, nil // no link, or nothing there: the caller will see
		}
		if path = target; !filepath.IsAbs(path) {
			path = filepath.Join(parent, target)
		}
	}
	return "", syscall.ELOOP
}

// abort ends a FUSE connection.
func abort(connection int) error { return AbortIf(connection, func() bool { return true }) }

// connections is where the kernel shows its FUSE connections.
const connections = "/sys/fs/fuse/connections"

// AbortIf ends the FUSE connection of a number if still holds of it: the
// number that is looked at is the one that is aborted, even if it ends and is
// given again meanwhile. Where there is no such connection, or fusectl is not
// mounted, the error is os.ErrNotExist.
func AbortIf(connection int, still func() bool) error {
	f, err := os.OpenFile(fmt.Sprintf("%s/%d/abort", connections, connection), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("abort connection: %w", err)
	}
	if still() {
		_, err = f.WriteString("1")
	}
	return errors.Join(err, f.Close())
}

// detach takes a mount out of the tree at once; programs that use it keep it
// until they let go.
func detach(dir string) error {
	if asRoot() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %q: %w", dir, err)
		}
		return nil
	}
	out, err := exec.Command("fusermount3", "-u", "-z", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmount %q: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// detachOurs detaches what a failed mount of source may have left at dir.
func detachOurs(dir, source string) error {
	m, err := mountedOn(dir)
	if err != nil || m.fsType != "fuse."+fsType || m.source != source {
		return nil
	}
	return detach(dir)
}
