package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// guardInterval bounds how often free space is looked at.
const guardInterval = 5 * time.Millisecond

// A ballast is a file that takes up space on the journal's disk so that there
// is some to give up. Badger writes its logs through mappings of sparse files:
// on a full disk such a write kills the process (SIGBUS), and again at every
// start. So when less than the ballast's size is free, the file is removed and
// the journal works on; when even that is used up, changes are refused. What
// is left then, the same size again, is for what badger still does by itself:
// turning logs into tables and merging tables, up to about 90 MiB with
// badgerOptions. The file comes back when there is plenty of room again.
type ballast struct {
	path string
	size int64
	log  *slog.Logger

	mu   sync.Mutex
	held bool // the file is there with its full size
	full bool // the last look found no room
	next time.Time
}

func newBallast(path string, size int64, log *slog.Logger) *ballast {
	return &ballast{path: path, size: size, log: log}
}

// beforeOpen gives up the ballast of an earlier run if the disk is full now,
// and fails with ErrFull if that does not suffice for opening the journal.
func (b *ballast) beforeOpen() error {
	if b.size == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	info, err := os.Stat(b.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ballast: %w", err)
	}
	b.held = err == nil && info.Size() == b.size
	return b.look()
}

// beforeClose gives up the ballast if closing the journal needs it, and fails
// with ErrFull if that does not suffice: the last log is made a table then.
func (b *ballast) beforeClose() error {
	if b.size == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.look()
	if free, sized := freeSpace(b.path); errors.Is(err, ErrFull) && sized == nil && free >= b.size/3 {
		return nil
	}
	return err
}

// guard is called before a change. It gives up the ballast in need, and fails
// with ErrFull if there is none left to give up.
func (b *ballast) guard() error {
	if b.size == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(guardInterval)
		return b.look()
	}
	if b.full {
		return ErrFull
	}
	return nil
}

// guardFreeing is guard for a change after which space is given back.
func (b *ballast) guardFreeing() error {
	if b.guard() == nil {
		return nil
	}
	free, err := freeSpace(b.path)
	if err == nil && free < b.size/4 {
		err = ErrFull
	}
	return err
}

// look compares free space with what is needed. b.mu is held.
func (b *ballast) look() error {
	b.full = false
	free, err := freeSpace(b.path)
	if err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	if free >= b.size {
		return nil
	}
	if b.held {
		if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("ballast: %w", err)
		}
		b.held = false
		b.log.Warn("journal: the disk is nearly full, its reserve is given up", "free", free, "reserve", b.size)
		if free, err = freeSpace(b.path); err != nil {
			return fmt.Errorf("ballast: %w", err)
		}
	}
	if b.full = free < b.size; b.full {
		return ErrFull
	}
	return nil
}

// fill makes the ballast, if that leaves twice as much free. A journal without
// ballast works, so failures are only logged.
func (b *ballast) fill() {
	if b.size == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return
	}
	free, err := freeSpace(b.path)
	if err == nil && free < 3*b.size {
		return
	}
	if err == nil {
		err = allocate(b.path, b.size)
	}
	if err != nil {
		b.log.Warn("journal: cannot set a reserve of space aside", "error", err)
		return
	}
	b.held = true
}

// allocate makes a file whose blocks are all taken.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
	err = errors.Join(err, f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(path))
	}
	return nil
}

// freeSpace returns the bytes that are free on the disk of the directory that
// path is in.
func freeSpace(path string) (int64, error) {
	var st syscall.Statfs_t
	dir := filepath.Dir(path)
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}
