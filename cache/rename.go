package cache

import (
	"context"
	"errors"

	"github.com/moorfs/moorfs/cache/journal"
)

// Rename moves a name, atomically for everybody on this mount, whatever is
// below it; the bucket follows by copies on the server, or by the uploads that
// are due anyway.
func (c *Cache) Rename(ctx context.Context, r Rename) error {
	if err := c.rename(ctx, r); err != nil {
		return &Error{"rename", r.OldName, err}
	}
	return nil
}

func (c *Cache) rename(ctx context.Context, r Rename) error {
	if c.cfg.ReadOnly {
		return ErrReadOnly
	}
	from, err := c.resolve(ctx, r.OldParent, r.OldName)
	if err != nil {
		return err
	}
	target, err := c.resolve(ctx, r.NewParent, r.NewName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if target != 0 && !r.Exchange && !r.NoReplace {
		if err := c.refreshForRemoval(ctx, target); err != nil {
			return err
		}
	}
	if err := c.keysFit(from, r.NewParent, r.NewName); err != nil {
		return err
	}
	if r.Exchange {
		if err := c.keysFit(target, r.OldParent, r.OldName); err != nil {
			return err
		}
	}
	if target != 0 && !r.Exchange && !r.NoReplace {
		done, err := c.replaces(from)
		if err != nil {
			return err
		}
		defer done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("renamed", func(ch *change) error { return ch.rename(r) })
}

func (ch *change) rename(r Rename) error {
	from, found, err := ch.Dirent(r.OldParent, r.OldName)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	if r.Moves != 0 && r.Moves != from.Ino {
		return ErrStale
	}
	if r.OldName == markerBody || r.NewName == markerBody {
		return ErrPermission
	}
	to, exists, err := ch.Dirent(r.NewParent, r.NewName)
	if err != nil {
		return err
	}
	switch {
	case exists && r.NoReplace:
		return ErrExist
	case !exists && r.Exchange:
		return ErrNotExist
	case exists && to.Ino == from.Ino:
		return nil
	case r.Exchange:
		return ch.exchange(r, from, to)
	case exists && from.Kind == Dir && to.Kind != Dir:
		return ErrNotDir
	case exists && from.Kind != Dir && to.Kind == Dir:
		return ErrIsDir
	}
	if err := ch.mayMove(from, r.NewParent); err != nil {
		return err
	}
	if exists {
		if err := ch.replace(r.NewParent, to); err != nil {
			return err
		}
	}
	return ch.move(r, from.Ino)
}

// replace takes away what a rename puts something else over. Its key's row
// stays, for the newcomer to build on.
func (ch *change) replace(parent Ino, d journal.Dirent) error {
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	if rec.Kind == Dir {
		if full, err := ch.HasDirents(d.Ino); err != nil || full {
			return errors.Join(err, ErrNotEmpty)
		}
	}
	key, err := ch.keyOf(rec)
	if err != nil {
		return err
	}
	return errors.Join(ch.wantGone(d.Ino, rec, key), ch.orphan(d.Ino, rec, unlinked))
}

// move gives an inode another name.
func (ch *change) move(r Rename, ino Ino) error {
	rec, found, err := ch.Inode(ino)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	oldDir, found, err := ch.Inode(r.OldParent)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	newDir := oldDir
	if r.NewParent != r.OldParent {
		if newDir, found, err = ch.Inode(r.NewParent); err != nil || !found {
			return errors.Join(err, ErrNotExist)
		}
	}
	oldKey, err := ch.keyOf(rec)
	if err != nil {
		return err
	}
	if err := ch.mayName(r.NewParent, r.NewName, rec.Kind); err != nil {
		return err
	}
	newKey, err := ch.keyIn(r.NewParent, newDir, r.NewName, rec.Kind)
	if err != nil {
		return err
	}
	err = errors.Join(ch.DeleteDirent(r.OldParent, r.OldName),
		ch.PutDirent(r.NewParent, r.NewName, journal.Dirent{Ino: ino, Kind: rec.Kind}),
		ch.touchDir(r.OldParent, oldDir), ch.touchDir(r.NewParent, newDir))
	rec.Parent, rec.Name, rec.Ctime = r.NewParent, r.NewName, ch.now
	if err != nil {
		return err
	}
	if rec.Kind != Dir {
		return errors.Join(ch.moveKey(ino, rec, oldKey, newKey), ch.keepDir(r.OldParent, oldDir, oldKey))
	}
	err = errors.Join(ch.PutInode(ino, rec), ch.unescape(r.OldParent, r.OldName), ch.keepDir(r.OldParent, oldDir, ""))
	after := ""
	if r, found, rowErr := ch.Row(markerKey(oldDir)); found && r.Want == journal.WantInode {
		after = markerKey(oldDir) // the directory does not vanish for others with its last child
	} else if rowErr != nil {
		return rowErr
	}
	return errors.Join(err, ch.startMove(ino, rec, after))
}

// moveKey edits the rows of the two keys that the rename of a file concerns;
// it stores rec.
func (ch *change) moveKey(ino Ino, rec *journal.Inode, oldKey, newKey string) error {
	if err := ch.leaveKey(ino, rec, oldKey); err != nil {
		return err
	}
	return ch.enterKey(ino, rec, newKey)
}

// leaveKey wants nothing at the old key any more, but only after the new
// place of what lies there is confirmed.
func (ch *change) leaveKey(ino Ino, rec *journal.Inode, oldKey string) error {
	var base journal.Base
	var holder Ino
	if rec.At == oldKey {
		base, holder = rec.Base, ino
	}
	return ch.wantAbsent(oldKey, base, holder)
}

// enterKey wants rec at its new key.
func (ch *change) enterKey(ino Ino, rec *journal.Inode, newKey string) error {
	if err := setState(rec, changed); err != nil {
		return err
	}
	rec.Generation++
	if err := ch.PutInode(ino, rec); err != nil {
		return err
	}
	var base journal.Base
	if rec.At == newKey { // back where it came from
		base = rec.Base
		if err := ch.release(newKey, ino); err != nil {
			return err
		}
	}
	if rec.Changed != 0 {
		ch.c.sidecarStale(ino)
	}
	return ch.wantInode(newKey, ino, rec, base)
}

// exchange swaps two names.
func (ch *change) exchange(r Rename, a, b journal.Dirent) error {
	if err := errors.Join(ch.mayMove(a, r.NewParent), ch.mayMove(b, r.OldParent)); err != nil {
		return err
	}
	if err := errors.Join(ch.mayName(r.NewParent, r.NewName, a.Kind), ch.mayName(r.OldParent, r.OldName, b.Kind)); err != nil {
		return err
	}
	if err := errors.Join(ch.keyFree(r.OldParent, r.OldName, exchanged{a, b}), ch.keyFree(r.NewParent, r.NewName, exchanged{b, a})); err != nil {
		return err
	}
	recA, foundA, errA := ch.Inode(a.Ino)
	recB, foundB, errB := ch.Inode(b.Ino)
	if err := errors.Join(errA, errB); err != nil || !foundA || !foundB {
		return errors.Join(err, ErrStale)
	}
	keyA, errA := ch.keyOf(recA)
	keyB, errB := ch.keyOf(recB)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	recA.Parent, recA.Name, recB.Parent, recB.Name = recB.Parent, recB.Name, recA.Parent, recA.Name
	recA.Ctime, recB.Ctime = ch.now, ch.now
	err := errors.Join(ch.PutDirent(r.OldParent, r.OldName, b), ch.PutDirent(r.NewParent, r.NewName, a),
		ch.leaveName(a.Ino, recA, keyA), ch.leaveName(b.Ino, recB, keyB))
	return errors.Join(err, ch.enterName(a.Ino, recA), ch.enterName(b.Ino, recB), ch.touched(r.OldParent), ch.touched(r.NewParent))
}

// exchanged says what leaves a name and what gets it.
type exchanged struct{ old, new journal.Dirent }

// keyFree refuses to give a directory's name to a file where the object with
// that very key already shows beside the directory.
func (ch *change) keyFree(parent Ino, name string, x exchanged) error {
	if x.old.Kind != Dir || x.new.Kind == Dir {
		return nil
	}
	_, _, taken, err := ch.fileBeside(parent, name)
	if err == nil && taken {
		err = ErrInvalid
	}
	return err
}

// leaveName is leaveKey; a directory's keys follow by its move.
func (ch *change) leaveName(ino Ino, rec *journal.Inode, key string) error {
	if rec.Kind == Dir {
		return nil
	}
	return ch.leaveKey(ino, rec, key)
}

// enterName is enterKey of the key that goes with rec's name.
func (ch *change) enterName(ino Ino, rec *journal.Inode) error {
	if rec.Kind == Dir {
		return errors.Join(ch.PutInode(ino, rec), ch.startMove(ino, rec, ""))
	}
	key, err := ch.keyOf(rec)
	if err != nil {
		return err
	}
	return ch.enterKey(ino, rec, key)
}

// touched is touchDir of a directory as the transaction has it now.
func (ch *change) touched(dir Ino) error {
	rec, found, err := ch.Inode(dir)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	return ch.touchDir(dir, rec)
}

// mayMove refuses to move a directory into itself, and one that stands for a
// piece of longer names.
func (ch *change) mayMove(d journal.Dirent, parent Ino) error {
	if d.Kind != Dir {
		return nil
	}
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return errors.Join(err, ErrStale)
	}
	below, err := within(ch.Tx, parent, d.Ino)
	if err == nil && (below || !hasObject(rec)) {
		err = ErrInvalid
	}
	return err
}

// keysFit refuses a rename that would make a key too long which is known here
// to exist below.
func (c *Cache) keysFit(ino, parent Ino, name string) error {
	var room, growth int
	var kind Kind
	err := c.viewLocked(func(tx *journal.Tx) error {
		dir, found, err := tx.Inode(parent)
		rec, there, recErr := tx.Inode(ino)
		if err = errors.Join(err, recErr); err != nil || !found || !there {
			return errors.Join(err, ErrNotExist)
		}
		final, err := c.finalPrefix(tx, parent, dir)
		if err != nil {
			return err
		}
		kind = rec.Kind
		key, err := childKey(final, name, kind)
		if err != nil || kind != Dir {
			return err
		}
		now, err := c.finalPrefix(tx, ino, rec)
		room, growth = maxKey-len(key), len(key)-len(now)
		return err
	})
	if err != nil || kind != Dir || growth <= 0 {
		return err
	}
	return c.namesFit(ino, room)
}

// namesFit reports ErrNameTooLong if what follows a directory's prefix in a key
// known below it is longer than room.
func (c *Cache) namesFit(dir Ino, room int) error {
	type sub struct {
		ino  Ino
		room int
	}
	todo := []sub{{dir, room}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		err := c.view(func(tx *journal.Tx) error {
			return tx.Dirents(at.ino, "", func(name string, d journal.Dirent) error {
				piece, err := childKey("", name, d.Kind)
				if err != nil {
					return err
				}
				if len(piece) > at.room {
					return ErrNameTooLong
				}
				if d.Kind == Dir {
					todo = append(todo, sub{d.Ino, at.room - len(piece)})
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
