package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A utab is the file in which mount(8) keeps what the kernel does not. Only
// for mounts that have a line in it does umount(8) call
// /sbin/umount.fuse.moorfs.
type utab struct{ file string }

func systemUtab() utab { return utab{file: "/run/mount/utab"} }

// utabMark tells our lines.
const utabMark = "OPTS=x-moorfs"

// add writes the line of a mount, in place of an earlier one of ours at the
// same directory.
func (u utab) add(source, dir string) error {
	return u.edit(func(lines []string) []string {
		line := fmt.Sprintf("SRC=%s TARGET=%s ROOT=/ %s\n", mangle(source), mangle(dir), utabMark)
		return append(withoutTarget(lines, dir), line)
	})
}

// remove takes our line of a directory away; a missing one is no error.
func (u utab) remove(dir string) error {
	if _, err := os.Stat(u.file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return u.edit(func(lines []string) []string { return withoutTarget(lines, dir) })
}

// withoutTarget drops our lines for dir and keeps everybody else's.
func withoutTarget(lines []string, dir string) []string {
	var kept []string
	for _, l := range lines {
		if !(hasField(l, "TARGET="+mangle(dir)) && hasField(l, utabMark)) {
			kept = append(kept, l)
		}
	}
	return kept
}

func hasField(line, field string) bool {
	for _, f := range strings.Fields(line) {
		if f == field {
			return true
		}
	}
	return false
}

// edit replaces the file by what change makes of its lines, under the lock
// that mount(8) takes, and by rename, since others read it without the lock.
func (u utab) edit(change func([]string) []string) (err error) {
	fail := func(err error) error { return fmt.Errorf("edit %s: %w", u.file, err) }
	if err := os.MkdirAll(filepath.Dir(u.file), 0o755); err != nil {
		return fail(err)
	}
	lock, err := os.OpenFile(u.file+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fail(err)
	}
	old, err := os.ReadFile(u.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}
	var lines []string
	for line := range strings.Lines(string(old)) {
		if !strings.HasSuffix(line, "\n") {
			line += "\n"
		}
		lines = append(lines, line)
	}
	if err := writeWhole(u.file, []byte(strings.Join(change(lines), "")), 0o644); err != nil {
		return fail(err)
	}
	return nil
}

// writeWhole replaces a file in one step; the mode is given whatever the
// umask.
func writeWhole(file string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()) // synced: a power cut may not leave the name without the text
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
