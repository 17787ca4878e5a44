package cache

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// touchBlock is the granularity in which writes to a partly cached file are
// noted before they happen.
const touchBlock = 1 << 20

// A file is an inode in use: open, or on its way to the bucket.
type file struct {
	// Constant.
	c   *Cache
	ino Ino
	fd  *dataFile

	// The file leaves Cache.files when both are zero. handles is guarded by
	// Cache.mu; users (flushes and fetches at work) grows while either is not
	// zero, and shrinks under Cache.mu.
	handles  int
	users    atomic.Int32
	nameless bool // made by Tmpfile and not linked; guarded by Cache.mu

	orphan   orphanhood   // has no name any more
	lastRead atomic.Int64 // offset; eviction keeps what is near

	// mu guards the bytes and what follows. Order: Cache.mu → mu.
	mu        sync.RWMutex
	size      int64
	times     fileTimes
	base      journal.Base // what missing ranges are read from …
	at        string       // … and where it lies
	ext       journal.Extents
	sums      sums
	sending   extent.Set // dirty ranges of the content being sent, no longer in ext.Dirty
	noted     bool       // the journal knows of a change since the last BeginFlush
	unsaved   bool       // size, times or extents are newer than the journal's
	stale     bool       // base is gone from the bucket
	writers   int
	lastWrite time.Time
	lastSync  time.Time
	blocks    int64 // bytes of disk counted in space
	fetches   []*fetch
	late      lateFetch
	frozen    *frozen
	landing   chan struct{} // closed when the flush at work has ended; nil: none
	durability
}

// An orphanhood says that a file lost its name, and to whom.
type orphanhood struct{ v atomic.Int32 }

const (
	lostName    = 1 + iota // to a program here
	otherObject            // to another object that others put in its place, or removed its own
)

// Load reports whether the file has no name.
func (o *orphanhood) Load() bool { return o.v.Load() != 0 }

// replaced reports whether others took the name. Nobody opens or changes such
// a file any more: what its name means now is meant.
func (o *orphanhood) replaced() bool { return o.v.Load() == otherObject }

func (o *orphanhood) Store(orphan bool) {
	if orphan {
		o.v.Store(lostName)
	} else {
		o.v.Store(0)
	}
}

// fileTimes overlay the inode's record while unsaved; atime if accessed says
// that the file was read since.
type fileTimes struct {
	atime, mtime, ctime int64
	accessed            bool
}

// overlay brings a record in line with what the file in use knows better. The
// caller holds f.mu. A rename or chmod meanwhile is in the record's ctime.
func (f *file) overlay(rec *journal.Inode) {
	rec.Size, rec.Mtime, rec.Ctime = f.size, f.times.mtime, max(rec.Ctime, f.times.ctime)
	f.overlayAccess(rec)
}

func (f *file) overlayAccess(rec *journal.Inode) {
	if f.times.accessed {
		rec.Atime = f.times.atime
	}
}

// live returns the file of ino, making it if nobody uses it. The caller holds
// c.mu for writing.
func (c *Cache) live(ino Ino, rec *journal.Inode) (*file, error) {
	if f := c.files[ino]; f != nil {
		return f, nil
	}
	fd, err := c.openData(ino)
	if err != nil {
		return nil, err
	}
	f := &file{c: c, ino: ino, fd: fd, size: rec.Size, base: rec.Base, at: rec.At, times: timesOf(rec)}
	f.blocks = blocksOfFd(fd)
	f.orphan.Store(rec.State == journal.Orphan)
	err = c.view(func(tx *journal.Tx) error {
		e, found, err := tx.Extents(ino)
		if err != nil {
			return err
		}
		how := sumsLoad{compared: c.damage.wasCompared(ino)}
		if found {
			if how.torn, err = c.afterReboot(e, fd); err != nil {
				return err
			}
			f.ext = *e
		}
		if rec.Base.ETag == "" { // all content is local, holes included
			f.ext.Present = extent.New(extent.Range{Off: 0, Len: f.size})
			f.ext.Dirty = f.ext.Present.Clone()
		}
		f.loadDurability(found, rec)
		return f.sums.load(tx, ino, &f.ext, how)
	})
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	c.files[ino] = f
	c.space.use(ino)
	return f, nil
}

// drop ends one use of a file; the last one closes it. The caller holds c.mu
// for writing.
func (c *Cache) drop(f *file) error {
	if f.handles > 0 || f.users.Load() > 0 {
		return nil
	}
	delete(c.files, f.ino)
	err := f.close()
	if f.orphan.Load() {
		return errors.Join(err, c.update("released", func(ch *change) error { return ch.bury(f.ino) }))
	}
	c.space.idle(f.ino, f.blocks)
	return err
}

// bury removes an unlinked inode after its last close, and lets its object go.
func (ch *change) bury(ino Ino) error {
	rec, found, err := ch.Inode(ino)
	if err != nil || !found {
		return err
	}
	return errors.Join(ch.release(rec.At, ino), ch.erase(ino))
}

// close saves what is newer than the journal and closes the data file.
func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sums.unchecked == 0 {
		f.c.damage.compared(f.ino)
	}
	return errors.Join(f.saveClean(), f.fd.Close())
}

// saveClean remembers which clean bytes are here, and that the file was read.
// Losing it costs a fetch.
func (f *file) saveClean() error {
	if !f.unsaved && !f.times.accessed || f.orphan.Load() {
		return nil
	}
	err := f.c.db.Update("fetched", func(tx *journal.Tx) error {
		if f.times.accessed {
			rec, found, err := tx.Inode(f.ino)
			if err != nil || !found {
				return err
			}
			f.overlayAccess(rec)
			if err := tx.PutInode(f.ino, rec); err != nil {
				return err
			}
		}
		if !f.unsaved {
			return nil
		}
		return f.put(tx, f.extents())
	})
	f.unsaved, f.times.accessed = false, false
	return err
}

// extents returns the E record as of now.
func (f *file) extents() *journal.Extents {
	e := f.ext
	e.Boot, e.Synced, e.Sums = f.c.boot, !f.unsynced(), f.sums.count()
	if !f.sending.Empty() {
		e.Dirty = f.ext.Dirty.Clone()
		e.Dirty.AddSet(f.sending)
	}
	return &e
}

// isWritten reports whether somebody has the file open for writing.
func (f *file) isWritten() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.writers > 0
}

// whole reports whether every byte is here.
func (f *file) whole() bool { return f.ext.Present.Contains(0, f.size) }

// unasked reports whether no bytes are here or on their way.
func (f *file) unasked() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.ext.Present.Empty() && len(f.fetches) == 0
}

// needsObject reports whether somebody may still read bytes of an inode that
// are only in the bucket. The caller holds c.mu.
func (c *Cache) needsObject(ino Ino, rec *journal.Inode) bool {
	f := c.files[ino]
	if f == nil || rec.At == "" {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.whole()
}

// account brings the space counter in line with the data file.
func (f *file) account() {
	now := blocksOfFd(f.fd)
	f.c.space.add(now - f.blocks)
	f.blocks = now
}
