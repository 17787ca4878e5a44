package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

// baseLost begins the state of a file that cannot be sent because the version
// it was an edit of is gone and was not all here.
const baseLost = "conflict: base lost"

// ErrNoConflict says that a conflict has been decided, or never was.
var ErrNoConflict = errors.New("no such conflict")

// conflicted holds when each inode came into a conflict that nobody has decided
// yet, as the journal has it.
type conflicted map[Ino]int64

func (c *Cache) recoverConflicts() error {
	return c.view(func(tx *journal.Tx) error {
		return tx.Conflicts(func(when int64, ino Ino, _ journal.Conflict) error {
			c.parked[ino] = when
			return nil
		})
	})
}

// isAsideFile reports whether a file lost its name to the bucket's version and
// is kept for somebody to decide.
func isAsideFile(rec *journal.Inode) bool {
	return rec.State == journal.Conflicted && rec.Parent == 0 && rec.Kind != Dir
}

// noteConflict records a conflict. One that meets another keeps its original.
func (ch *change) noteConflict(x journal.Conflict) error {
	err := ch.Conflicts(func(_ int64, ino Ino, earlier journal.Conflict) error {
		if ino == x.Ino {
			x.Old = earlier.Old
		}
		return nil
	})
	if err = errors.Join(err, ch.forgetConflict(x.Ino)); err != nil {
		return err
	}
	ch.committed(func() { ch.c.parked[x.Ino] = x.When })
	return ch.PutConflict(x.When, x.Ino, x)
}

// forgetConflict drops the record of an inode's conflict, if there is one.
func (ch *change) forgetConflict(ino Ino) error {
	when, found := ch.c.parked[ino]
	if !found {
		return nil
	}
	ch.committed(func() { delete(ch.c.parked, ino) })
	return ch.DeleteConflict(when, ino)
}

// renamedByUser drops the conflict of an inode that gets another name: somebody
// has decided.
func (ch *change) renamedByUser(to dirName, ino Ino) error {
	if _, found := ch.c.parked[ino]; !found {
		return nil
	}
	rec, found, err := ch.Inode(ino)
	if err != nil || !found || rec.Parent == to.dir && rec.Name == to.name {
		return err
	}
	return ch.forgetConflict(ino)
}

// putAside leaves the name to the bucket's version; ours loses it and stays in
// the cache until somebody decides. Writers go on.
func (ch *change) putAside(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	dir, name := rec.Parent, rec.Name
	parent, found, err := ch.Inode(dir)
	if err != nil || !found {
		return outcome{}, errors.Join(err, ErrStale)
	}
	prefix, err := ch.c.finalPrefix(ch.Tx, dir, parent)
	if err != nil {
		return outcome{}, err
	}
	if err := ch.unsent(j, rec, flushChanged); err != nil {
		return outcome{}, err
	}
	if rec.Kind != File && rec.At != "" { // the record holds all of it
		if err := ch.release(rec.At, j.row.Ino); err != nil {
			return outcome{}, err
		}
		rec.Base, rec.At = journal.Base{}, ""
	}
	rec.Parent, rec.Prefix, rec.Nlink, rec.Ctime = 0, prefix, 0, ch.now
	rec.Changed |= journal.ChangedData | journal.ChangedMeta
	r.Want, r.Ino = journal.WantNothing, 0
	theirs := s3backend.Entry{Key: j.key, Size: e.theirs.Size, ETag: e.theirs.ETag, Modified: e.theirs.Modified}
	err = errors.Join(ch.PutInode(j.row.Ino, rec), ch.putRow(j.key, r),
		ch.noteConflict(journal.Conflict{Old: j.key, Ours: rec.Base.ETag, Theirs: e.theirs.ETag, When: ch.now, Ino: j.row.Ino}))
	if err != nil {
		return outcome{}, err
	}
	if _, err := ch.adopt(dir, name, entryInode(ch.c, File, j.key, theirs)); err != nil {
		return outcome{}, err
	}
	ch.c.sidecarStale(j.row.Ino)
	ch.c.kernel.EntryGone(dir, name)
	ch.c.cfg.Log.Warn("cache: conflict: the object was changed in the bucket while it was changed here; ours is kept in the cache alone",
		"key", j.key, "conflict", conflictID(j.row.Ino, ch.now))
	return outcome{settled: true}, nil
}

// rebuildAside makes the records of a file put aside again, from its sidecar.
func (ch *change) rebuildAside(s sidecar) error {
	key, err := childKey(s.Prefix, s.Inode.Name, s.Inode.Kind)
	if err != nil {
		return err
	}
	dirty := extent.New(s.Dirty...)
	e := &journal.Extents{Present: dirty, Dirty: dirty.Clone(), Damaged: extent.New(s.Damaged...), Boot: ch.c.boot}
	if _, err := ch.c.cutOff(s.Ino, &s.Inode, e); err != nil {
		return err
	}
	return errors.Join(ch.PutInode(s.Ino, &s.Inode), ch.PutExtents(s.Ino, e),
		ch.noteConflict(journal.Conflict{Old: key, Ours: s.Inode.Base.ETag, When: ch.now, Ino: s.Ino}))
}

// conflictID is the name of a conflict. Inodes of several caches have the same
// numbers; that conflicts of theirs also came at the same time is unlikely.
func conflictID(ino Ino, when int64) string {
	return fmt.Sprintf("conflict-%x-%04x", uint64(ino), uint16(when>>10))
}

// Conflicts returns what nobody has decided yet, the oldest first.
func (c *Cache) Conflicts() (all []ConflictInfo, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		all, err = c.conflictsIn(tx)
		return err
	})
	return all, err
}

