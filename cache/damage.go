package cache

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// What the disk damages is handled by one rule. Bytes that are in the bucket
// too are forgotten here and fetched again. Bytes that are only here stay as
// they are, are noted as damaged in the journal, read as ErrDamaged, and keep
// the file from being sent until they are written anew: an upload would make
// them the truth and replace a good version by a bad one. The rest of the file
// can be read, and "cache recover --to" copies out what there is.

// ErrDamaged says that bytes that are only in the cache are no longer those
// that were written.
var ErrDamaged = errors.New("damaged on the cache's disk, and not in the bucket")

// errUnchecked says that a range was not compared yet.
var errUnchecked = errors.New("not compared with its checksums")

// restedLong is after how long without a write content is compared with its
// checksums before it is sent: what was written later is still in memory.
const restedLong = 30 * time.Second

// checkScope says which blocks a check reads.
type checkScope bool

const (
	checkNew checkScope = true  // those that this process has not compared yet
	checkAll checkScope = false // every one
)

// check compares the blocks of a range with their checksums and notes what is
// damaged: afterwards that is either missing or in ext.Damaged. Its error is
// that of the disk or of the journal.
func (f *file) check(r extent.Range, scope checkScope) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checkLocked(r, scope)
}

func (f *file) checkLocked(r extent.Range, scope checkScope) error {
	if scope == checkNew && f.sums.unchecked == 0 {
		return nil
	}
	var bad []extent.Range
	for _, c := range f.sums.covered(r, bool(scope)) {
		ok, err := f.compare(c)
		switch {
		case ok:
			f.sums.checked(c.Off)
		case err != nil && f.extents().Dirty.Overlaps(c.Off, c.Len):
			return fmt.Errorf("cache disk: %w", err)
		default:
			bad = append(bad, c)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return f.damaged(bad)
}

var sumBuffers = sync.Pool{New: func() any {
	b := make([]byte, sumBlock)
	return &b
}}

// compare reads what a block's checksum covers.
func (f *file) compare(c extent.Range) (ok bool, err error) {
	buf := sumBuffers.Get().(*[]byte)
	defer sumBuffers.Put(buf)
	p := (*buf)[:c.Len]
	if _, err := f.fd.ReadAt(p, c.Off); errors.Is(err, io.EOF) { // the data file was cut
		return false, nil
	} else if err != nil {
		return false, err
	}
	return f.sums.holds(c.Off, p), nil
}

// damaged notes ranges whose bytes are not what they were. The caller holds
// f.mu. If the journal does not take it, memory knows, and the next process
// finds it again.
func (f *file) damaged(bad []extent.Range) error {
	dirty := f.extents().Dirty
	var lost extent.Set
	again := extent.New(bad...)
	for _, r := range bad {
		f.sums.drop(r.Off, r.Len)
		for _, d := range dirty.Within(r.Off, r.Len) {
			lost.Add(d.Off, d.Len)
		}
	}
	again.RemoveSet(lost)
	f.ext.Present.RemoveSet(again)
	f.ext.Loose.RemoveSet(again)
	f.since.RemoveSet(again)
	f.ext.Damaged.AddSet(lost)
	f.unsaved = true
	f.c.damage.note(again.Len(), lost.Len())
	key := f.c.keyInJournal(f.ino)
	if !again.Empty() {
		f.c.cfg.Log.Warn("cache: damaged on the cache's disk; will be fetched again", "key", key, "inode", f.ino, "bytes", again.String())
	}
	if !lost.Empty() {
		f.c.sidecarStale(f.ino)
		f.c.cfg.Log.Error("cache: damaged on the cache's disk, and not in the bucket: the file is not sent until these bytes are written anew",
			"key", key, "inode", f.ino, "bytes", lost.String())
	}
	f.c.kernel.ContentChanged(f.ino)
	return f.store(f.c.db.Free, "damaged")
}

// unreadable has clean bytes that the disk does not give back fetched again.
// It reports whether that may help.
func (f *file) unreadable(r extent.Range, cause error) bool {
	known := f.c.disk.failed(cause)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.extents().Dirty.Overlaps(r.Off, r.Len) {
		return false
	}
	if !known {
		f.c.cfg.Log.Warn("cache: the disk fails", "inode", f.ino, "error", cause)
	}
	return f.damaged([]extent.Range{r}) == nil
}

// store writes the file's extents and checksums to the journal. The caller
// holds f.mu.
func (f *file) store(in func(string, func(*journal.Tx) error) error, name string) error {
	err := in(name, func(tx *journal.Tx) error { return f.put(tx, f.extents()) })
	if err == nil {
		f.sums.saved()
	}
	return diskFull(err)
}

// put is store within a transaction; f.sums.saved must follow its commit.
func (f *file) put(tx *journal.Tx, e *journal.Extents) error {
	return errors.Join(tx.PutExtents(f.ino, e), f.sums.save(tx, f.ino))
}

// putExtents is file.put of the present extents, or of e.
func (ch *change) putExtents(f *file, e *journal.Extents) error {
	ch.committed(f.sums.saved)
	return f.put(ch.Tx, e)
}

// outdate takes back, here and in the journal, what is said of bytes that are
// about to change, and compares what will be left of their blocks. The caller
// holds f.mu.
func (f *file) outdate(r extent.Range) error {
	if err := f.checkLocked(r, checkNew); err != nil {
		return err
	}
	groups := f.sums.outdated(r)
	f.sums.drop(r.Off, r.Len) // or what is stored next would say it again
	if len(groups) == 0 {
		return nil
	}
	err := f.c.db.Update("outdated", func(tx *journal.Tx) error {
		for _, n := range groups {
			if err := tx.PutSums(f.ino, n, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return diskFull(err)
	}
	for _, n := range groups {
		g := f.sums.groups[n]
		g.stored, g.behind, g.changed = false, false, true
	}
	return nil
}

// check compares a content with its checksums before it is sent.
func (z *frozen) check() error {
	f, scope := z.f, checkNew
	f.mu.RLock()
	if time.Since(f.lastWrite) > restedLong {
		scope = checkAll
	}
	f.mu.RUnlock()
	for off := int64(0); off < z.size; off += fetchUnit {
		if err := f.check(extent.Range{Off: off, Len: min(fetchUnit, z.size-off)}, scope); err != nil {
			return err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.lost(extent.Range{Len: z.size})
}

// lost is ErrDamaged if bytes of a range are damaged and nowhere else. The
// caller holds f.mu.
func (f *file) lost(r extent.Range) error {
	if bad := f.ext.Damaged.Within(r.Off, r.Len); len(bad) > 0 {
		return fmt.Errorf("bytes %v of %d: %w", extent.New(bad...), f.size, ErrDamaged)
	}
	return nil
}

// refuseDamaged lets a row rest whose file must not be sent as it is.
func (ch *change) refuseDamaged(key string, r *journal.Row, rec *journal.Inode, cause error) (outcome, error) {
	r.Progress, r.Error, r.Kind = journal.Refusing, oneLine(cause), 0
	r.NotBefore = stamp() + int64(retryRefused)
	return outcome{due: ofStamp(r.NotBefore), failure: r.Error, refused: true}, ch.putRowSized(key, r, rec.Size)
}

// keyInJournal is keyOfInode without a lock, for messages.
func (c *Cache) keyInJournal(ino Ino) (key string) {
	err := c.view(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(ino)
		if err == nil && found {
			key, err = keyOf(tx, rec)
		}
		return err
	})
	if err != nil {
		return ""
	}
	return key
}

// A damageCount says what this process found damaged.
type damageCount struct {
	mu    sync.Mutex // a leaf
	again int64      // bytes to be fetched again
	lost  int64      // bytes that are nowhere else
	whole map[Ino]struct{}
}

func (d *damageCount) note(again, lost int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again += again
	d.lost += lost
}

func (d *damageCount) counts() (again, lost int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.again, d.lost
}

// wholesKept bounds how many inodes are remembered as compared.
const wholesKept = 100_000

// compared remembers that every block of an inode has been compared, or made,
// by this process: opening it again compares nothing.
func (d *damageCount) compared(ino Ino) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.whole == nil || len(d.whole) >= wholesKept {
		d.whole = map[Ino]struct{}{}
	}
	d.whole[ino] = struct{}{}
}

func (d *damageCount) wasCompared(ino Ino) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, yes := d.whole[ino]
	return yes
}
