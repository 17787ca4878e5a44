package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// diskLook is how often a disk that fails is looked at again.
const diskLook = time.Second

// isDiskError tells the errors of a disk that fails. That it is full has ways
// of its own (space.go).
func isDiskError(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EUCLEAN)
}

// A diskHealth says whether the cache's disk fails. That begins with the first
// call that does (isDiskError) and ends when everything can be made
// durable again (keepDurable): one line in the log each, whatever fails meanwhile.
type diskHealth struct {
	log  *slog.Logger
	wake chan struct{} // told of a failure that begins

	mu    sync.Mutex // a leaf
	since time.Time  // zero: it works
	cause string
	bad   string // the file that could not be read last, if one could not
}

// failed reports whether err is that the disk fails, and notes it. Nobody need
// log such an error.
func (d *diskHealth) failed(err error) bool {
	if !isDiskError(err) {
		return false
	}
	d.note(err)
	return true
}

func (d *diskHealth) note(err error) {
	d.mu.Lock()
	first := d.since.IsZero()
	if first {
		d.since = time.Now()
	}
	d.cause = oneLine(err)
	if file := (*fs.PathError)(nil); errors.As(err, &file) && file.Op == "read" {
		d.bad = file.Path
	}
	d.mu.Unlock()
	if !first {
		return
	}
	d.log.Error("cache: the disk fails; what is cached is served as far as it can be read, what cannot be written ends with an error", "error", err)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// state returns why the disk fails, empty if it does not.
func (d *diskHealth) state() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cause
}

// works ends a failure.
func (d *diskHealth) works() {
	d.mu.Lock()
	since := d.since
	d.since, d.cause, d.bad = time.Time{}, "", ""
	d.mu.Unlock()
	d.log.Info("cache: the disk works again", "after", time.Since(since).Round(time.Millisecond))
}

// keepDurable makes everything durable that is only in the kernel's memory. If
// the disk failed it looks whether that works again, and what it took
// meanwhile without keeping it is written once more.
func (c *Cache) keepDurable() error {
	failing := c.disk.state() != ""
	if failing {
		if err := c.tryDisk(); err != nil {
			return err
		}
	}
	err := c.db.Mend()
	if err == nil {
		err = c.syncAll()
	}
	if err == nil && failing {
		c.disk.works()
		c.queue.do(c.queue.retryAll)
	}
	return err
}

// badRead is how much of a file that could not be read is tried again.
const badRead = 64 << 20

// tryDisk writes a file and removes it, and reads the one that could not be
// read.
func (c *Cache) tryDisk() (err error) {
	if err := c.disk.tryRead(); err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	path := filepath.Join(c.cfg.Dir, "disk.tmp")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	if _, err = f.Write([]byte(path)); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(path))
}

func (d *diskHealth) tryRead() error {
	d.mu.Lock()
	bad := d.bad
	d.mu.Unlock()
	if bad == "" {
		return nil
	}
	f, err := os.Open(bad)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, f, badRead)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// rewritePiece is how much writeAgain writes with the file's lock held.
const rewritePiece = 1 << 20

// writeAgain writes what a data file holds once more, after an fdatasync that
// failed: what the disk did not take then the kernel calls written. What the
// kernel has forgotten meanwhile differs from its checksums.
func (f *file) writeAgain() error {
	buf := make([]byte, rewritePiece)
	for off := int64(0); ; {
		next, err := f.writePieceAgain(buf, off)
		if errors.Is(err, ErrNoData) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cache disk: %w", err)
		}
		off = next
	}
}

// writePieceAgain writes the next bytes at or behind off, and returns where
// they end.
func (f *file) writePieceAgain(buf []byte, off int64) (next int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := dataAt(f.fd, off, true)
	if err != nil {
		return 0, err
	}
	end, err := dataAt(f.fd, at, false)
	if err != nil {
		return 0, err
	}
	p := buf[:min(int64(len(buf)), end-at)]
	if _, err := f.fd.ReadAt(p, at); err != nil {
		return 0, err
	}
	_, err = f.fd.WriteAt(p, at)
	return at + int64(len(p)), err
}
