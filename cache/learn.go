package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
	"golang.org/x/sync/errgroup"
)

// probeSeed serves listings of a single name, whose seen set nobody reads.
var probeSeed = maphash.MakeSeed()

// learnParallel is how many HEADs run ahead of a reader of a directory.
const learnParallel = 32

// ensureAttrs asks for the attributes of one inode if they have never been
// asked for and the mount shows them.
func (c *Cache) ensureAttrs(ctx context.Context, ino Ino, rec *journal.Inode) error {
	if rec.AttrsKnown || c.cfg.Attrs != AttrsExact {
		return nil
	}
	key := rec.At
	if rec.Kind == Dir {
		if key = cmp.Or(rec.At, markerKey(rec)); key == "" || key[len(key)-1] != '/' || isAside(key) {
			return nil
		}
	}
	if key == "" {
		return nil
	}
	if c.net.quiet() || c.fresh.isMute() {
		return nil
	}
	began, done := c.listings.ask()
	defer done()
	o, err := c.remote().Head(ctx, key)
	switch {
	case err == nil:
		c.fresh.saw(ino, began)
		return c.learn(ino, o, seenAt{rec.Base.ETag, began})
	case s3backend.KindOf(err) == s3backend.NotFound && rec.Kind == Dir:
		return c.learnPlain(ino)
	case s3backend.KindOf(err) == s3backend.NotFound:
		return c.vanished(ino, seenAt{rec.Base.ETag, began})
	case c.serveStale(err):
		c.fresh.waited(time.Since(began), c.cfg.ReadTimeout)
		return nil
	}
	return fmt.Errorf("attributes: %w", err)
}

// A seenAt says when a question about an inode's object was asked, and which
// version was believed to be there. If another is believed when the answer
// comes, the answer is too old to mean anything.
type seenAt struct {
	etag s3backend.ETag
	when time.Time
}

// learn applies what a HEAD said of an inode's object; another version than
// the inode's ends the lineage.
func (c *Cache) learn(ino Ino, o s3backend.Object, seen seenAt) error {
	target, err := c.linkTarget(o)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("learnt", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found || rec.Base.ETag != seen.etag {
			return err
		}
		if rec.Kind != Dir && rec.Base.ETag != o.ETag {
			return ch.remoteChanged(ino, rec, o, seen)
		}
		if rec.AttrsKnown && !rewritten(rec.Base, o.Modified) || c.cfg.Attrs != AttrsExact || rec.State != journal.Clean && rec.State != journal.Armed {
			return nil
		}
		kind, shown := rec.Kind, *rec
		rec.Base, rec.AttrsKnown = baseOf(o), true
		c.setDefaults(rec)
		decodeMeta(rec, o)
		keepTouched(rec, &shown)
		if rec.Kind == Symlink {
			rec.Target, rec.Size = target, int64(len(target))
		}
		if rec.Kind != kind {
			if err := ch.PutDirent(rec.Parent, rec.Name, journal.Dirent{Ino: ino, Kind: rec.Kind}); err != nil {
				return err
			}
		}
		return ch.PutInode(ino, rec)
	})
}

// keepTouched restores, in what was learnt anew, the times of changes made here
// that no object knows: ctime, if it says nothing else than before, and mtime of
// a directory's names.
func keepTouched(rec, shown *journal.Inode) {
	same := rec.Mode == shown.Mode && rec.Uid == shown.Uid && rec.Gid == shown.Gid && maps.EqualFunc(rec.Xattrs, shown.Xattrs, bytes.Equal)
	if rec.Kind != Dir {
		if same && rec.Kind == shown.Kind && rec.Mtime == shown.Mtime {
			rec.Ctime = shown.Ctime
		}
		return
	}
	if shown.Ctime > shown.Btime && same {
		rec.Ctime = shown.Ctime
	}
	if shown.Mtime > shown.Btime {
		rec.Mtime, rec.Ctime = max(rec.Mtime, shown.Mtime), max(rec.Ctime, shown.Mtime)
	}
}

// linkTarget returns where an object whose metadata says symlink points: its
// body, or what geesefs wrote.
func (c *Cache) linkTarget(o s3backend.Object) (string, error) {
	if o.Size == 0 {
		return percentDecode(o.Meta[metaLinkTarget]), nil
	}
	rec := journal.Inode{Kind: File}
	decodeMeta(&rec, o)
	if rec.Kind != Symlink || o.Size > 4096 || c.cfg.Attrs != AttrsExact {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.ReadTimeout)
	defer cancel()
	r, err := c.remote().Get(ctx, s3backend.Get{Key: o.Key, At: o.ETag, Range: s3backend.Range{Len: o.Size}, Size: o.Size})
	if err != nil {
		return "", fmt.Errorf("symlink target: %w", err)
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return "", fmt.Errorf("symlink target: %w", err)
	}
	return string(b), nil
}

// learnPlain records that a directory has no marker, hence default attributes.
func (c *Cache) learnPlain(ino Ino) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("learnt", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found || rec.AttrsKnown {
			return err
		}
		rec.AttrsKnown = true
		return ch.PutInode(ino, rec)
	})
}

