package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
)

// Make creates a file, directory, symlink or special file. It is there for
// everybody on this mount at once; its row queues the object.
func (c *Cache) Make(ctx context.Context, parent Ino, name string, n New) (Attr, error) {
	attr, _, err := c.make(ctx, parent, name, n, false)
	if err != nil {
		return Attr{}, &Error{"create", name, err}
	}
	return attr, nil
}

// Create makes a regular file and opens it for writing, in one step.
func (c *Cache) Create(ctx context.Context, parent Ino, name string, n New) (Attr, *Handle, error) {
	n.Kind = File
	attr, h, err := c.make(ctx, parent, name, n, true)
	if err != nil && attr.Ino != 0 { // it has its name, but cannot be opened
		err = errors.Join(err, c.Unlink(ctx, parent, name))
		c.disk.failed(err)
	}
	if err != nil {
		return Attr{}, nil, &Error{"create", name, err}
	}
	return attr, h, nil
}

func (c *Cache) make(ctx context.Context, parent Ino, name string, n New, open bool) (Attr, *Handle, error) {
	if c.cfg.ReadOnly {
		return Attr{}, nil, ErrReadOnly
	}
	if _, err := c.resolve(ctx, parent, name); !errors.Is(err, ErrNotExist) {
		if err == nil {
			err = ErrExist
		}
		return Attr{}, nil, err
	}
	ino, err := c.db.NextIno()
	if err != nil {
		return Attr{}, nil, err
	}
	var cl *claim
	if c.exclusive(n) {
		if cl, err = c.claim(ctx, dirName{parent, name}, n); err != nil {
			return Attr{}, nil, err
		}
		defer c.unclaim(cl)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var rec *journal.Inode
	err = c.update("created", func(ch *change) error {
		if rec, err = ch.create(parent, name, ino, n); err != nil || cl == nil {
			return err
		}
		return ch.claimed(cl, ino, rec)
	})
	if err != nil {
		return Attr{}, nil, err
	}
	if !open {
		return attrOf(ino, rec), nil, nil
	}
	h, err := c.openLocked(ino, rec, OpenMode{Write: true})
	if err == nil {
		h.f.mu.Lock()
		h.f.noted = true           // "created" said it
		h.f.lastWrite = time.Now() // it rests from now on
		h.f.mu.Unlock()
		h.dirtied.Store(true)
	}
	return attrOf(ino, rec), h, err
}

// create is the transaction of Make.
func (ch *change) create(parent Ino, name string, ino Ino, n New) (*journal.Inode, error) {
	rec := ch.newInode(n)
	return rec, ch.enter(dirName{parent, name}, ino, rec)
}

// newInode returns the record of an inode that has no name yet.
func (ch *change) newInode(n New) *journal.Inode {
	return &journal.Inode{Kind: n.Kind, State: journal.Dirty, Changed: journal.ChangedData | journal.ChangedMeta, AttrsKnown: true, Nlink: 1,
		Mode: n.Mode, Uid: n.Uid, Gid: n.Gid, Rdev: n.Rdev, Target: n.Target, Generation: 1,
		Atime: ch.now, Mtime: ch.now, Ctime: ch.now, Btime: ch.now, Size: int64(len(n.Target))}
}

// enter gives an inode that has no name its first.
func (ch *change) enter(at dirName, ino Ino, rec *journal.Inode) error {
	dir, found, err := ch.Inode(at.dir)
	if err != nil {
		return err
	}
	if !found || dir.State == journal.Orphan {
		return ErrNotExist
	}
	if dir.Kind != Dir {
		return ErrNotDir
	}
	if err := ch.attached(at.dir); err != nil {
		return err
	}
	if _, found, err := ch.Dirent(at.dir, at.name); err != nil || found {
		return errors.Join(err, ErrExist)
	}
	if err := ch.mayName(at.dir, at.name, rec.Kind); err != nil {
		return err
	}
	key, err := ch.keyIn(at.dir, dir, at.name, rec.Kind)
	if err != nil {
		return err
	}
	rec.Parent, rec.Name, rec.Nlink = at.dir, at.name, 1
	if rec.Kind == Dir {
		if key, err = ch.unclaimed(key, at.dir, ino); err != nil {
			return err
		}
		rec.Nlink, rec.Prefix = 2, key
		l := journal.Listing{Begun: ch.at, Ended: ch.at, Complete: true}
		if err := ch.PutListing(ino, l); err != nil {
			return err
		}
	}
	err = errors.Join(ch.PutInode(ino, rec), ch.PutDirent(at.dir, at.name, journal.Dirent{Ino: ino, Kind: rec.Kind}), ch.touchDir(at.dir, dir))
	if err != nil || !hasObject(rec) {
		return err
	}
	if isAside(key) && rec.Kind == Dir {
		if err := ch.startMove(ino, rec, ""); err != nil {
			return err
		}
	}
	ch.c.sidecarStale(ino)
	return ch.wantInode(key, ino, rec, journal.Base{})
}

// mayName refuses a name that something of this kind cannot have here, because
// its key is shown under another name.
func (ch *change) mayName(parent Ino, name string, kind Kind) error {
	if !strings.HasPrefix(name, "%=") {
		return nil // as nearly all are
	}
	chunks, err := chunksOf(ch.Tx, parent)
	if err != nil {
		return err
	}
	n, err := names.In(chunks, name)
	if err != nil || n.Continues && kind != Dir || n.File && kind == Dir || name == markerBody {
		return ErrInvalid
	}
	if !n.File {
		return nil
	}
	above, beside, ok := names.Beside(chunks, n.Component)
	if !ok {
		return ErrInvalid
	}
	for ; above > 0; above-- {
		dir, found, err := ch.Inode(parent)
		if err != nil || !found {
			return errors.Join(err, ErrNotExist)
		}
		parent = dir.Parent
	}
	if d, found, err := ch.Dirent(parent, beside); err != nil || !found || d.Kind != Dir {
		return errors.Join(err, ErrInvalid)
	}
	return nil
}

// hasObject reports whether an inode stands for an object: all do but
// directories that are a piece of a long name.
func hasObject(rec *journal.Inode) bool {
	return rec.Kind != Dir || strings.HasSuffix(rec.Prefix, "/")
}

// touchDir notes that a directory's names changed; that stays local.
func (ch *change) touchDir(ino Ino, dir *journal.Inode) error {
	dir.Mtime, dir.Ctime = ch.now, ch.now
	return ch.PutInode(ino, dir)
}

// Unlink removes the name of anything but a directory. Open handles go on.
func (c *Cache) Unlink(ctx context.Context, parent Ino, name string) error {
	return c.remove(ctx, "unlink", parent, name)
}

// Rmdir removes an empty directory.
func (c *Cache) Rmdir(ctx context.Context, parent Ino, name string) error {
	return c.remove(ctx, "rmdir", parent, name)
}

func (c *Cache) remove(ctx context.Context, op string, parent Ino, name string) error {
	if c.cfg.ReadOnly {
		return &Error{op, name, ErrReadOnly}
	}
	ino, err := c.resolve(ctx, parent, name)
	if err == nil && op == "rmdir" {
		err = c.refreshForRemoval(ctx, ino)
	}
	if err != nil {
		return &Error{op, name, err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.update(op, func(ch *change) error {
		d, found, err := ch.Dirent(parent, name)
		if err != nil {
			return err
		}
		switch {
		case !found:
			return ErrNotExist
		case op == "unlink" && d.Kind == Dir:
			return ErrIsDir
		case op == "rmdir" && d.Kind != Dir:
			return ErrNotDir
		}
		return ch.unlink(parent, d)
	})
	if err != nil {
		return &Error{op, name, err}
	}
	return nil
}

// refreshForRemoval makes sure that the names known in a directory are all
// there are, as of a listing within its TTL.
func (c *Cache) refreshForRemoval(ctx context.Context, dir Ino) error {
	rec, err := c.record(dir)
	if err != nil || rec.Kind != Dir {
		return err
	}
	return c.ensureListed(ctx, dir)
}

// unlink takes a name away and queues what follows at its key.
func (ch *change) unlink(parent Ino, d journal.Dirent) error {
	rec, found, err := ch.Inode(d.Ino)
	if err != nil {
		return err
	}
	if !found {
		return ErrNotExist
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
	dir, found, err := ch.Inode(parent)
	if err != nil || !found {
		return errors.Join(err, ErrNotExist)
	}
	if rec.Name == markerBody { // the marker stays, without a body
		return errors.Join(ch.orphan(d.Ino, rec, unlinked), ch.dirty(parent, dir, journal.ChangedData))
	}
	name := rec.Name
	if err := ch.wantGone(d.Ino, rec, key); err != nil {
		return err
	}
	if err := ch.orphan(d.Ino, rec, unlinked); err != nil {
		return err
	}
	if err := ch.touchDir(parent, dir); err != nil {
		return err
	}
	if d.Kind == Dir {
		return errors.Join(ch.unescape(parent, name), ch.keepDir(parent, dir, key))
	}
	return ch.keepDir(parent, dir, key)
}

// wantGone queues the deletion of what an inode that loses its name has at
// key, and gives up its hold on the key where it came from. An open file whose
// bytes are not all here keeps its object until its last close.
func (ch *change) wantGone(ino Ino, rec *journal.Inode, key string) error {
	if !hasObject(rec) {
		return nil
	}
	needed := ch.c.needsObject(ino, rec)
	var base journal.Base
	if rec.At == key || rec.Kind == Dir && rec.At == "" {
		base = rec.Base
	}
	var holder Ino
	if needed && rec.At == key {
		holder = ino
	}
	if err := ch.wantAbsent(key, base, holder); err != nil {
		return err
	}
	if !needed && rec.At != key {
		return ch.release(rec.At, ino)
	}
	return nil
}

// keepDir writes the marker of a directory whose last child goes: it does not
// vanish for others. The deletion at key waits for it.
func (ch *change) keepDir(ino Ino, dir *journal.Inode, key string) error {
	if ino == Root || dir.Base.ETag != "" || dir.State != journal.Clean || !hasObject(dir) {
		return nil
	}
	if full, err := ch.HasDirents(ino); err != nil || full {
		return err
	}
	if r, found, err := ch.Row(markerKey(dir)); err != nil || found && r.Want == journal.WantInode {
		return err
	}
	if err := ch.dirty(ino, dir, journal.ChangedMeta); err != nil {
		return err
	}
	return ch.rowAfter(key, markerKey(dir))
}

// dirty records a change of rec and queues it; it stores rec.
func (ch *change) dirty(ino Ino, rec *journal.Inode, what journal.Change) error {
	if rec.State != journal.Orphan {
		if err := ch.attached(ino); err != nil {
			return err
		}
	}
	if err := setState(rec, changed); err != nil {
		return err
	}
	rec.Changed |= what
	rec.Generation++
	rec.Torn = false
	if err := ch.PutInode(ino, rec); err != nil || rec.State == journal.Orphan || !hasObject(rec) || ino == Root && rec.Prefix == "" {
		return err
	}
	key, err := ch.keyOf(rec)
	if err != nil || key == "" {
		return err
	}
	var base journal.Base
	if rec.At == key || rec.Kind == Dir && rec.At == "" {
		base = rec.Base
	}
	ch.c.sidecarStale(ino)
	return ch.wantInode(key, ino, rec, base)
}

// orphan takes rec's name away; what nobody has open is removed at once, or
// soon if somebody may be about to open it.
func (ch *change) orphan(ino Ino, rec *journal.Inode, e event) error {
	if err := setState(rec, e); err != nil {
		return err
	}
	if err := ch.DeleteDirent(rec.Parent, rec.Name); err != nil {
		return err
	}
	if err := ch.forgetConflict(ino); err != nil {
		return err
	}
	rec.State, rec.Parent, rec.Name, rec.Nlink, rec.Ctime = journal.Orphan, 0, "", 0, ch.now
	if f := ch.c.files[ino]; f != nil {
		f.orphan.Store(true)
		if e == remoteChanged {
			f.orphan.v.Store(otherObject)
		}
		return errors.Join(ch.PutInode(ino, rec), ch.PutOrphan(ino))
	}
	if rec.Kind == Dir {
		if full, err := ch.HasDirents(ino); err != nil || full {
			ch.reap = append(ch.reap, ino)
			return errors.Join(err, ch.PutInode(ino, rec), ch.PutOrphan(ino))
		}
	}
	if rec.Kind != Dir && e == unlinked {
		ch.committed(func() { ch.c.keep(ino) })
		return errors.Join(ch.PutInode(ino, rec), ch.PutOrphan(ino))
	}
	return ch.erase(ino)
}

// attached refuses a change in a tree that vanished from the bucket and is
// being removed here piece by piece.
func (ch *change) attached(ino Ino) error {
	if ch.c.reaping.Load() == 0 {
		return nil
	}
	for ino != Root {
		rec, found, err := ch.Inode(ino)
		if err != nil {
			return err
		}
		if found && isAsideFile(rec) {
			return nil
		}
		if !found || rec.Parent == 0 {
			return ErrStale
		}
		ino = rec.Parent
	}
	return nil
}

// erase removes all records of an inode; its data file follows the commit.
func (ch *change) erase(ino Ino) error {
	ch.gone = append(ch.gone, ino)
	if ch.c.moves.has(ino) {
		if err := ch.endMove(ino); err != nil {
			return err
		}
	}
	return errors.Join(ch.forgetConflict(ino), ch.DeleteInode(ino), ch.DeleteExtents(ino), ch.DeleteListing(ino), ch.DeleteOrphan(ino))
}

// record reads an inode's record.
func (c *Cache) record(ino Ino) (*journal.Inode, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.recordLocked(ino)
}

func (c *Cache) recordLocked(ino Ino) (rec *journal.Inode, err error) {
	err = c.view(func(tx *journal.Tx) error {
		var found bool
		if rec, found, err = tx.Inode(ino); err == nil && !found {
			err = ErrStale
		}
		return err
	})
	return rec, err
}
