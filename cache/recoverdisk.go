package cache

import (
	"fmt"
	"os"

	"github.com/moorfs/moorfs/cache/journal"
)

// recoverSums gives up the checksums of all files with changes if the power was
// cut: their data files may be newer than the journal then, and that is no
// damage. If it was cut after the cache was closed, they may only be older where
// they had not been synced. A kill takes nothing that was written, hence no
// checksum either.
func (c *Cache) recoverSums(start journal.Start) error {
	if start.Fresh || start.SameBoot {
		return nil
	}
	inos := make([]Ino, 0, len(c.parked))
	for ino := range c.parked {
		inos = append(inos, ino)
	}
	err := c.view(func(tx *journal.Tx) error {
		return tx.Rows("", func(_ string, r *journal.Row) error {
			if r.Want == journal.WantInode {
				inos = append(inos, r.Ino)
			}
			return nil
		})
	})
	for _, ino := range inos {
		if err != nil {
			return err
		}
		err = c.db.Update("unsummed", func(tx *journal.Tx) error {
			e, found, err := tx.Extents(ino)
			if err != nil || !found || e.Sums == 0 || start.Clean && (e.Synced || e.Boot == c.boot) {
				return err
			}
			e.Sums = 0
			return tx.PutExtents(ino, e)
		})
	}
	return err
}

// recoverCut finds that the data file of a file with changes has become
// shorter than what was acknowledged, which no kill does: the missing end is
// damaged, not cut off by a program.
func (ch *change) recoverCut(ino Ino, rec *journal.Inode, start journal.Start) error {
	if rec.Kind != File {
		return nil
	}
	e, found, err := ch.Extents(ino)
	if err != nil {
		return err
	}
	if !found {
		e = &journal.Extents{}
	}
	if !start.SameBoot && !e.Synced {
		return nil // not durable, and the power was cut
	}
	if _, err := os.Lstat(ch.c.dataPath(ino)); err == nil && ch.c.reborn {
		return nil // a program may have cut it, and the journal did not hear of it
	}
	if lost, err := ch.c.cutOff(ino, rec, e); err != nil || !lost {
		return err
	}
	return ch.PutExtents(ino, e)
}

// cutOff notes as damaged what is nowhere else and lies behind the end of the
// data file, and makes that as long as the file is. It reports whether there
// was any.
func (c *Cache) cutOff(ino Ino, rec *journal.Inode, e *journal.Extents) (lost bool, err error) {
	size, err := lengthOf(c.dataPath(ino))
	if err != nil {
		return false, err
	}
	only := dirtyOf(rec, e)
	gone := only.Within(size, max(rec.Size-size, 0))
	if len(gone) == 0 {
		return false, nil
	}
	for _, r := range gone {
		e.Damaged.Add(r.Off, r.Len)
	}
	e.Present.Truncate(size)
	e.Present.AddSet(e.Damaged)
	f, err := c.openData(ino)
	if err == nil {
		err = f.Truncate(rec.Size)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return false, fmt.Errorf("recover inode %d: %w", ino, err)
	}
	c.sidecarStale(ino)
	c.damage.note(0, e.Damaged.Len())
	c.cfg.Log.Error("cache: a data file was cut; what is missing is nowhere else, and the file is not sent until that is written anew",
		"name", rec.Name, "inode", ino, "bytes", e.Damaged.String())
	return true, nil
}

// lengthOf returns a file's size, 0 if it is missing.
func lengthOf(path string) (int64, error) {
	st, err := os.Stat(path)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
