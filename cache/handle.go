package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// A Handle is one open of a regular file. Methods may be called concurrently;
// Release exactly once, last.
type Handle struct {
	f       *file
	mode    OpenMode
	ahead   readAhead
	dirtied atomic.Bool // written to since the last Flush
}

// Open opens a regular file. A clean file is compared with its object if that
// was not done within AttrTTL; ErrStale: the name means another inode now, look
// it up again.
func (c *Cache) Open(ctx context.Context, ino Ino, m OpenMode) (*Handle, error) {
	h, err := c.open(ctx, ino, m)
	if err != nil {
		return nil, &Error{"open", c.pathOf(ino), err}
	}
	if m.Truncate {
		if err := h.truncate(ctx, 0); err != nil {
			h.Release()
			return nil, &Error{"open", c.pathOf(ino), err}
		}
	}
	return h, nil
}

func (c *Cache) open(ctx context.Context, ino Ino, m OpenMode) (*Handle, error) {
	if c.cfg.ReadOnly && (m.Write || m.Truncate) {
		return nil, ErrReadOnly
	}
	rec, err := c.record(ino)
	if err != nil {
		return nil, err
	}
	switch {
	case rec.Kind == Dir:
		return nil, ErrIsDir
	case m.Write && rec.Name == markerBody:
		return nil, ErrPermission
	}
	whole := c.wholeHere(ino)
	check, err := c.checkDue(ino, rec, whole)
	if err != nil {
		return nil, err
	}
	byContent := check && !m.Write && !whole && rec.Size > 0 && rec.Size <= fetchUnit
	if check && !byContent {
		if err := c.isCurrent(ctx, ino, rec); err != nil {
			return nil, err
		}
	}
	h, err := c.openNow(ino, m)
	if err != nil || !byContent {
		return h, err
	}
	return c.openByContent(ctx, h, rec)
}

// isCurrent is revalidate for an open: that the name has gone is for a lookup to
// say, which makes the file if the program asked for that.
func (c *Cache) isCurrent(ctx context.Context, ino Ino, rec *journal.Inode) error {
	err := c.revalidate(ctx, ino, rec)
	if errors.Is(err, ErrNotExist) {
		return ErrStale
	}
	return err
}

func (c *Cache) openNow(ino Ino, m OpenMode) (*Handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, err := c.recordLocked(ino)
	if err != nil {
		return nil, err
	}
	if f := c.files[ino]; f != nil && f.orphan.replaced() {
		return nil, ErrStale
	}
	return c.openLocked(ino, rec, m)
}

// openByContent fetches a small file at its open: the condition of the GET
// says whether the object is still the same, which saves asking before. Bytes
// that others asked for earlier say nothing of now.
func (c *Cache) openByContent(ctx context.Context, h *Handle, rec *journal.Inode) (*Handle, error) {
	began, done := c.listings.ask()
	defer done()
	if !h.f.unasked() {
		if err := c.isCurrent(ctx, h.f.ino, rec); err != nil {
			h.Release()
			return nil, err
		}
		return h, nil
	}
	_, err := h.f.fetch(ctx, fetchSpan{n: rec.Size, unit: fetchUnit}, make([]byte, rec.Size))
	if err == nil && !c.fresh.doubted(h.f.ino) {
		c.fresh.saw(h.f.ino, began)
		return h, nil
	}
	if err == nil || errors.Is(err, ErrStale) { // the old version, or none
		if err = c.isCurrent(ctx, h.f.ino, rec); err == nil {
			return h, nil
		}
	} else if c.serveStale(err) {
		return h, nil // reading will say so
	}
	h.Release()
	return nil, err
}

func (c *Cache) openLocked(ino Ino, rec *journal.Inode, m OpenMode) (*Handle, error) {
	f, err := c.live(ino, rec)
	if err != nil {
		return nil, err
	}
	f.handles++
	f.mu.Lock()
	if m.Write {
		f.writers++
	}
	f.mu.Unlock()
	h := &Handle{f: f, mode: m}
	h.ahead.init(c.cfg.ReadAhead)
	return h, nil
}

// wholeHere reports whether a file's bytes are all in its data file.
func (c *Cache) wholeHere(ino Ino) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.files[ino]; f != nil {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return f.whole()
	}
	whole := false
	err := c.view(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return err
		}
		e, found, err := tx.Extents(ino)
		whole = found && e.Present.Contains(0, rec.Size) && (e.Boot == c.boot || e.Loose.Empty()) || rec.Base.ETag == ""
		return err
	})
	return err == nil && whole
}

// Ino returns the inode that is open.
func (h *Handle) Ino() Ino { return h.f.ino }

// SameContent reports whether the kernel's pages of this inode, from an
// earlier open, are still its content. They are: an inode is one lineage of
// content, changed only through the kernel.
func (h *Handle) SameContent() bool { return true }

