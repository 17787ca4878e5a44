package cache

import (
	"errors"
	"sync"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// A durability is how much of a data file survives a power cut; guarded by the
// file's mu, but for turn.
type durability struct {
	turn    sync.Mutex // held for an fdatasync; before Cache.mu
	written uint64     // counts changes of the data file
	synced  uint64     // what written was when the last fdatasync that succeeded began
	since   extent.Set // what became loose since the last fdatasync began
	rewrote extent.Set // what was written since then, loose or not
	unsaid  bool       // the journal does not know of that fdatasync
	cut     bool       // the file was made shorter since the last fdatasync
}

// unsynced reports whether the data file changed since it was last known to be
// durable.
func (d *durability) unsynced() bool { return d.written != d.synced }

// loadDurability takes over what the journal says.
func (f *file) loadDurability(found bool, rec *journal.Inode) {
	if found && !f.ext.Synced || !found && rec.State != journal.Clean {
		f.written = f.synced + 1
	}
}

// fill makes a range present. What was not is loose until the next fdatasync:
// after a power cut it may read as zeros.
func (f *file) fill(off, n int64) {
	for _, gap := range f.ext.Present.Missing(off, n) {
		f.ext.Loose.Add(gap.Off, gap.Len)
		f.since.Add(gap.Off, gap.Len)
	}
	f.ext.Present.Add(off, n)
}

// loosened returns what is loose once what was sent is clean, and what of it
// has become so since the last fdatasync began. After a power cut the bytes
// here may be older ones: in a dirty range those would be a content that the
// file had, but now they would be taken for the object's.
func (f *file) loosened(sent extent.Set) (loose, since extent.Set) {
	loose, since = f.ext.Loose.Clone(), f.since.Clone()
	if !f.unsynced() {
		return loose, since
	}
	loose.AddSet(sent)
	for _, r := range sent.Ranges() {
		since.AddSet(extent.New(f.rewrote.Within(r.Off, r.Len)...))
	}
	return loose, since
}

// syncFile makes a file's bytes durable, then says so in the journal. Whoever
// comes while a sync is at work waits for it: what it has seen may be what that
// one is still writing.
func (c *Cache) syncFile(f *file) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	upTo, needed := f.written, f.unsynced()
	f.since, f.rewrote = extent.Set{}, extent.Set{}
	f.mu.Unlock()
	if needed {
		if err := f.datasync(); err != nil {
			return err
		}
		f.mu.Lock()
		f.synced, f.unsaid = upTo, true
		f.cut = f.cut && f.unsynced()
		f.ext.Loose, f.since = f.since, extent.Set{}
		f.mu.Unlock()
	}
	return c.save(f, true)
}

// datasync is fdatasync of the data file. The caller holds f.turn.
func (f *file) datasync() error {
	var err error
	if _, again := f.c.unwritten.Load(f.ino); again {
		err = f.writeAgain()
	}
	if err == nil {
		err = datasync(f.fd)
	}
	if err != nil {
		f.c.unwritten.Store(f.ino, struct{}{})
		f.c.disk.failed(err)
		return err
	}
	f.c.unwritten.Delete(f.ino)
	return nil
}

// saySynced has the journal know what is durable of a file that has nothing
// else to say. The caller holds c.mu and f.mu.
func (f *file) saySynced() error {
	if !f.unsaid || f.orphan.Load() {
		return nil
	}
	err := f.store(f.c.db.Update, "synced")
	f.unsaid = err != nil
	return err
}

// afterReboot takes back what extents say of bytes that a power cut may have
// taken. What was loose is gone: in its place is what lies below it in the
// bucket. Clean bytes that are holes now were given up, and the journal did not
// hear of it. A file without a base has nothing below it and keeps what it has.
// Of torn ranges the data file may have other bytes than those that checksums
// were made of, and that is no damage. data nil: there is none.
func (c *Cache) afterReboot(e *journal.Extents, data *dataFile) (torn extent.Set, err error) {
	if e.Boot == c.boot {
		return torn, nil
	}
	torn = e.Loose.Clone()
	if !e.Synced || c.reborn {
		torn.AddSet(e.Dirty)
	}
	e.Present.RemoveSet(e.Loose)
	e.Dirty.RemoveSet(e.Loose)
	e.Loose, e.Synced, e.Boot = extent.Set{}, true, c.boot
	if data == nil {
		return torn, nil
	}
	clean := e.Present.Clone()
	clean.RemoveSet(e.Dirty)
	for _, r := range clean.Ranges() {
		if err := eachHole(data, r, e.Present.Remove); err != nil {
			return torn, err
		}
	}
	return torn, nil
}

// eachHole calls fn for the holes of a data file in a range, what lies behind
// its end too.
func eachHole(data *dataFile, r extent.Range, fn func(off, n int64)) error {
	for off := r.Off; off < r.End(); {
		at, err := dataAt(data, off, true)
		if errors.Is(err, ErrNoData) {
			at, err = r.End(), nil
		}
		if err != nil {
			return err
		}
		if at = min(at, r.End()); at > off {
			fn(off, at-off)
		}
		if at == r.End() {
			return nil
		}
		if off, err = dataAt(data, at, false); err != nil {
			return err
		}
	}
	return nil
}
