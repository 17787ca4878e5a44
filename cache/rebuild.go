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
	"github.com/moorfs/moorfs/cache/names"
)

// openIndex opens the journal, or makes it anew if it is damaged or gone while
// there are data files: a fresh one would number new files like old ones.
func (c *Cache) openIndex() (journal.Start, error) {
	if err := c.checkIdentity(); err != nil {
		return journal.Start{}, err
	}
	cause, err := c.indexMissing()
	if err != nil {
		return journal.Start{}, err
	}
	if cause == nil {
		start, err := c.openJournal()
		if !errors.Is(err, journal.ErrDamaged) {
			return start, errors.Join(err, c.keepIdentity(err))
		}
		cause = err
	}
	start, err := c.rebuild(cause)
	return start, errors.Join(err, c.keepIdentity(err))
}

// rebuildMark is the name of a file that is there until a rebuild has ended.
const rebuildMark = "rebuilding"

// indexMissing says why there is no index to be opened; nil: there is one, or
// nothing that needs one.
func (c *Cache) indexMissing() (cause, err error) {
	if _, err := os.Lstat(filepath.Join(c.cfg.Dir, rebuildMark)); err == nil {
		return errors.New("an earlier rebuild did not end"), nil
	}
	entries, err := os.ReadDir(filepath.Join(c.cfg.Dir, "db"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cache directory: %w", err)
	}
	if len(entries) > 0 {
		return nil, nil
	}
	known, err := c.sidecarLog.read()
	if err != nil {
		return nil, err
	}
	any := len(known) > 0
	if err := c.walkData(func(Ino, string) error { any = true; return fs.SkipAll }); err != nil {
		return nil, err
	}
	if any {
		return errors.New("the index is gone"), nil
	}
	return nil, nil
}

// rebuild moves a damaged journal aside and makes a new one from the sidecars.
// What was clean is listed and fetched again. What cannot be taken in stays
// where it is.
func (c *Cache) rebuild(cause error) (journal.Start, error) {
	mark := filepath.Join(c.cfg.Dir, rebuildMark)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return journal.Start{}, errors.Join(cause, err)
	}
	if err := syncDir(c.cfg.Dir); err != nil {
		return journal.Start{}, errors.Join(cause, err)
	}
	aside := filepath.Join(c.cfg.Dir, "db.damaged-"+time.Now().UTC().Format("20060102T150405.000000000"))
	c.cfg.Log.Error("cache: rebuilding the index from the data files", "cause", cause, "kept", aside)
	if err := os.Rename(filepath.Join(c.cfg.Dir, "db"), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return journal.Start{}, errors.Join(cause, err)
	}
	if err := journal.Forget(filepath.Join(c.cfg.Dir, "db")); err != nil {
		return journal.Start{}, errors.Join(cause, err)
	}
	start, err := c.openJournal()
	if err != nil {
		return start, err
	}
	if err := c.ensureRoot(); err != nil {
		return start, err
	}
	highest := Root
	if err := c.walkData(func(ino Ino, _ string) error { highest = max(highest, ino); return nil }); err != nil {
		return start, err
	}
	if err := c.db.NumberAbove(highest); err != nil {
		return start, err
	}
	if err := c.readSidecars(c.rebuildOne); err != nil {
		return start, err
	}
	if err := c.db.Sync(); err != nil {
		return start, err
	}
	return start, errors.Join(os.Remove(mark), syncDir(c.cfg.Dir))
}

// rebuildOne takes one dirty file in. One that cannot be is named in the log
// and keeps its data file and sidecar.
func (c *Cache) rebuildOne(s sidecar) error {
	err := c.update("rebuilt", func(ch *change) error { return ch.rebuildFile(s) })
	if err == nil || errors.Is(err, ErrNoSpace) {
		return err
	}
	c.cfg.Log.Error("cache: a file cannot be taken into the new index; its data file is kept", "name", s.Inode.Name,
		"directory", s.Prefix, "file", c.dataPath(s.Ino), "error", err)
	return c.storeSidecar(s, true)
}

// rebuildFile queues one dirty file again, in its directory, which is made
// known if it is not.
func (ch *change) rebuildFile(s sidecar) error {
	if isAsideFile(&s.Inode) {
		return ch.rebuildAside(s)
	}
	dir, err := ch.rebuildDir(s.Prefix)
	if err != nil {
		return err
	}
	rec := s.Inode
	rec.Parent, rec.State = dir, journal.Dirty
	if rec.Kind == Dir {
		return ch.rebuildDirty(&rec)
	}
	if rec.Kind != File || rec.Base.ETag == "" {
		rec.Changed |= journal.ChangedData
	}
	dirty := extent.New(s.Dirty...)
	if rec.Base.ETag == "" {
		dirty = extent.New(extent.Range{Off: 0, Len: rec.Size})
	}
	key, err := childKey(s.Prefix, rec.Name, rec.Kind)
	if err != nil {
		return err
	}
	var known = rec.Base
	if rec.At != key {
		known = journal.Base{}
	}
	e := &journal.Extents{Present: dirty, Dirty: dirty.Clone(), Damaged: extent.New(s.Damaged...), Boot: ch.c.boot}
	if rec.Kind == File {
		if _, err := ch.c.cutOff(s.Ino, &rec, e); err != nil {
			return err
		}
	}
	return errors.Join(ch.PutInode(s.Ino, &rec), ch.PutDirent(dir, rec.Name, journal.Dirent{Ino: s.Ino, Kind: rec.Kind}),
		ch.PutExtents(s.Ino, e), ch.wantInode(key, s.Ino, &rec, known))
}

// rebuildDirty queues a directory's own attributes again.
func (ch *change) rebuildDirty(rec *journal.Inode) error {
	ino, err := ch.rebuildDir(rec.Prefix)
	if err != nil || ino == Root {
		return err
	}
	made, _, err := ch.Inode(ino)
	if err != nil {
		return err
	}
	rec.Parent, rec.Name = made.Parent, made.Name
	return errors.Join(ch.PutInode(ino, rec), ch.wantInode(rec.Prefix, ino, rec, rec.Base))
}

// rebuildDir returns the inode of the directory with a prefix, making it and
// those above it as needed.
func (ch *change) rebuildDir(prefix string) (Ino, error) {
	ino, at := Root, ch.c.cfg.Prefix
	for at != prefix {
		rest := strings.TrimPrefix(prefix, at)
		component, _, ok := strings.Cut(rest, "/")
		if !ok {
			return 0, fmt.Errorf("directory %q is outside of the mount", prefix)
		}
		for _, name := range names.Split(component) {
			key, err := childKey(at, name, Dir)
			if err != nil {
				return 0, err
			}
			d, found, err := ch.Dirent(ino, name)
			if err != nil {
				return 0, err
			}
			if !found {
				rec := &journal.Inode{Kind: Dir, State: journal.Clean, Nlink: 2, Mode: ch.c.cfg.DirMode, Uid: ch.c.cfg.Uid, Gid: ch.c.cfg.Gid,
					Prefix: key, Atime: ch.now, Mtime: ch.now, Ctime: ch.now, Btime: ch.now}
				if d.Ino, err = ch.adopt(ino, name, rec); err != nil {
					return 0, err
				}
			}
			ino, at = d.Ino, key
		}
	}
	return ino, nil
}
