package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

const (
	scrubRate = 4 << 20 // bytes a second
	scrubRest = time.Hour
	// scrubStart keeps it out of the way of what a mount begins with.
	scrubStart = time.Minute
	// scrubQuiet is how long nobody may have asked for anything before the
	// scrubber goes on.
	scrubQuiet = time.Second
)

// A ScrubInfo says what comparing the cached data with its checksums found.
type ScrubInfo struct {
	Checked int64 `json:"checked_bytes"` // compared
	Again   int64 `json:"damaged_clean"` // bytes that were damaged, and are in the bucket: forgotten here
	Lost    int64 `json:"damaged_dirty"` // bytes that were damaged, and are nowhere else
}

// An activity counts what tells the scrubber to wait, and what it did.
type activity struct {
	asked    atomic.Int64 // reads and writes of programs
	before   atomic.Int64 // as isBusy saw it
	scrubbed atomic.Int64 // bytes compared
}

// scrubLoop compares, at a low rate and while nobody wants anything, what is
// cached with its checksums: damage is found while there still is a good copy
// in the bucket.
func (c *Cache) scrubLoop() {
	runtime.LockOSThread() // which ends with the goroutine, with its priority
	idlePriority()
	c.pause(scrubStart)
	after := Ino(rand.Uint64N(1 << 20)) // not always the same files first, however short the mounts
	for c.ctx.Err() == nil {
		var err error
		if after, err = c.scrubNext(c.ctx, after, c.scrubPace); err != nil && c.ctx.Err() == nil {
			c.cfg.Log.Error("cache: comparing cached data with its checksums", "error", err)
			c.pause(scrubRest)
		}
		if after == 0 {
			c.pause(scrubRest)
		}
	}
}

// scrubPace waits until n more bytes may be read.
func (c *Cache) scrubPace(n int64) error {
	c.pause(time.Duration(n) * time.Second / scrubRate)
	for c.ctx.Err() == nil && c.isBusy() {
		c.pause(scrubQuiet)
	}
	return c.ctx.Err()
}

func (c *Cache) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.ctx.Done():
	case <-t.C:
	}
}

// isBusy reports whether anybody read, wrote or sent anything lately.
func (c *Cache) isBusy() bool {
	now := c.activity.asked.Load() + c.progress()
	return c.activity.before.Swap(now) != now
}

// scrubNext compares the next inode behind after that has checksums, and
// returns it; 0: there was none.
func (c *Cache) scrubNext(ctx context.Context, after Ino, pace func(int64) error) (ino Ino, err error) {
	var e *journal.Extents
	err = c.view(func(tx *journal.Tx) error {
		return tx.AllExtents(after, func(i Ino, x *journal.Extents) error {
			if ino, e = i, x; x.Sums > 0 {
				return journal.Stop
			}
			ino = 0
			return nil
		})
	})
	if err != nil || ino == 0 || e.Sums == 0 {
		return 0, err
	}
	return ino, c.scrub(ctx, ino, pace)
}

// A comparison says how a data file is compared with its checksums.
type comparison struct {
	pace func(int64) error                            // called before so many bytes are read; nil: at once
	bad  func(r extent.Range, dirty extent.Set) error // of a block that is not as it was, dirty: not in the bucket
}

// scrub compares one inode's data file and deals with what is damaged.
func (c *Cache) scrub(ctx context.Context, ino Ino, pace func(int64) error) error {
	return c.compareFile(ctx, ino, comparison{pace: pace, bad: func(r extent.Range, _ extent.Set) error { return c.recheck(ino, r) }})
}

// compareFile compares an inode's data file as the journal has it. It takes no
// lock: what seems damaged may only have changed meanwhile.
func (c *Cache) compareFile(ctx context.Context, ino Ino, how comparison) error {
	var s sums
	var dirty extent.Set
	var size int64
	d, err := openDirect(c.dataPath(ino))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("inode %d: %w", ino, err)
	}
	var data *dataFile
	if err == nil {
		defer d.close()
		data = &dataFile{File: d.f}
	}
	err = c.view(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return err
		}
		e, found, err := tx.Extents(ino)
		if err != nil || !found {
			return err
		}
		torn, err := c.afterReboot(e, data)
		if err != nil {
			return err
		}
		dirty, size = e.Dirty, rec.Size
		if rec.Base.ETag == "" {
			e.Present.Add(0, size)
			dirty = e.Present
		}
		return s.load(tx, ino, e, sumsLoad{compared: true, torn: torn})
	})
	all := s.covered(extent.Range{Len: size}, false)
	if err != nil || len(all) == 0 {
		return err
	}
	for _, r := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if how.pace != nil {
			if err := how.pace(r.Len); err != nil {
				return err
			}
		}
		c.activity.scrubbed.Add(r.Len)
		if d != nil && s.holds(r.Off, d.read(r)) {
			continue
		}
		if err := how.bad(r, extent.New(dirty.Within(r.Off, r.Len)...)); err != nil {
			return err
		}
	}
	return nil
}

// recheck compares a range of a file as it is now.
func (c *Cache) recheck(ino Ino, r extent.Range) error {
	f, err := c.hold(ino)
	if f == nil || err != nil {
		return err
	}
	defer c.unpin(f)
	return f.check(r, checkAll)
}

// hold makes a file live, until unpin; nil: it is gone.
func (c *Cache) hold(ino Ino) (*file, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, err := c.recordLocked(ino)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := c.live(ino, rec)
	if err == nil {
		f.users.Add(1)
	}
	return f, err
}

// A directFile is read past the kernel's memory where that is possible: it
// shows what is on the disk, and takes no memory from others.
type directFile struct {
	f   *os.File
	buf []byte // of sumBlock bytes, at the beginning of a page
}

func openDirect(path string) (*directFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	buf, err := unix.Mmap(-1, 0, sumBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &directFile{f, buf}, nil
}

// read returns the bytes of a block's beginning, or as many as the disk gives;
// they are valid until the next call.
func (d *directFile) read(r extent.Range) []byte {
	n, err := unix.Pread(int(d.f.Fd()), d.buf, r.Off)
	if errors.Is(err, unix.EINVAL) { // the disk's blocks are larger than a page
		if plain, err := os.Open(d.f.Name()); err == nil {
			_ = d.f.Close() // only read
			d.f = plain
			n, _ = unix.Pread(int(plain.Fd()), d.buf, r.Off)
		}
	}
	return d.buf[:min(max(int64(n), 0), r.Len)]
}

func (d *directFile) close() { _, _ = d.f.Close(), unix.Munmap(d.buf) } // only read

// idlePriority lets this thread's reads and computations wait for all others.
func idlePriority() {
	const whoThread, classIdle = 1, 3 << 13 // ioprio_set(2)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoThread, 0, classIdle)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
}
