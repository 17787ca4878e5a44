package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// An Info says what a cache directory holds.
type Info struct {
	Dir       string       `json:"cache_dir"`
	Endpoint  string       `json:"endpoint"`
	Bucket    string       `json:"bucket"`
	Prefix    string       `json:"prefix"`
	Bytes     int64        `json:"bytes"`       // of disk that data files take
	Index     int64        `json:"index_bytes"` // of disk that the journal takes
	Files     int          `json:"files"`       // with bytes here
	Clean     int64        `json:"clean_bytes"` // that are in the bucket, too
	Dirty     int64        `json:"dirty_bytes"` // that are only here
	Conflicts int          `json:"conflicts"`   // that nobody has decided
	Unsent    int          `json:"unsent"`      // keys that are not yet as wanted
	Work      []UnsentInfo `json:"work,omitempty"`
}

// UnsentInfo is one of the keys that are not yet as wanted, of at most 100.
type UnsentInfo struct {
	WorkInfo
	Damaged int64 `json:"damaged_bytes,omitempty"` // only here, and no longer what was written
}

// Info returns what the cache holds.
func (c *Cache) Info() (Info, error) {
	i := Info{Dir: c.cfg.Dir, Endpoint: c.cfg.Endpoint, Bucket: c.cfg.Bucket, Prefix: c.cfg.Prefix, Index: c.db.Size()}
	err := c.walkData(func(_ Ino, path string) error {
		if !strings.HasSuffix(path, sidecarSuffix) {
			i.Bytes += blocksOf(path)
		}
		return nil
	})
	if err != nil {
		return i, fmt.Errorf("cache %s: %w", c.cfg.Dir, err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		all, err := c.conflictsIn(tx)
		i.Conflicts = len(all)
		return errors.Join(err, i.addFiles(tx), i.addRows(c, tx))
	})
	return i, err
}

func (i *Info) addFiles(tx *journal.Tx) error {
	return tx.AllExtents(0, func(ino Ino, e *journal.Extents) error {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return err
		}
		dirty := dirtyOf(rec, e)
		clean := e.Present.Clone()
		clean.RemoveSet(dirty)
		i.Files++
		i.Clean += clean.Len()
		i.Dirty += dirty.Len()
		return nil
	})
}

// dirtyOf returns what of a file is only here.
func dirtyOf(rec *journal.Inode, e *journal.Extents) extent.Set {
	if rec.Base.ETag == "" {
		return extent.New(extent.Range{Len: rec.Size})
	}
	return e.Dirty.Clone()
}

func (i *Info) addRows(c *Cache, tx *journal.Tx) error {
	var s Status
	if err := errors.Join(c.movesAtWork(tx, &s), c.rowsAtWork(tx, &s)); err != nil {
		return err
	}
	for _, w := range s.Work {
		i.Work = append(i.Work, UnsentInfo{WorkInfo: w})
	}
	moves := len(s.Work)
	err := tx.Rows("", func(key string, r *journal.Row) error {
		if i.Unsent++; r.Want != journal.WantInode {
			return nil
		}
		e, found, err := tx.Extents(r.Ino)
		if err == nil && found && !e.Damaged.Empty() {
			for k := range i.Work {
				if i.Work[k].Key == key {
					i.Work[k].Damaged = e.Damaged.Len()
				}
			}
		}
		return err
	})
	i.Unsent = max(i.Unsent, moves)
	return err
}

// A Report is what a verification found.
type Report struct {
	Checked  int64     `json:"checked_bytes"` // compared with checksums
	Files    int       `json:"files"`
	Repaired int64     `json:"repaired_bytes"` // damaged, and forgotten: they are in the bucket
	Problems []Problem `json:"problems"`
}

// A Problem is one thing that is not as it should be.
type Problem struct {
	File    string `json:"file"` // its key, or else a path in the cache directory
	What    string `json:"what"`
	Only    bool   `json:"only_here"`        // what is damaged is not in the bucket
	Unknown bool   `json:"unknown_to_index"` // nothing is damaged, but the index does not know of it
	Mended  bool   `json:"mended"`           // nothing is left to be done
}

// Verify reads the whole index and compares all cached data with its checksums
// and the sidecars with the index. Clean data that is damaged is forgotten, as
// whenever the daemon finds it.
func (c *Cache) Verify(ctx context.Context) (Report, error) {
	v := verifier{c: c, repair: true}
	return v.run(ctx)
}

type verifier struct {
	c        *Cache
	repair   bool
	distrust bool // checksums of files with changes say nothing
	report   Report
}

