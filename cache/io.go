package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// ReadAt fills p from off and returns how many bytes there were: fewer only
// at the end of the file. Missing bytes are fetched from exactly the version
// the file descends from; ErrStale if that is gone.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := h.readAt(ctx, p, off)
	if err != nil {
		return 0, &Error{"read", h.f.c.pathOf(h.f.ino), err}
	}
	h.accessed()
	return n, nil
}

func (h *Handle) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	f := h.f
	f.c.activity.asked.Add(1)
	window := h.ahead.next(off, int64(len(p)))
	f.lastRead.Store(off)
	for failed := false; ; {
		n, here, err := f.readPresent(p, off)
		r := extent.Range{Off: off, Len: n}
		switch {
		case errors.Is(err, errUnchecked):
			if err := f.check(r, checkNew); err != nil {
				return 0, err
			}
			continue
		case err != nil && !failed && !errors.Is(err, ErrDamaged) && f.unreadable(r, err):
			failed = true
			continue
		}
		if here {
			if err == nil && n > 0 && window.Len > 0 {
				f.prefetch(window)
			}
			return int(n), err
		}
		direct, err := f.fetch(ctx, fetchSpan{off: off, n: n, unit: h.ahead.unit(), ahead: window}, p)
		if err != nil {
			return 0, err
		}
		if direct { // the cache has no room: served without keeping
			return int(n), nil
		}
	}
}

// readPresent reads p, or up to the file's end, if that is all in the data
// file; n is how much that is or would be.
func (f *file) readPresent(p []byte, off int64) (n int64, here bool, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if n = min(int64(len(p)), f.size-off); n <= 0 {
		return 0, true, nil
	}
	r := extent.Range{Off: off, Len: n}
	if f.sums.unchecked > 0 && len(f.sums.covered(r, true)) > 0 {
		return n, true, errUnchecked
	}
	if err := f.lost(r); err != nil {
		return n, true, err
	}
	if !f.ext.Present.Contains(off, n) {
		return n, false, nil
	}
	got, err := f.fd.ReadAt(p[:n], off)
	if errors.Is(err, io.EOF) { // the data file may end before a hole at the end of the file
		clear(p[got:n])
		err = nil
	}
	return n, true, err
}

// WriteAt writes p at off (Append handles: at the end). The bytes are in the
// data file when it returns.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if !h.mode.Write {
		return 0, &Error{"write", h.f.c.pathOf(h.f.ino), ErrPermission}
	}
	if err := h.f.change(ctx, int64(len(p)), func(f *file) error {
		if h.mode.Append {
			off = f.size
		}
		return f.writeLocked(p, off)
	}); err != nil {
		h.f.c.disk.failed(err)
		return 0, &Error{"write", h.f.c.pathOf(h.f.ino), err}
	}
	h.dirtied.Store(true)
	return len(p), nil
}

// change runs fn with f.mu held, after room for n more bytes was found and the
// journal was told that the file changes.
func (f *file) change(ctx context.Context, n int64, fn func(*file) error) error {
	f.c.activity.asked.Add(1)
	if err := f.c.reserve(ctx, f, n); err != nil {
		return err
	}
	for {
		if done, err := f.changeNoted(fn); done {
			return err
		}
		if err := f.c.noteChange(f); err != nil {
			return err
		}
	}
}

// changeNoted runs fn with f.mu held if the journal knows of the change.
func (f *file) changeNoted(fn func(*file) error) (done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.noted {
		return false, nil
	}
	defer f.account()
	return true, fn(f)
}

// noteChange tells the journal, before the first byte is written after a
// quiet state, that the file's key wants newer content.
func (c *Cache) noteChange(f *file) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noted {
		return nil
	}
	err := c.update("dirtied", func(ch *change) error {
		rec, found, err := ch.Inode(f.ino)
		if err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		return ch.dirty(f.ino, rec, journal.ChangedData)
	})
	f.noted = err == nil
	return err
}

func (f *file) writeLocked(p []byte, off int64) error {
	n := int64(len(p))
	if err := f.beforeOverwrite(off, n); err != nil {
		return err
	}
	if off > f.size {
		if err := f.cutData(); err != nil {
			return err
		}
	}
	got, err := f.fd.WriteAt(p, off)
	if got > 0 {
		f.sums.put(off, p[:got])
		f.wrote(off, int64(got))
	}
	if err != nil {
		f.sums.drop(off+int64(got), n-int64(got))
		return fmt.Errorf("cache disk: %w", err)
	}
	return nil
}

