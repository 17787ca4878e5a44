package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// Prune gives up everything that is in the bucket too, but what is open and
// being read just now. It returns the bytes of disk that came free.
func (c *Cache) Prune(ctx context.Context) (freed int64, err error) {
	var inos []Ino
	err = c.view(func(tx *journal.Tx) error {
		return tx.AllExtents(0, func(ino Ino, _ *journal.Extents) error {
			inos = append(inos, ino)
			return nil
		})
	})
	before := c.space.used.Load()
	for _, ino := range inos {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			break
		}
		_, err = c.evict(ino)
	}
	for err == nil && ctx.Err() == nil && c.punchOpen(1<<40) {
	}
	return before - c.space.used.Load(), err
}

// A Copied is one file that CopyUnsent wrote.
type Copied struct {
	Key     string `json:"key"`
	Path    string `json:"path"`
	Missing int64  `json:"missing_bytes,omitempty"` // that are only in the bucket: zeros in the copy
	Damaged int64  `json:"damaged_bytes,omitempty"` // that the disk changed
}

// CopyUnsent copies every file that is not in the bucket as it is here below a
// directory, under its name. One that is not whole, or damaged, gets a suffix
// that says so. Existing files are not replaced.
func (o *Unmounted) CopyUnsent(ctx context.Context, to string) ([]Copied, error) {
	type unsent struct {
		ino Ino
		key string
	}
	var all []unsent
	c := o.Cache
	err := c.view(func(tx *journal.Tx) error {
		rows := tx.Rows("", func(_ string, r *journal.Row) error {
			rec, found, err := tx.Inode(r.Ino)
			if err != nil || !found || r.Want != journal.WantInode || rec.Kind != File || rec.Changed&journal.ChangedData == 0 {
				return err
			}
			key, err := c.finalKey(tx, r.Ino, rec)
			all = append(all, unsent{r.Ino, key})
			return err
		})
		return errors.Join(rows, tx.Conflicts(func(_ int64, ino Ino, x journal.Conflict) error {
			if x.New == "" {
				all = append(all, unsent{ino, x.Old + " (ours)"})
			}
			return nil
		}))
	})
	copies := []Copied{}
	for _, u := range all {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return copies, err
		}
		var one Copied
		if one, err = o.copyOut(u.ino, u.key, to); one.Path != "" {
			copies = append(copies, one)
		}
	}
	return copies, err
}

func (o *Unmounted) copyOut(ino Ino, key, to string) (one Copied, err error) {
	f, err := o.hold(ino)
	if f == nil || err != nil {
		return one, err
	}
	defer o.unpin(f)
	size := max(f.size, 0)
	if f.base.ETag == "" { // written and not closed: as recovery takes it
		if length, err := lengthOf(o.dataPath(ino)); err == nil {
			size = max(size, length)
		}
	}
	if err := f.check(extent.Range{Len: size}, checkNew); err != nil {
		return one, err
	}
	one = Copied{Key: key, Damaged: f.ext.Damaged.Len()}
	for _, gap := range f.ext.Present.Missing(0, f.size) {
		one.Missing += gap.Len
	}
	name := filepath.Join(to, filepath.FromSlash(pathBelow(strings.TrimPrefix(key, o.cfg.Prefix))))
	switch {
	case one.Damaged > 0:
		name += ".damaged"
	case one.Missing > 0:
		name += ".partial"
	}
	one.Path = name
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return one, err
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return one, fmt.Errorf("copy %q: %w", key, err)
	}
	err = copyRanges(out, f.fd, f.ext.Present.Within(0, f.size))
	if err == nil && size > f.size {
		_, err = io.Copy(io.NewOffsetWriter(out, f.size), io.NewSectionReader(f.fd, f.size, size-f.size))
	}
	if err == nil {
		err = out.Truncate(size)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return one, fmt.Errorf("copy %q: %w", key, err)
	}
	return one, nil
}

func copyRanges(to io.WriterAt, from io.ReaderAt, all []extent.Range) error {
	for _, r := range all {
		if _, err := io.Copy(io.NewOffsetWriter(to, r.Off), io.NewSectionReader(from, r.Off, r.Len)); err != nil {
			return err
		}
	}
	return nil
}

// pathBelow makes a relative path of a key that stays below where it is put.
func pathBelow(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		if p == "" || p == "." || p == ".." {
			parts[i] = "%=" + p
		}
		parts[i] = strings.ReplaceAll(parts[i], "\x00", "%=0")
		if len(parts[i]) > 200 {
			parts[i] = parts[i][:200]
		}
	}
	return strings.Join(parts, "/")
}