// Flush is close(2) of one descriptor: when it returns the content survives a
// kill of the daemon and is queued. Without changes it does nothing. With
// DurableBucket it returns when the object is in the bucket.
func (h *Handle) Flush(ctx context.Context) error {
	if !h.mode.Write || !h.dirtied.Swap(false) && !h.f.isUnsaved() {
		return nil
	}
	if err := h.f.c.save(h.f, false); err != nil {
		return &Error{"close", h.f.c.pathOf(h.f.ino), err}
	}
	if h.f.c.cfg.Durability == DurableBucket {
		return h.f.c.flushInode(ctx, h.f.ino)
	}
	return nil
}

// Sync is fsync(2): when it returns the content survives power loss, or with
// DurableBucket is in the bucket, whoever wrote it: the handle need not be one
// for writing.
func (h *Handle) Sync(ctx context.Context) error {
	c := h.f.c
	if err := c.syncFile(h.f); err != nil {
		return &Error{"fsync", c.pathOf(h.f.ino), err}
	}
	if err := c.syncJournal(); err != nil {
		c.disk.failed(err)
		return &Error{"fsync", c.pathOf(h.f.ino), err}
	}
	if c.cfg.Durability == DurableBucket {
		return c.flushInode(ctx, h.f.ino)
	}
	return nil
}

// Release ends the handle.
func (h *Handle) Release() {
	c, f := h.f.c, h.f
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	last := false
	if h.mode.Write {
		f.writers--
		last = f.writers == 0
	}
	unsaved := f.unsaved && f.noted
	f.mu.Unlock()
	var err error
	defer func() {
		f.handles--
		if err = errors.Join(err, c.drop(f)); err != nil && !c.disk.failed(err) {
			c.cfg.Log.Error("cache: release", "inode", f.ino, "error", err)
		}
	}()
	if h.mode.Write && unsaved && !f.orphan.Load() {
		err = c.saveLocked(f, false)
	}
	if last && !f.orphan.Load() {
		err = errors.Join(err, c.rearm(f.ino))
	}
}

// rearm lets the row of a file that nobody writes any more become due after
// the write-back delay: it may have been waiting for an open file to rest.
func (c *Cache) rearm(ino Ino) error {
	return c.update("closed", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found {
			return err
		}
		if c.tells(dirName{rec.Parent, rec.Name}) { // which waited for this close
			c.kernel.EntryGone(rec.Parent, rec.Name)
		}
		if rec.State == journal.Clean {
			return nil
		}
		key, err := ch.keyOf(rec)
		if err != nil || key == "" {
			return err
		}
		r, found, err := ch.Row(key)
		if err != nil || !found || r.Progress == journal.Running || r.Progress == journal.Refusing {
			return err
		}
		r.Due = min(ch.at+int64(c.cfg.WriteBack), r.Since+int64(c.cfg.WriteBackMax))
		return ch.putRowSized(key, r, rec.Size)
	})
}

func (f *file) isUnsaved() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.unsaved && f.noted
}

// save writes a changed file's size, times and extents to the journal and its
// sidecar; synced says that the bytes are durable.
func (c *Cache) save(f *file, synced bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saveLocked(f, synced)
}

func (c *Cache) saveLocked(f *file, synced bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unsaved || !f.noted || f.orphan.Load() {
		if !synced {
			return nil
		}
		f.lastSync = time.Now()
		return errors.Join(f.saySynced(), f.writeSidecar(nil))
	}
	if !synced && f.cut { // it may be all of a new content
		c.bytesFirst(f.ino)
	}
	var rec *journal.Inode
	err := c.update("changed", func(ch *change) error {
		var found bool
		var err error
		if rec, found, err = ch.Inode(f.ino); err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		f.overlay(rec)
		f.ext.Touched = extent.Set{}
		key, err := ch.keyOf(rec)
		if err != nil {
			return err
		}
		r, found, err := ch.Row(key)
		if err != nil {
			return err
		}
		if found && r.Want == journal.WantInode {
			ch.arm(r)
			if err := ch.putRowSized(key, r, rec.Size); err != nil {
				return err
			}
		}
		return errors.Join(ch.PutInode(f.ino, rec), ch.putExtents(f, f.extents()))
	})
	if err != nil {
		return err
	}
	f.unsaved, f.unsaid = false, false
	if !synced {
		return f.logSidecar(rec)
	}
	f.lastSync = time.Now()
	return f.writeSidecar(rec)
}

// conditionOf returns what must hold at a key for a request to be right.
func conditionOf(r *journal.Row) s3backend.Condition {
	switch r.Known {
	case journal.KnownAbsent:
		return s3backend.Condition{Absent: true}
	case journal.KnownThere:
		return s3backend.Condition{Match: r.ETag}
	}
	return s3backend.Condition{}
}
