package cache

import (
	"context"
	"errors"
	"strings"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// reapBatch is how many inodes of a vanished tree one transaction removes.
const reapBatch = 500

// syncTogether is from how many files on the disk is told to write all it has
// before each of them is synced: one commit of its journal in place of one a
// file.
const syncTogether = 32

// SyncDir is fsync(2) of a directory: the names in it survive power loss, or
// with DurableBucket are so in the bucket.
func (c *Cache) SyncDir(ctx context.Context, dir Ino) error {
	err := c.syncJournal()
	if err == nil && c.cfg.Durability == DurableBucket {
		err = errors.Join(c.flushNames(ctx, dir), c.syncJournal())
	}
	if err != nil {
		c.disk.failed(err)
		return &Error{"fsync", c.pathOf(dir), err}
	}
	return nil
}

// flushNames brings the keys directly in a directory to the bucket.
func (c *Cache) flushNames(ctx context.Context, dir Ino) error {
	if err := c.awaitMoves(ctx, dir, nil); err != nil {
		return err
	}
	prefix, _, err := c.prefixOf(dir)
	if err != nil {
		return err
	}
	var keys []string
	err = c.view(func(tx *journal.Tx) error {
		return tx.Rows(prefix, func(key string, _ *journal.Row) error {
			if rest := strings.TrimSuffix(key[len(prefix):], "/"); !strings.Contains(rest, "/") {
				keys = append(keys, key)
			}
			return nil
		})
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	w := c.queue.waitFor(keys)
	if err := c.await(ctx, w, nil); err != nil {
		return err
	}
	if w.failure != "" {
		return c.refused("flush", keys, w.failure)
	}
	return nil
}

// refused is the error of an op that waited for keys, one of which failed with
// why.
func (c *Cache) refused(op string, keys []string, why string) error {
	e := &s3backend.Error{Op: op, Err: errors.New(why)}
	err := c.view(func(tx *journal.Tx) error {
		for _, key := range keys {
			r, found, err := tx.Row(key)
			if err != nil {
				return err
			}
			if found && r.Error != "" {
				e.Key, e.Kind = key, s3backend.Kind(r.Kind)
				return nil
			}
		}
		return nil
	})
	return errors.Join(e, err)
}

// syncAll makes everything durable that is only in the kernel's memory.
func (c *Cache) syncAll() error {
	return errors.Join(c.syncData(), c.refreshSidecars(), c.syncJournal(), c.db.Collect())
}

// syncData makes the bytes of all files with changes durable, and journals that.
func (c *Cache) syncData() error {
	var errs []error
	for _, f := range c.inUse() {
		f.mu.RLock()
		dirty := f.unsynced() && f.noted
		f.mu.RUnlock()
		if dirty {
			errs = append(errs, c.syncFile(f))
		}
		c.unpin(f)
	}
	return errors.Join(errors.Join(errs...), c.syncClosed())
}

// syncClosed makes durable the dirty files that were closed without fsync.
func (c *Cache) syncClosed() error {
	var inos []Ino
	err := c.view(func(tx *journal.Tx) error {
		return tx.Rows("", func(_ string, r *journal.Row) error {
			if r.Want != journal.WantInode {
				return nil
			}
			e, found, err := tx.Extents(r.Ino)
			if err == nil && found && !e.Synced && !e.Dirty.Empty() {
				inos = append(inos, r.Ino)
			}
			return err
		})
	})
	var disk error
	if len(inos) >= syncTogether {
		disk = syncDisk(c.cfg.Dir)
	}
	for _, ino := range inos {
		err = errors.Join(err, c.syncOne(ino))
	}
	return errors.Join(disk, err)
}

// pinChanged begins a use of a file that has changes; nil if it has none any
// more.
func (c *Cache) pinChanged(ino Ino) (*file, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, err := c.recordLocked(ino)
	if err != nil || rec.State == journal.Clean {
		return nil, nil // gone or sent meanwhile
	}
	f, err := c.live(ino, rec)
	if err != nil {
		return nil, err
	}
	f.users.Add(1)
	return f, nil
}

func (c *Cache) syncOne(ino Ino) error {
	f, err := c.pinChanged(ino)
	if f == nil || err != nil {
		return err
	}
	defer c.unpin(f)
	return c.syncFile(f)
}

// inUse returns the files in memory, each counted as used.
func (c *Cache) inUse() []*file {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := make([]*file, 0, len(c.files))
	for _, f := range c.files {
		f.users.Add(1)
		files = append(files, f)
	}
	return files
}

// saveAll writes to the journal what open files changed since their last
// close, so that a drain sends it.
func (c *Cache) saveAll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, f := range c.files {
		errs = append(errs, c.saveLocked(f, false))
	}
	return errors.Join(errs...)
}

// queueReap has a directory that vanished with names below it removed piece by
// piece. The caller holds c.mu for writing.
func (c *Cache) queueReap(dir Ino) {
	c.reaping.Add(1)
	c.reapsMu.Lock()
	c.reaps = append(c.reaps, dir)
	c.reapsMu.Unlock()
	select {
	case c.reapWake <- struct{}{}:
	default:
	}
}

func (c *Cache) reapLoop() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.reapWake:
		}
		c.reapsMu.Lock()
		dirs := c.reaps
		c.reaps = nil
		c.reapsMu.Unlock()
		for _, dir := range dirs {
			if err := c.guard.try("reap", func() error { return c.reap(dir) }); err != nil { // the next mount tries again
				c.cfg.Log.Error("cache: removing a vanished directory", "error", err)
				continue
			}
			c.reaping.Add(-1)
		}
	}
}

// reap removes an unlinked inode and all that is left below it, in
// transactions of bounded size.
func (c *Cache) reap(ino Ino) error {
	for {
		more, err := c.reapSome(ino)
		if err != nil || !more {
			return err
		}
	}
}

func (c *Cache) reapSome(ino Ino) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.update("reaped", func(ch *change) error {
		type child struct {
			name string
			d    journal.Dirent
		}
		var children []child
		err := ch.Dirents(ino, "", func(name string, d journal.Dirent) error {
			if children = append(children, child{name, d}); len(children) == reapBatch {
				return journal.Stop
			}
			return nil
		})
		if err != nil {
			return err
		}
		if more = len(children) > 0; !more {
			if c.files[ino] != nil {
				return nil
			}
			return ch.erase(ino)
		}
		for _, k := range children {
			rec, found, err := ch.Inode(k.d.Ino)
			if err == nil && !found {
				err = ch.DeleteDirent(ino, k.name)
			} else if err == nil {
				err = ch.orphan(k.d.Ino, rec, remoteChanged)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}
