package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A mountLine is what the kernel says of one FUSE mount.
type mountLine struct {
	dir, source, fstype string
	options             string
	connection          int // its number under /sys/fs/fuse/connections
}

// fuseMounts lists the FUSE mounts at dir and below it, the deepest last. It
// reads mountinfo and so never waits for a daemon.
func fuseMounts(dir string) ([]mountLine, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var mounts []mountLine
	for line := range strings.Lines(string(data)) {
		m, ok := parseMount(strings.TrimSpace(line))
		if ok && strings.HasPrefix(m.fstype, "fuse.") && below(dir, m.dir) {
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}

// parseMount reads a line of mountinfo:
//
//	36 35 0:98 / /mnt rw,noatime shared:1 - fuse.moorfs s3://b rw,...
func parseMount(line string) (mountLine, bool) {
	head, tail, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(head), strings.Fields(tail)
	if !ok || len(left) < 6 || len(right) < 3 {
		return mountLine{}, false
	}
	_, minor, _ := strings.Cut(left[2], ":")
	n, err := strconv.Atoi(minor)
	if err != nil {
		return mountLine{}, false
	}
	return mountLine{dir: unescape(left[4]), source: unescape(right[1]), fstype: right[0],
		options: left[5], connection: n}, true
}

// unescape turns the kernel's \ooo into bytes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func below(root, dir string) bool {
	return dir == root || strings.HasPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

// mountAt returns the FUSE mount at dir, the uppermost if there are several.
func mountAt(dir string) (mountLine, bool) {
	mounts, err := fuseMounts(dir)
	if err != nil {
		return mountLine{}, false
	}
	var found mountLine
	for _, m := range mounts {
		if m.dir == dir {
			found = m
		}
	}
	return found, found.dir != ""
}

// Mounted reports whether a FUSE filesystem is mounted at dir, and its source.
func Mounted(dir string) (source string, ok bool) {
	m, ok := mountAt(dir)
	return m.source, ok
}

// Abort fails every request, present and future, on the FUSE mounts at dir
// and below it. It never waits for a daemon.
func Abort(dir string) error {
	mounts, err := fuseMounts(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		if err := m.abort(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (m mountLine) abort() error {
	file := filepath.Join(connections, strconv.Itoa(m.connection), "abort")
	err := os.WriteFile(file, []byte("1"), 0)
	if err != nil && !os.IsNotExist(err) { // the connection ends with its daemon
		return fmt.Errorf("aborting the mount at %s: %w", m.dir, err)
	}
	return nil
}

// leftBehind lists the mounts below root, clearing each.
func leftBehind(root string) ([]mountLine, error) {
	mounts, err := fuseMounts(root)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i := len(mounts) - 1; i >= 0; i-- {
		errs = append(errs, mounts[i].clear())
	}
	return mounts, errors.Join(errs...)
}

// ClearBelow clears the FUSE mounts at dir and below it, and returns where they
// were.
func ClearBelow(dir string) ([]string, error) {
	mounts, err := leftBehind(dir)
	var dirs []string
	for _, m := range mounts {
		dirs = append(dirs, m.dir)
	}
	return dirs, err
}

// clear aborts the mount's connection and takes the mount away.
func (m mountLine) clear() error {
	if err := m.abort(); err != nil {
		return err
	}
	err := syscall.Unmount(m.dir, syscall.MNT_DETACH)
	if err == syscall.EPERM {
		return fusermount(m.dir)
	}
	if err != nil && err != syscall.EINVAL { // EINVAL: it went by itself
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	return nil
}
