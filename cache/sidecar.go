package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

const sidecarSuffix = ".meta"

// A sidecar says, beside a data file that is not clean, all that is needed to
// queue it again without the journal. It is written by fsync; a file that was
// only closed has a line in the log (sidecarlog.go) until the next sync gives
// it one. It is JSON, for people in need too.
type sidecar struct {
	Ino     Ino
	Prefix  string // of the directory, as a key
	Inode   journal.Inode
	Dirty   []extent.Range
	Damaged []extent.Range `json:",omitempty"`
	Clean   bool           // in the log: what was said before no longer holds
	Said    int64          // when, in ns since 1970: of what the log and the sidecar say the later counts
}

// writeSidecar writes a dirty file's sidecar, durably; logSidecar only says it
// in the log. rec nil: as the journal has it. The caller holds c.mu and f.mu.
func (f *file) writeSidecar(rec *journal.Inode) error {
	s, err := f.sidecar(rec)
	if err != nil || s.Ino == 0 {
		return err
	}
	f.c.staleSidecars.Delete(f.ino)
	return f.c.storeSidecar(s, true)
}

func (f *file) logSidecar(rec *journal.Inode) error {
	s, err := f.sidecar(rec)
	if err != nil || s.Ino == 0 {
		return err
	}
	f.c.sidecarStale(f.ino)
	return f.c.sidecarLog.add(s)
}

func (f *file) sidecar(rec *journal.Inode) (s sidecar, err error) {
	err = f.c.view(func(tx *journal.Tx) error {
		s, err = f.c.sidecarOf(tx, f.ino, rec)
		return err
	})
	s.Dirty, s.Damaged = f.extents().Dirty.Ranges(), f.ext.Damaged.Ranges()
	return s, err
}

func (c *Cache) sidecarOf(tx *journal.Tx, ino Ino, rec *journal.Inode) (s sidecar, err error) {
	if rec == nil {
		var found bool
		if rec, found, err = tx.Inode(ino); err != nil || !found {
			return s, err
		}
	}
	if isAsideFile(rec) {
		return sidecar{Ino: ino, Prefix: rec.Prefix, Inode: *rec}, nil
	}
	if rec.State == journal.Clean || rec.State == journal.Orphan || rec.Parent == 0 || rec.Changed == 0 {
		return s, nil // nothing that is only here
	}
	dir, found, err := tx.Inode(rec.Parent)
	if err != nil || !found {
		return s, errors.Join(err, ErrStale)
	}
	prefix, err := c.finalPrefix(tx, rec.Parent, dir)
	return sidecar{Ino: ino, Prefix: prefix, Inode: *rec}, err
}

func (c *Cache) storeSidecar(s sidecar, durable bool) error {
	s.Said = c.sidecarLog.stamp()
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("sidecar of inode %d: %w", s.Ino, err)
	}
	name := c.dataPath(s.Ino) + sidecarSuffix
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // an inode without a data file so far
		if err = c.makeDataDir(s.Ino); err == nil {
			f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("sidecar of inode %d: %w", s.Ino, err)
	}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err == nil && durable {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("sidecar of inode %d: %w", s.Ino, err)
	}
	return nil
}

// sidecarStale has a dirty file's sidecar written by the next sync.
func (c *Cache) sidecarStale(ino Ino) { c.staleSidecars.Store(ino, struct{}{}) }

// recoverSidecars has the next sync write those that an earlier process only
// said in the log, which then goes.
func (c *Cache) recoverSidecars() error {
	logged, err := c.sidecarLog.read()
	for ino, s := range logged {
		if !s.Clean {
			c.sidecarStale(ino)
		}
	}
	return err
}

// removeSidecar forgets what was said of an inode that is clean or gone.
func (c *Cache) removeSidecar(ino Ino) {
	c.staleSidecars.Delete(ino)
	err := os.Remove(c.dataPath(ino) + sidecarSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, c.sidecarLog.add(sidecar{Ino: ino, Clean: true})); err != nil && !c.disk.failed(err) {
		c.cfg.Log.Error("cache: cannot remove a sidecar", "error", err)
	}
}

// refreshSidecars writes the sidecars of files that changed since theirs were
// written, or that have none yet.
func (c *Cache) refreshSidecars() error {
	old, err := c.sidecarLog.turn()
	if err != nil {
		return err
	}
	var errs []error
	c.staleSidecars.Range(func(key, _ any) bool {
		ino := key.(Ino)
		c.staleSidecars.Delete(ino)
		errs = append(errs, c.refreshSidecar(ino))
		return true
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return old.drop()
}

func (c *Cache) refreshSidecar(ino Ino) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s sidecar
	err := c.view(func(tx *journal.Tx) (err error) {
		if s, err = c.sidecarOf(tx, ino, nil); err != nil || s.Ino == 0 {
			return err
		}
		e, found, err := tx.Extents(ino)
		if found {
			s.Dirty, s.Damaged = e.Dirty.Ranges(), e.Damaged.Ranges()
		}
		return err
	})
	if err != nil || s.Ino == 0 {
		return err
	}
	return c.storeSidecar(s, false)
}

// readSidecars calls fn for what was said last of every inode, in its sidecar or
// in the log.
func (c *Cache) readSidecars(fn func(sidecar) error) error {
	logged, err := c.sidecarLog.read()
	if err != nil {
		return err
	}
	err = c.walkData(func(ino Ino, path string) error {
		if !strings.HasSuffix(path, sidecarSuffix) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("sidecar: %w", err)
		}
		var s sidecar
		if err := json.Unmarshal(b, &s); err != nil || s.Ino != ino {
			c.cfg.Log.Error("cache: unreadable sidecar; its data file is kept", "file", path, "error", err)
			return nil
		}
		if l, found := logged[ino]; found && l.Said >= s.Said {
			return nil
		}
		delete(logged, ino)
		return fn(s)
	})
	for _, s := range logged {
		if err == nil && !s.Clean {
			err = fn(s)
		}
	}
	return err
}

// walkData visits every file below data.
func (c *Cache) walkData(fn func(ino Ino, path string) error) error {
	return filepath.WalkDir(filepath.Join(c.cfg.Dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		digits, _, _ := strings.Cut(d.Name(), ".")
		ino, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return nil // not ours
		}
		return fn(Ino(ino), path)
	})
}
