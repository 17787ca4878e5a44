package cache

import (
	"errors"
	"sync"

	"github.com/moorfs/moorfs/cache/journal"
)

// ordered are the files that took the place of an older content, by a rename
// over it or by a truncation, without an fsync. On a local disk a power cut
// leaves the old or the new then: what the journal says becomes durable only
// after their bytes.
type ordered struct {
	turns   sync.RWMutex // locked to commit a rename over a file, read-locked to sync the journal; before Cache.mu
	orderMu sync.Mutex   // a leaf
	order   map[Ino]struct{}
}

// bytesFirst has the next sync of the journal make an inode's bytes durable.
func (o *ordered) bytesFirst(ino Ino) {
	o.orderMu.Lock()
	defer o.orderMu.Unlock()
	if o.order == nil {
		o.order = map[Ino]struct{}{}
	}
	o.order[ino] = struct{}{}
}

func (o *ordered) takeOrder() map[Ino]struct{} {
	o.orderMu.Lock()
	defer o.orderMu.Unlock()
	all := o.order
	o.order = nil
	return all
}

// syncJournal makes durable what was committed, after the bytes that have to be
// so first: those that the disk does not take keep no others from it. The caller
// holds no lock. The journal syncs itself too where it has to (inode numbers,
// full tables): rarely, and without this order.
func (c *Cache) syncJournal() error {
	err := c.syncOrder() // most of it, while renames go on
	c.turns.RLock()
	defer c.turns.RUnlock()
	if err == nil {
		err = c.syncOrder()
	}
	if err != nil {
		c.cfg.Log.Error("cache: a file that took the place of another is not durable", "error", err)
	}
	return c.db.Sync()
}

// syncOrder makes the bytes durable that have to be so first. What fails stays
// in the order.
func (c *Cache) syncOrder() error {
	var errs []error
	for ino := range c.takeOrder() {
		synced, err := c.isSynced(ino)
		if err == nil && !synced {
			err = c.syncOne(ino)
		}
		if err != nil {
			c.bytesFirst(ino)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// isSynced reports whether nothing of an inode is left to be made durable.
func (c *Cache) isSynced(ino Ino) (synced bool, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.files[ino]; f != nil {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return !f.unsynced() && !f.unsaid, nil
	}
	err = c.view(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found || rec.Kind != File || rec.State == journal.Clean || rec.State == journal.Orphan {
			synced = true
			return err
		}
		e, found, err := tx.Extents(ino)
		synced = found && e.Synced
		return err
	})
	return synced, err
}

// replaces begins a rename of an inode over a file. done must follow its commit.
func (c *Cache) replaces(ino Ino) (done func(), err error) {
	synced, err := c.isSynced(ino)
	if err != nil || synced {
		return func() {}, err
	}
	c.turns.Lock()
	c.bytesFirst(ino)
	return c.turns.Unlock, nil
}