// remoteChanged ends the lineage of an inode whose object was replaced: its
// name gets a new one. A file changed here is left to its flush, whose
// condition will not hold.
func (ch *change) remoteChanged(ino Ino, rec *journal.Inode, o s3backend.Object, seen seenAt) error {
	key, err := ch.keyOf(rec)
	if err != nil || key != o.Key {
		return err
	}
	if local, err := ch.local(key, ino, rec, seen.when); err != nil || local {
		return err
	}
	dir, name := rec.Parent, rec.Name
	if err := ch.orphan(ino, rec, remoteChanged); err != nil {
		return err
	}
	e := s3backend.Entry{Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: o.Modified, StorageClass: o.StorageClass}
	now, err := ch.adopt(dir, name, entryInode(ch.c, File, o.Key, e))
	ch.committed(func() { ch.c.fresh.saw(now, seen.when) })
	ch.c.kernel.EntryGone(dir, name)
	return err
}

// vanished takes away the name of an inode whose object is gone.
func (c *Cache) vanished(ino Ino, seen seenAt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := false
	err := c.update("swept", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found || rec.Parent == 0 || rec.Base.ETag != seen.etag {
			return err
		}
		key, err := ch.keyOf(rec)
		if err != nil {
			return err
		}
		if local, err := ch.local(key, ino, rec, seen.when); err != nil || local {
			return err
		}
		gone = true
		c.kernel.EntryGone(rec.Parent, rec.Name)
		return ch.orphan(ino, rec, remoteChanged)
	})
	if err == nil && gone {
		return ErrNotExist
	}
	return err
}

// learnAll asks for the attributes of many inodes in parallel.
func (c *Cache) learnAll(ctx context.Context, inos []Ino) error {
	var g errgroup.Group
	g.SetLimit(learnParallel)
	for _, ino := range inos {
		g.Go(func() error {
			err := c.guard.try("attributes", func() error {
				rec, err := c.record(ino)
				if err != nil {
					return nil // gone meanwhile
				}
				return c.ensureAttrs(ctx, ino, rec)
			})
			if err != nil && !errors.Is(err, ErrNotExist) {
				c.cfg.Log.Debug("cache: attributes not learnt", "inode", ino, "error", err)
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// checkDue reports whether a file is to be compared with its object because
// that was not done within AttrTTL, or a read found another version there.
func (c *Cache) checkDue(ino Ino, rec *journal.Inode, whole bool) (bool, error) {
	if rec.At == "" || rec.State != journal.Clean || c.net.quiet() && whole {
		return false, nil
	}
	var l journal.Listing
	var local bool
	c.mu.RLock()
	defer c.mu.RUnlock()
	err := c.view(func(tx *journal.Tx) (err error) {
		if l, _, err = tx.Listing(rec.Parent); err != nil {
			return err
		}
		_, local, err = tx.Row(rec.At)
		return err
	})
	return !local && (c.fresh.doubted(ino) || !asked{l.Begun, c.fresh.seen(ino)}.fresher(c.cfg.AttrTTL, c.since(dirName{rec.Parent, rec.Name}))), err
}

// revalidate compares a file with its object. ErrStale: the name now means
// another inode.
func (c *Cache) revalidate(ctx context.Context, ino Ino, rec *journal.Inode) error {
	began, done := c.listings.ask()
	defer done()
	o, err := c.remote().Head(ctx, rec.At)
	switch {
	case err == nil && o.ETag == rec.Base.ETag:
		c.fresh.saw(ino, began)
		if !rewritten(rec.Base, o.Modified) {
			return nil
		}
		return c.learn(ino, o, seenAt{rec.Base.ETag, began})
	case err == nil:
		return c.superseded(ino, o, seenAt{rec.Base.ETag, began})
	case s3backend.KindOf(err) == s3backend.NotFound:
		return c.vanished(ino, seenAt{rec.Base.ETag, began})
	case c.serveStale(err):
		return nil
	}
	return err
}

// learnBeforeEdit completes a record whose object's metadata was never asked
// for, so that a write keeps what others set. Attributes that were shown stay
// as shown (AttrsList); those that never were are taken from the object.
func (c *Cache) learnBeforeEdit(ctx context.Context, rec *journal.Inode) error {
	key := rec.At
	if rec.Kind == Dir {
		key = cmp.Or(rec.At, markerKey(rec))
	}
	if rec.AttrsKnown || key == "" || rec.Base.ETag == "" {
		return nil
	}
	o, err := c.remote().Head(ctx, key)
	if err != nil || o.ETag != rec.Base.ETag {
		if k := s3backend.KindOf(err); k == s3backend.NotFound || err == nil {
			return nil // the write's own condition will tell
		}
		return err
	}
	shown := *rec
	c.setDefaults(rec)
	decodeMeta(rec, o)
	rec.AttrsKnown = true
	if c.cfg.Attrs == AttrsList || rec.Kind != shown.Kind {
		rec.Kind, rec.Mode, rec.Uid, rec.Gid, rec.Rdev = shown.Kind, shown.Mode, shown.Uid, shown.Gid, shown.Rdev
		rec.Atime, rec.Mtime, rec.Ctime, rec.Btime = shown.Atime, shown.Mtime, shown.Ctime, shown.Btime
	}
	if shown.Changed != 0 {
		rec.Mtime, rec.Ctime = shown.Mtime, shown.Ctime
	}
	return nil
}

// superseded is learn for an object that is not the inode's; ErrStale if its
// name means another inode now.
func (c *Cache) superseded(ino Ino, o s3backend.Object, seen seenAt) error {
	if err := c.learn(ino, o, seen); err != nil {
		return err
	}
	rec, err := c.record(ino)
	if err == nil && (rec.State == journal.Orphan || rec.Parent == 0) {
		err = ErrStale
	}
	return err
}