// beforeOverwrite prepares a range for new bytes: what is being sent is saved,
// and a partly cached file notes the blocks it is about to touch.
func (f *file) beforeOverwrite(off, n int64) error {
	if err := f.outdate(extent.Range{Off: off, Len: n}); err != nil {
		return err
	}
	if z := f.frozen; z != nil && f.lost(extent.Range{Off: off, Len: min(n, z.size-off)}) != nil {
		f.thaw() // saved, the damaged bytes would be sent for good ones
	}
	if err := f.freeze(off, n); err != nil {
		return err
	}
	if f.base.ETag == "" {
		return nil
	}
	from := off / touchBlock * touchBlock
	to := (off + n + touchBlock - 1) / touchBlock * touchBlock
	if f.ext.Touched.Contains(from, to-from) {
		return nil
	}
	f.ext.Touched.Add(from, to-from)
	return f.store(f.c.db.Update, "touched")
}

// wrote notes new content; a gap it leaves behind the old end is a hole that
// reads as zeros.
func (f *file) wrote(off, n int64) {
	if off > f.size {
		off, n = f.size, off+n-f.size
	}
	f.fill(off, n)
	f.rewrote.Add(off, n)
	f.ext.Dirty.Add(off, n)
	f.ext.Damaged.Remove(off, n)
	f.size = max(f.size, off+n)
	f.modified()
}

func (f *file) modified() {
	f.lastWrite = time.Now()
	f.times.mtime = f.lastWrite.UnixNano()
	f.times.ctime = f.times.mtime
	f.unsaved = true
	f.written++
}

// truncate is truncate(2). To the size that the file has it only changes the
// times.
func (h *Handle) truncate(ctx context.Context, size int64) error {
	f := h.f
	f.mu.RLock()
	shrinks, same := size < f.size, size == f.size
	f.mu.RUnlock()
	if same {
		now := time.Now()
		return f.c.editInode(ctx, f.ino, func(rec *journal.Inode, f *file) error {
			return applyAttrs(rec, f, AttrChange{Mtime: &now})
		})
	}
	var err error
	if shrinks {
		err = f.c.shrink(f, size)
	} else {
		err = f.change(ctx, 0, func(f *file) error { return f.grow(size) })
	}
	if err == nil {
		h.dirtied.Store(true)
	}
	return err
}

// shrink cuts a file. The journal knows the new size before the bytes go: what
// was acknowledged is never half there.
func (c *Cache) shrink(f *file, size int64) error {
	if err := c.noteChange(f); err != nil {
		return err
	}
	if err := f.check(extent.Range{Off: size, Len: 1}, checkNew); err != nil { // what stays of the last block
		return err
	}
	c.mu.Lock()
	unlock := sync.OnceFunc(c.mu.Unlock)
	defer unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.thaw() // the tail being sent may be long: send again instead of saving it
	before := f.ext
	for _, s := range []*extent.Set{&f.ext.Present, &f.ext.Dirty, &f.ext.Damaged, &f.ext.Loose} {
		*s = s.Clone()
		s.Truncate(size)
	}
	f.sums.truncate(size)
	var rec *journal.Inode
	err := c.update("shrunk", func(ch *change) error {
		var found bool
		var err error
		if rec, found, err = ch.Inode(f.ino); err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		rec.Size = size
		return errors.Join(ch.dirty(f.ino, rec, journal.ChangedData), ch.putExtents(f, f.extents()))
	})
	if err != nil {
		f.ext = before
		return err
	}
	logged := f.logSidecar(rec)
	unlock()
	f.since.Truncate(size)
	f.noted, f.size, f.cut = true, size, true
	f.modified()
	if err := f.fd.Truncate(size); err != nil {
		return errors.Join(fmt.Errorf("cache disk: %w", err), logged)
	}
	f.account()
	return logged
}

// cutData takes away what lies behind the end of the file in its data file,
// which a cut that failed has left there: it is not to come back when the file
// grows. The caller holds f.mu.
func (f *file) cutData() error {
	st, err := f.fd.Stat()
	if err == nil && st.Size() > f.size {
		err = f.fd.Truncate(f.size)
	}
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	return nil
}

