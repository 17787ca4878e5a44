package cache

import (
	"context"
	"errors"

	"github.com/moorfs/moorfs/cache/journal"
)

// Tmpfile makes a regular file without a name and opens it for writing. It is
// gone with its last handle unless Link gives it a name before. parent must be
// a directory, and is where its space is asked for, nothing more.
func (c *Cache) Tmpfile(_ context.Context, parent Ino, n New) (Attr, *Handle, error) {
	attr, h, err := c.tmpfile(parent, n)
	if err != nil {
		return Attr{}, nil, &Error{"create", c.pathOf(parent), err}
	}
	return attr, h, nil
}

func (c *Cache) tmpfile(parent Ino, n New) (Attr, *Handle, error) {
	if c.cfg.ReadOnly {
		return Attr{}, nil, ErrReadOnly
	}
	ino, err := c.db.NextIno()
	if err != nil {
		return Attr{}, nil, err
	}
	n.Kind = File
	c.mu.Lock()
	defer c.mu.Unlock()
	var rec *journal.Inode
	err = c.update("made", func(ch *change) error {
		dir, found, err := ch.Inode(parent)
		switch {
		case err != nil:
			return err
		case !found || dir.State == journal.Orphan:
			return ErrNotExist
		case dir.Kind != Dir:
			return ErrNotDir
		}
		rec = ch.newInode(n)
		rec.State, rec.Nlink = journal.Orphan, 0
		return errors.Join(ch.PutInode(ino, rec), ch.PutOrphan(ino))
	})
	if err != nil {
		return Attr{}, nil, err
	}
	h, err := c.openLocked(ino, rec, OpenMode{Write: true})
	if err == nil {
		h.f.nameless = true
	}
	return attrOf(ino, rec), h, err
}

// Link gives an open file that Tmpfile made its name; ErrPermission for every
// other file, because an object has one key.
func (c *Cache) Link(ctx context.Context, ino, parent Ino, name string) (Attr, error) {
	if err := c.link(ctx, ino, dirName{parent, name}); err != nil {
		return Attr{}, &Error{"link", name, err}
	}
	return c.Attr(ctx, ino)
}

func (c *Cache) link(ctx context.Context, ino Ino, at dirName) error {
	if c.cfg.ReadOnly {
		return ErrReadOnly
	}
	if !c.isNameless(ino) {
		return ErrPermission
	}
	if _, err := c.resolve(ctx, at.dir, at.name); !errors.Is(err, ErrNotExist) {
		if err == nil {
			err = ErrExist
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[ino]
	if f == nil || !f.nameless {
		return ErrPermission
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := c.update("linked", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		if f.unsaved {
			f.overlay(rec)
		}
		rec.Ctime = ch.now
		if err := setState(rec, named); err != nil {
			return err
		}
		return errors.Join(ch.enter(at, ino, rec), ch.DeleteOrphan(ino), ch.putExtents(f, f.extents()))
	})
	if err != nil {
		return err
	}
	f.nameless, f.noted, f.unsaved = false, true, false
	f.orphan.Store(false)
	return f.logSidecar(nil)
}

func (c *Cache) isNameless(ino Ino) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f := c.files[ino]
	return f != nil && f.nameless
}