func (v *verifier) run(ctx context.Context) (Report, error) {
	v.report.Problems = []Problem{}
	inos, err := v.readIndex()
	if err != nil {
		return v.report, err
	}
	for _, ino := range inos {
		if err := v.file(ctx, ino); err != nil {
			return v.report, err
		}
	}
	return v.report, v.sidecars()
}

// readIndex reads every record that says what is here and what is wanted.
func (v *verifier) readIndex() (inos []Ino, err error) {
	err = v.c.view(func(tx *journal.Tx) error {
		names := tx.Inodes(func(ino Ino, rec *journal.Inode) error {
			if rec.Kind != Dir {
				return nil
			}
			return tx.Dirents(ino, "", func(string, journal.Dirent) error { return nil })
		})
		return errors.Join(names, tx.Rows("", func(string, *journal.Row) error { return nil }),
			tx.AllExtents(0, func(ino Ino, _ *journal.Extents) error {
				inos = append(inos, ino)
				return nil
			}))
	})
	return inos, err
}

// file compares one data file with what the index says of it.
func (v *verifier) file(ctx context.Context, ino Ino) error {
	var rec *journal.Inode
	var e *journal.Extents
	var key string
	err := v.c.view(func(tx *journal.Tx) (err error) {
		var found bool
		if rec, found, err = tx.Inode(ino); err != nil || !found {
			return errors.Join(err, v.stray(ino, found))
		}
		if e, found, err = tx.Extents(ino); err != nil || !found {
			e = nil
			return err
		}
		key, err = keyOf(tx, rec)
		return err
	})
	if err != nil || e == nil {
		return err
	}
	v.report.Files++
	if key == "" {
		key = v.c.dataPath(ino)
	}
	dirty := dirtyOf(rec, e)
	if !e.Damaged.Empty() {
		v.found(Problem{File: key, What: "damaged before: bytes " + e.Damaged.String(), Only: true})
	}
	if err := v.length(ino, key, e, dirty); err != nil {
		return err
	}
	if v.distrust && !dirty.Empty() {
		return nil
	}
	before := v.c.activity.scrubbed.Load()
	err = v.c.compareFile(ctx, ino, comparison{bad: func(r extent.Range, only extent.Set) error {
		only.RemoveSet(e.Damaged)
		if only.Empty() && e.Damaged.Overlaps(r.Off, r.Len) {
			return nil
		}
		v.found(Problem{File: key, What: "damaged on the disk: bytes " + r.String(), Only: !only.Empty(), Mended: v.repair && only.Empty()})
		if !v.repair {
			return nil
		}
		v.report.Repaired += r.Len - only.Len()
		return v.c.recheck(ino, r)
	}})
	v.report.Checked += v.c.activity.scrubbed.Load() - before
	return err
}

// length finds that a data file is missing or cut: what has a checksum is found
// by that; this is for what has none.
func (v *verifier) length(ino Ino, key string, e *journal.Extents, dirty extent.Set) error {
	size, err := lengthOf(v.c.dataPath(ino))
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	const end = int64(1) << 62
	if dirty = dirty.Clone(); e.Boot != v.c.boot {
		dirty.RemoveSet(e.Loose) // a power cut may have taken it, and that is no damage
	}
	if lost := dirty.Within(size, end); len(lost) > 0 && e.Present.Overlaps(size, end) {
		v.found(Problem{File: key, What: fmt.Sprintf("the data file ends at %d, bytes %v are missing", size, extent.New(lost...)), Only: true})
	}
	return nil
}

func (v *verifier) stray(ino Ino, known bool) error {
	if !known {
		v.found(Problem{File: v.c.dataPath(ino), What: "the index has a data file without an inode", Unknown: true})
	}
	return nil
}

// sidecars finds data files that the index does not know and that may be the
// only copy of something, also those that a mount has put aside.
func (v *verifier) sidecars() error {
	unknown := func(path, what string) {
		v.found(Problem{File: path, What: "an unsent file that the index does not know" + what, Only: true, Unknown: true})
	}
	err := v.c.walkData(func(ino Ino, path string) error {
		if !strings.HasSuffix(path, sidecarSuffix) {
			return nil
		}
		_, err := v.c.record(ino)
		if errors.Is(err, ErrStale) {
			if _, gone := os.Lstat(path); gone == nil {
				unknown(strings.TrimSuffix(path, sidecarSuffix), "")
			}
			return nil
		}
		return err
	})
	return errors.Join(err, v.c.strays(func(path, key string) { unknown(path, fmt.Sprintf(", put aside: was %q", key)) }))
}

func (v *verifier) found(p Problem) { v.report.Problems = append(v.report.Problems, p) }