// grow sets a larger size; the bytes behind the old end are a hole.
func (f *file) grow(size int64) error {
	if size == f.size {
		return nil
	}
	if err := f.cutData(); err != nil {
		return err
	}
	if err := f.fd.Truncate(size); err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	f.fill(f.size, size-f.size)
	f.ext.Dirty.Add(f.size, size-f.size)
	f.size = size
	f.modified()
	return nil
}

// AllocateMode says which form of fallocate(2) is meant.
type AllocateMode int

const (
	AllocateGrow     AllocateMode = iota // the file grows to hold the range
	AllocateKeep                         // FALLOC_FL_KEEP_SIZE
	AllocatePunch                        // FALLOC_FL_PUNCH_HOLE
	AllocateZero                         // FALLOC_FL_ZERO_RANGE
	AllocateZeroKeep                     // FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE
)

// Allocate is fallocate(2). Space is promised by the cache's disk only.
func (h *Handle) Allocate(ctx context.Context, off, n int64, m AllocateMode) error {
	if !h.mode.Write || off < 0 || n <= 0 {
		return &Error{"fallocate", h.f.c.pathOf(h.f.ino), ErrInvalid}
	}
	room := n
	if m == AllocatePunch {
		room = 0
	}
	err := h.f.change(ctx, room, func(f *file) error {
		err := f.allocate(off, n, m)
		if err == nil {
			f.modified() // whatever else changed
		}
		return err
	})
	if err != nil {
		return &Error{"fallocate", h.f.c.pathOf(h.f.ino), err}
	}
	h.dirtied.Store(true)
	return nil
}

func (f *file) allocate(off, n int64, m AllocateMode) error {
	if m == AllocateKeep {
		return nil
	}
	if m == AllocateGrow {
		if off+n > f.size {
			return f.grow(off + n)
		}
		return nil
	}
	keep := m == AllocatePunch || m == AllocateZeroKeep
	if keep {
		n = min(n, f.size-off)
	}
	if n <= 0 {
		return nil
	}
	if err := f.beforeOverwrite(off, n); err != nil {
		return err
	}
	if off > f.size {
		if err := f.cutData(); err != nil {
			return err
		}
	}
	f.sums.drop(off, n)
	if err := punch(f.fd, off, n); err != nil {
		return err
	}
	if err := f.reach(off + n); err != nil {
		return err
	}
	f.wrote(off, n)
	return nil
}

// reach makes the data file end at end or behind it: recovery takes what lies
// behind its end for never written.
func (f *file) reach(end int64) error {
	st, err := f.fd.Stat()
	if err == nil && st.Size() < end {
		err = f.fd.Truncate(end)
	}
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	return nil
}

// ErrNoData says that there is no data (or no hole) at or behind an offset.
var ErrNoData = errors.New("no data behind this offset")

// SeekData returns the next offset at or behind off that holds data; bytes
// still in the bucket count as data. ErrNoData at or behind the end.
func (h *Handle) SeekData(_ context.Context, off int64) (int64, error) {
	f := h.f
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off < 0 || off >= f.size {
		return 0, ErrNoData
	}
	at, err := dataAt(f.fd, off, true)
	if errors.Is(err, ErrNoData) {
		at, err = f.size, nil
	}
	if err != nil {
		return 0, err
	}
	for _, gap := range f.ext.Present.Missing(off, f.size-off) {
		at = min(at, gap.Off)
		break
	}
	if at >= f.size {
		return 0, ErrNoData
	}
	return at, nil
}

// SeekHole returns the next offset at or behind off that is a hole, the end
// of the file if there is none.
func (h *Handle) SeekHole(_ context.Context, off int64) (int64, error) {
	f := h.f
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off < 0 || off >= f.size {
		return 0, ErrNoData
	}
	for off < f.size {
		at, err := dataAt(f.fd, off, false)
		if errors.Is(err, ErrNoData) {
			at, err = off, nil // behind the data file's end
		}
		if err != nil {
			return 0, err
		}
		gaps := f.ext.Present.Missing(at, f.size-at)
		if at >= f.size || len(gaps) == 0 || gaps[0].Off > at {
			return min(at, f.size), nil
		}
		off = gaps[0].End() // a hole of the data file only: the bucket has the bytes
	}
	return f.size, nil
}