// conflictsIn is Conflicts in a transaction. The caller holds c.mu.
func (c *Cache) conflictsIn(tx *journal.Tx) (all []ConflictInfo, err error) {
	err = tx.Conflicts(func(when int64, ino Ino, x journal.Conflict) error {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return err
		}
		info := ConflictInfo{ID: conflictID(ino, when), Path: x.Old, Name: c.pathOfKey(x.Old), Parked: x.New, Size: rec.Size, When: time.Unix(0, when)}
		for at := rec; at.Parent != 0; {
			info.File = strings.TrimSuffix(at.Name+"/"+info.File, "/")
			if at, found, err = tx.Inode(at.Parent); err != nil || !found {
				return errors.Join(err, ErrStale)
			}
		}
		all = append(all, info)
		return nil
	})
	return all, err
}

// pathOfKey is the path under which the file of a key is shown if no directory
// has the same name.
func (c *Cache) pathOfKey(key string) string {
	var path []string
	for component := range strings.SplitSeq(strings.TrimPrefix(key, c.cfg.Prefix), "/") {
		path = append(path, names.Split(component)...)
	}
	return strings.Join(path, "/")
}

// KeepMine makes our side of a conflict the content of the original name, over
// the version of the others that is seen there now. A later one of theirs is a
// new conflict. ErrNoConflict, or what a rename fails with.
func (c *Cache) KeepMine(ctx context.Context, id string) error {
	ino, x, rec, err := c.conflictOf(id)
	if err != nil {
		return err
	}
	at, err := c.placeOf(ctx, x.Old)
	if err != nil {
		return &Error{"keep", x.Old, err}
	}
	if rec.Parent != 0 {
		err := c.Rename(ctx, Rename{OldParent: rec.Parent, OldName: rec.Name, NewParent: at.dir, NewName: at.name})
		c.kernel.EntryGone(rec.Parent, rec.Name) // it did not ask for this
		c.kernel.EntryGone(at.dir, at.name)
		return err
	}
	if err := c.restore(ino, at); err != nil {
		return &Error{"keep", x.Old, err}
	}
	return nil
}

// KeepTheirs ends a conflict by removing our side. ErrNoConflict, or what an
// unlink fails with.
func (c *Cache) KeepTheirs(ctx context.Context, id string) error {
	ino, x, rec, err := c.conflictOf(id)
	if err != nil {
		return err
	}
	if rec.Parent != 0 {
		err := c.Unlink(ctx, rec.Parent, rec.Name)
		c.kernel.EntryGone(rec.Parent, rec.Name)
		return err
	}
	if c.cfg.ReadOnly {
		return &Error{"keep", x.Old, ErrReadOnly}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("dropped", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found || !isAsideFile(rec) {
			return errors.Join(err, ErrNoConflict)
		}
		return ch.orphan(ino, rec, unlinked)
	})
}

// conflictOf finds a conflict by its ID.
func (c *Cache) conflictOf(id string) (ino Ino, x journal.Conflict, rec *journal.Inode, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		err := tx.Conflicts(func(when int64, of Ino, found journal.Conflict) error {
			if conflictID(of, when) != id {
				return nil
			}
			ino, x = of, found
			return journal.Stop
		})
		if err != nil || ino == 0 {
			return errors.Join(err, ErrNoConflict)
		}
		var found bool
		if rec, found, err = tx.Inode(ino); err == nil && !found {
			err = ErrNoConflict
		}
		return err
	})
	if errors.Is(err, ErrNoConflict) {
		err = fmt.Errorf("%s: %w", id, ErrNoConflict)
	}
	return ino, x, rec, err
}

// placeOf returns the name under which the file of a key is, or would be, shown.
func (c *Cache) placeOf(ctx context.Context, key string) (at dirName, err error) {
	at.dir = Root
	components := strings.Split(strings.TrimPrefix(key, c.cfg.Prefix), "/")
	last := len(components) - 1
	for _, component := range components[:last] {
		for _, name := range names.Split(component) {
			if at.dir, err = c.resolve(ctx, at.dir, name); err != nil {
				return at, err
			}
		}
	}
	above := at.dir
	if at, err = c.descend(ctx, above, names.Split(components[last])); err != nil {
		return at, err
	}
	ino, err := c.resolve(ctx, at.dir, at.name)
	if errors.Is(err, ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	rec, err := c.record(ino)
	if err != nil || rec.Kind != Dir {
		return at, err
	}
	return c.descend(ctx, above, names.SplitFile(components[last]))
}

// descend follows all of a path but its last name.
func (c *Cache) descend(ctx context.Context, dir Ino, path []string) (at dirName, err error) {
	for _, name := range path[:len(path)-1] {
		if dir, err = c.resolve(ctx, dir, name); err != nil {
			return at, err
		}
	}
	return dirName{dir, path[len(path)-1]}, nil
}

// restore gives a file that was put aside its name again, in place of what has
// it now.
func (c *Cache) restore(ino Ino, at dirName) error {
	if c.cfg.ReadOnly {
		return ErrReadOnly
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("restored", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found || !isAsideFile(rec) {
			return errors.Join(err, ErrNoConflict)
		}
		d, taken, err := ch.Dirent(at.dir, at.name)
		if err != nil {
			return err
		}
		if taken && d.Kind == Dir {
			return ErrIsDir
		}
		if taken {
			if err := ch.replace(at.dir, d); err != nil {
				return err
			}
		}
		if err := setState(rec, parked); err != nil {
			return err
		}
		rec.Prefix, rec.Ctime = "", ch.now
		rec.Generation++
		c.kernel.EntryGone(at.dir, at.name)
		return errors.Join(ch.enter(at, ino, rec), ch.forgetConflict(ino))
	})
}
