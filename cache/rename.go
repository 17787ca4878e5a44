package cache

import (
	"context"
	"errors"

	"github.com/moorfs/moorfs/cache/journal"
)

// dirRenameLimit is how many inodes a directory may hold to be renamed in one
// transaction.
const dirRenameLimit = 2000

// Rename moves a name, atomically for everybody on this mount; the bucket
// follows by a copy on the server, or by the upload that is due anyway. A
// directory that has been published cannot be moved in one step:
// ErrCrossDevice.
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
	if _, err := c.resolve(ctx, r.OldParent, r.OldName); err != nil {
		return err
	}
	target, err := c.resolve(ctx, r.NewParent, r.NewName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if target != 0 {
		if err := c.refreshForRemoval(ctx, target); err != nil {
			return err
		}
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
	if from.Kind == Dir {
		if err := ch.notBelow(from.Ino, r.NewParent); err != nil {
			return err
		}
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
	newKey, err := childKey(newDir.Prefix, r.NewName, rec.Kind)
	if err != nil {
		return err
	}
	if rec.Kind == Dir {
		if err := ch.moveTree(ino, rec, newKey); err != nil {
			return err
		}
	}
	err = errors.Join(ch.DeleteDirent(r.OldParent, r.OldName),
		ch.PutDirent(r.NewParent, r.NewName, journal.Dirent{Ino: ino, Kind: rec.Kind}),
		ch.touchDir(r.OldParent, oldDir), ch.touchDir(r.NewParent, newDir))
	rec.Parent, rec.Name, rec.Ctime = r.NewParent, r.NewName, ch.now
	if err != nil || rec.Kind == Dir {
		return errors.Join(err, ch.PutInode(ino, rec), ch.unescape(r.OldParent, r.OldName))
	}
	return errors.Join(ch.moveKey(ino, rec, oldKey, newKey), ch.keepDir(r.OldParent, oldDir, oldKey))
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
	ch.c.sidecarStale(ino)
	return ch.wantInode(newKey, ino, rec, base)
}

// exchange swaps two files.
func (ch *change) exchange(r Rename, a, b journal.Dirent) error {
	if a.Kind == Dir || b.Kind == Dir {
		return ErrCrossDevice
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
		ch.leaveKey(a.Ino, recA, keyA), ch.leaveKey(b.Ino, recB, keyB))
	return errors.Join(err, ch.enterKey(a.Ino, recA, keyB), ch.enterKey(b.Ino, recB, keyA))
}

// notBelow refuses to move a directory into itself.
func (ch *change) notBelow(dir, parent Ino) error {
	for ino := parent; ino != Root; {
		if ino == dir {
			return ErrInvalid
		}
		rec, found, err := ch.Inode(ino)
		if err != nil || !found {
			return errors.Join(err, ErrNotExist)
		}
		ino = rec.Parent
	}
	return nil
}

// moveTree rewrites the keys below a directory that only exists here.
func (ch *change) moveTree(ino Ino, rec *journal.Inode, newPrefix string) error {
	left := dirRenameLimit
	return ch.moveBelow(ino, rec, newPrefix, &left)
}

func (ch *change) moveBelow(ino Ino, rec *journal.Inode, newPrefix string, left *int) error {
	type child struct {
		ino  Ino
		name string
	}
	var children []child
	err := ch.Dirents(ino, "", func(name string, d journal.Dirent) error {
		if *left--; *left < 0 {
			return ErrCrossDevice
		}
		children = append(children, child{d.Ino, name})
		return nil
	})
	if err != nil {
		return err
	}
	oldPrefix := rec.Prefix
	if err := ch.moveUnpublished(ino, rec, oldPrefix, newPrefix); err != nil {
		return err
	}
	rec.Prefix = newPrefix
	if err := ch.PutInode(ino, rec); err != nil {
		return err
	}
	for _, k := range children {
		sub, found, err := ch.Inode(k.ino)
		if err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		oldKey, err := childKey(oldPrefix, k.name, sub.Kind)
		if err != nil {
			return err
		}
		newKey, err := childKey(newPrefix, k.name, sub.Kind)
		if err != nil {
			return err
		}
		if sub.Kind == Dir {
			err = ch.moveBelow(k.ino, sub, newKey, left)
		} else {
			err = ch.moveUnpublished(k.ino, sub, oldKey, newKey)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveUnpublished moves the row of an inode that has never been sent.
func (ch *change) moveUnpublished(ino Ino, rec *journal.Inode, oldKey, newKey string) error {
	r, found, err := ch.Row(oldKey)
	if err != nil {
		return err
	}
	if !found || rec.Base.ETag != "" || r.Want != journal.WantInode || r.Known != journal.KnownAbsent || r.Nonce != "" || r.Holder != 0 {
		return ErrCrossDevice
	}
	ch.c.sidecarStale(ino)
	if err := ch.wantInode(newKey, ino, rec, journal.Base{}); err != nil {
		return err
	}
	return ch.dropRow(oldKey)
}
