package s3test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A tempDir is a directory that is removed in the end: by remove, or, if this
// process dies before, by the next that makes one.
type tempDir struct {
	path string
	held *os.File // locked for as long as the directory is in use
}

const (
	tempPattern = "moorfs-s3-*"
	holdName    = "in-use"
	// tempGrace is longer than it takes to lock a new directory.
	tempGrace = time.Minute
)

func newTempDir() (*tempDir, error) {
	parent := tempParent()
	removeLeftovers(parent)
	path, err := os.MkdirTemp(parent, tempPattern)
	if err != nil {
		return nil, err
	}
	held, err := os.Create(filepath.Join(path, holdName))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	d := &tempDir{path, held}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func (d *tempDir) remove() error {
	return errors.Join(os.RemoveAll(d.path), d.held.Close())
}

// tempParent is on a real disk by default: the servers keep metadata in
// extended attributes, which not every tmpfs has.
func tempParent() string {
	if d := os.Getenv("TMPDIR"); d != "" {
		return d
	}
	return "/var/tmp"
}

// removeLeftovers removes the directories of processes that were killed. What
// it cannot remove, another user's for one, stays.
func removeLeftovers(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, tempPattern)) // the pattern is a good one
	for _, path := range found {
		st, err := os.Stat(path)
		if err != nil || time.Since(st.ModTime()) < tempGrace {
			continue
		}
		held, err := os.Open(filepath.Join(path, holdName))
		if err != nil {
			continue
		}
		if syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = held.Close()
	}
}
