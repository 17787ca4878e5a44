package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// ballast is the disk the journal gives up to survive a full disk.
const ballast = journal.RecommendedBallast

// lateWrite is how long a request that the dead process had sent may still
// take effect: a key that is to be empty is looked at after that.
const lateWrite = 3 * time.Second

// recover opens the journal and makes of what an earlier process left, by
// crash or not, the state that it had acknowledged. Afterwards the rows say
// what is to be done; nothing else is remembered.
func (c *Cache) recover() error {
	start, err := c.openIndex()
	if err != nil {
		return err
	}
	c.crashed = !start.Fresh && !start.Clean
	if c.reborn = c.crashed && !start.SameBoot; c.reborn {
		c.news.all = c.opened // what was listed before may be older than what was done to it
	}
	if err := c.recoverSidecars(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := c.ensureRoot(); err != nil {
		return err
	}
	if err := errors.Join(c.recoverConflicts(), c.recoverSums(start), c.recoverMoves(), c.recoverRows(start)); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := c.countData(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := errors.Join(c.buryOrphans(), c.beginSession()); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	c.removeCondemned()
	return nil
}

func (c *Cache) openJournal() (start journal.Start, err error) {
	c.db, start, err = journal.Open(journal.Options{Dir: filepath.Join(c.cfg.Dir, "db"), Log: c.cfg.Log, Ballast: ballast, Boot: c.boot,
		Identity: c.identity()})
	return start, err
}

func (c *Cache) ensureRoot() error {
	return c.update("rooted", func(ch *change) error {
		if _, found, err := ch.Inode(Root); err != nil || found {
			return err
		}
		return ch.PutInode(Root, &journal.Inode{Kind: Dir, State: journal.Clean, Nlink: 2, Mode: c.cfg.DirMode, Uid: c.cfg.Uid, Gid: c.cfg.Gid,
			Prefix: c.cfg.Prefix, AttrsKnown: true, Atime: ch.now, Mtime: ch.now, Ctime: ch.now, Btime: ch.now})
	})
}

// recoverRows puts every row to the queue, as not running, with its file as
// it was acknowledged.
func (c *Cache) recoverRows(start journal.Start) error {
	var keys []string
	err := c.view(func(tx *journal.Tx) error {
		return tx.Rows("", func(key string, _ *journal.Row) error {
			keys = append(keys, key)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := c.recoverUploads(); err != nil {
		return err
	}
	for len(keys) > 0 {
		n := min(len(keys), mergeBatch)
		err := c.update("recovered", func(ch *change) error {
			for _, key := range keys[:n] {
				if err := ch.recoverRow(key, start); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// recoverMoves puts every move of a directory to the queue.
func (c *Cache) recoverMoves() error {
	pokes := map[string]poke{}
	err := c.view(func(tx *journal.Tx) error {
		return tx.Moves(func(dir Ino, _ journal.Move) error {
			rec, found, err := tx.Inode(dir)
			if err != nil || !found {
				return errors.Join(err, ErrStale)
			}
			c.moves.set(dir, rec.Prefix)
			pokes[moveTask(dir)] = poke{}
			return nil
		})
	})
	if len(pokes) > 0 {
		c.queue.tell(pokes)
	}
	return err
}

// recoverUploads has uploads aborted that no row will finish.
func (c *Cache) recoverUploads() error {
	return c.update("recovered", func(ch *change) error {
		return ch.Uploads(func(key string, _ s3backend.Upload, _ uint64) error {
			_, found, err := ch.Row(key)
			if err != nil || found {
				return err
			}
			return ch.putRow(key, &journal.Row{Since: ch.at, Due: ch.at})
		})
	})
}

func (ch *change) recoverRow(key string, start journal.Start) error {
	r, found, err := ch.Row(key)
	if err != nil || !found {
		return err
	}
	r.Progress, r.NotBefore = journal.Waiting, 0
	if ch.c.crashed && r.Nonce != "" {
		ch.c.doubt[key] = ch.c.opened
	}
	r.Due = min(r.Due, ch.at+int64(ch.c.cfg.WriteBack))
	if r.Holder != 0 {
		if h, found, err := ch.Inode(r.Holder); err != nil {
			return err
		} else if !found || h.State == journal.Orphan {
			r.Holder = 0 // nobody has it open any more
		}
	}
	if r.Want != journal.WantInode {
		return ch.putRow(key, r)
	}
	rec, found, err := ch.Inode(r.Ino)
	if err != nil {
		return err
	}
	if !found {
		r.Want, r.Ino = journal.WantNothing, 0
		return ch.putRow(key, r)
	}
	if err := errors.Join(ch.recoverCut(r.Ino, rec, start), ch.recoverFile(r.Ino, rec, start)); err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	return ch.putRowSized(key, r, rec.Size)
}

// recoverFile makes a dirty file's record agree with its data file.
func (ch *change) recoverFile(ino Ino, rec *journal.Inode, start journal.Start) error {
	switch rec.State {
	case journal.Flushing, journal.Redirtied, journal.Conflicted, journal.Refused, journal.Armed, journal.Clean:
		rec.State = journal.Dirty
	}
	rec.Torn = rec.Torn || ch.c.reborn
	if ch.c.reborn { // that of a removed file went before its name did for good
		ch.c.sidecarStale(ino)
	}
	if rec.Kind != File {
		return ch.PutInode(ino, rec)
	}
	e, found, err := ch.Extents(ino)
	if err != nil {
		return err
	}
	if !found {
		if e = (&journal.Extents{}); start.SameBoot {
			e.Boot = start.Boot
		}
	}
	rebooted := e.Boot != start.Boot
	size, err := ch.c.recoverData(ino, e)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case rec.Base.ETag == "":
		// All content is local; what was written and not closed when the
		// daemon died is in the data file, as on a local filesystem.
		if size != rec.Size || !e.Touched.Empty() {
			rec.Size = size
			if !rec.Torn { // a torn content is not a new one: the bucket may have the whole
				rec.Generation++
			}
		}
		e.Present = extent.New(extent.Range{Off: 0, Len: rec.Size})
		e.Dirty = e.Present.Clone()
	default:
		e.Present.Truncate(size)
		e.Dirty.Truncate(size)
		ch.recoverPartial(rec, e, size)
		if rebooted {
			rec.Size = min(rec.Size, max(rec.Base.Size, endOf(e.Dirty)))
		}
	}
	if ch.c.crashed && start.SameBoot { // what was written last may be in the kernel's memory alone
		e.Synced = false
	}
	e.Touched = extent.Set{}
	e.Damaged.Truncate(rec.Size)
	if err == nil && size > rec.Size { // bytes behind the end must not show in a hole later
		if err := os.Truncate(ch.c.dataPath(ino), rec.Size); err != nil {
			return err
		}
	}
	return errors.Join(ch.PutInode(ino, rec), ch.PutExtents(ino, e))
}

// recoverData returns the size of a dirty file's data file, and takes back what
// its extents say of bytes that a power cut may have taken.
func (c *Cache) recoverData(ino Ino, e *journal.Extents) (size int64, err error) {
	file, err := os.Open(c.dataPath(ino))
	if errors.Is(err, fs.ErrNotExist) {
		*e = journal.Extents{Touched: e.Touched, Damaged: e.Damaged, Synced: true, Boot: c.boot}
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err == nil {
		size = st.Size()
		_, err = c.afterReboot(e, &dataFile{File: file}) // recoverSums has dealt with what is torn
	}
	return size, err
}

// endOf returns the end of the last range of a set.
func endOf(s extent.Set) int64 {
	if r := s.Ranges(); len(r) > 0 {
		return r[len(r)-1].End()
	}
	return 0
}

// recoverPartial decides about blocks that were touched but not acknowledged:
// where the whole block was here before, the data file has one coherent state
// of it; elsewhere written bytes cannot be told from holes, and only what was
// acknowledged counts.
func (ch *change) recoverPartial(rec *journal.Inode, e *journal.Extents, size int64) {
	if e.Touched.Empty() {
		return
	}
	rec.Generation++
	for _, t := range e.Touched.Ranges() {
		for off := t.Off; off < t.End(); off += touchBlock {
			n := min(touchBlock, max(rec.Size, size)-off)
			if n <= 0 {
				break
			}
			if e.Present.Contains(off, min(n, max(rec.Size-off, 0))) && off < rec.Size {
				e.Dirty.Add(off, n)
				for _, gap := range e.Present.Missing(off, n) {
					e.Loose.Add(gap.Off, gap.Len)
				}
				e.Present.Add(off, n)
				rec.Size = max(rec.Size, min(size, off+n))
				rec.Changed |= journal.ChangedData
				continue
			}
			for _, gap := range e.Dirty.Missing(off, touchBlock) {
				e.Present.Remove(gap.Off, gap.Len)
			}
		}
	}
	e.Dirty.Truncate(rec.Size)
	e.Present.Truncate(rec.Size)
}

// buryOrphans removes what was unlinked but open when the daemon died.
func (c *Cache) buryOrphans() error {
	var inos []Ino
	err := c.view(func(tx *journal.Tx) error {
		return tx.Orphans(func(ino journal.Ino) error {
			inos = append(inos, ino)
			return nil
		})
	})
	for _, ino := range inos {
		if err == nil {
			err = c.reap(ino)
		}
	}
	return err
}

// countData adds up the disk in use and removes data files that nothing
// refers to.
func (c *Cache) countData() error {
	return c.walkData(func(ino Ino, path string) error {
		if strings.HasSuffix(path, ".new") {
			return os.Remove(path)
		}
		if strings.HasSuffix(path, sidecarSuffix) {
			return c.countSidecar(ino)
		}
		var known, keep bool
		err := c.view(func(tx *journal.Tx) error {
			rec, found, err := tx.Inode(ino)
			if known = found; err != nil || !found {
				return err
			}
			_, present, err := tx.Extents(ino)
			keep = present || rec.State != journal.Clean || rec.Base.ETag == ""
			return err
		})
		if err != nil {
			return err
		}
		if _, err := os.Lstat(path + sidecarSuffix); err == nil && !known {
			return nil // the sidecar, which comes next, says what becomes of it
		}
		used := blocksOf(path)
		c.space.add(used)
		if !keep {
			c.removeData(ino)
			return nil
		}
		c.space.idle(ino, used)
		return nil
	})
}
