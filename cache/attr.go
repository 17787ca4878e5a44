package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// Attr returns the attributes of an inode. Those of an object are asked for
// once per version, if AttrsExact.
func (c *Cache) Attr(ctx context.Context, ino Ino) (Attr, error) {
	a, rec, err := c.attrNow(ino)
	if err == nil && !rec.AttrsKnown && c.cfg.Attrs == AttrsExact {
		if err = c.ensureAttrs(ctx, ino, rec); err == nil {
			a, _, err = c.attrNow(ino)
		}
	}
	if err != nil {
		return Attr{}, &Error{"stat", c.pathOf(ino), err}
	}
	return a, nil
}

// attrNow returns what is known here. Record and file are looked at in one
// hold of the lock: a save between them would move the size from one to the
// other, and neither would have it.
func (c *Cache) attrNow(ino Ino) (Attr, *journal.Inode, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	rec, err := c.recordLocked(ino)
	if err != nil {
		return Attr{}, nil, err
	}
	return c.attrLocked(ino, rec), rec, nil
}

// attrLocked overlays what a file in use knows better than its record.
func (c *Cache) attrLocked(ino Ino, rec *journal.Inode) Attr {
	a := attrOf(ino, rec)
	if rec.Kind == Dir && rec.State != journal.Orphan {
		a.Nlink = c.links(ino)
	}
	f := c.files[ino]
	if f == nil {
		if rec.Kind == File && rec.Base.ETag == "" {
			a.Blocks = blocksOf(c.dataPath(ino)) / 512
		}
		return a
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	now := *rec
	if f.unsaved && (f.noted || f.orphan.Load()) {
		f.overlay(&now)
	}
	f.overlayAccess(&now)
	a = attrOf(ino, &now)
	if f.base.ETag == "" {
		a.Blocks = blocksOfFd(f.fd) / 512
	} else {
		a.Blocks = wholeBlocks(a.Size)
	}
	return a
}

// wholeBlocks is st_blocks of an object, as a local disk would hold its bytes.
func wholeBlocks(size int64) int64 { return (size + blockSize - 1) / blockSize * (blockSize / 512) }

func attrOf(ino Ino, rec *journal.Inode) Attr {
	return Attr{Ino: ino, Kind: rec.Kind, Mode: rec.Mode, Nlink: rec.Nlink, Uid: rec.Uid, Gid: rec.Gid, Rdev: rec.Rdev,
		Size: rec.Size, Blocks: wholeBlocks(rec.Size), Atime: time.Unix(0, rec.Atime), Mtime: time.Unix(0, rec.Mtime),
		Ctime: time.Unix(0, rec.Ctime), Btime: time.Unix(0, rec.Btime)}
}

// SetAttr changes attributes and returns them all. A size is set as by
// truncate(2).
func (c *Cache) SetAttr(ctx context.Context, ino Ino, ch AttrChange) (Attr, error) {
	if c.cfg.ReadOnly {
		return Attr{}, &Error{"setattr", c.pathOf(ino), ErrReadOnly}
	}
	if _, err := c.Attr(ctx, ino); err != nil {
		return Attr{}, err
	}
	if ch.Size != nil {
		if err := c.setSize(ctx, ino, *ch.Size); err != nil {
			return Attr{}, &Error{"truncate", c.pathOf(ino), err}
		}
	}
	if ch.Mode != nil || ch.Uid != nil || ch.Gid != nil || ch.Atime != nil || ch.Mtime != nil {
		err := c.editInode(ctx, ino, func(rec *journal.Inode, f *file) error { return applyAttrs(rec, f, ch) })
		if err != nil {
			return Attr{}, &Error{"setattr", c.pathOf(ino), err}
		}
	}
	return c.Attr(ctx, ino)
}

func (c *Cache) setSize(ctx context.Context, ino Ino, size int64) error {
	if size < 0 {
		return ErrInvalid
	}
	h, err := c.open(ctx, ino, OpenMode{Write: true})
	if err != nil {
		return err
	}
	defer h.Release()
	if err := h.truncate(ctx, size); err != nil {
		return err
	}
	return c.save(h.f, false)
}

func applyAttrs(rec *journal.Inode, f *file, ch AttrChange) error {
	if ch.Mode != nil {
		rec.Mode = *ch.Mode & 0o7777
	}
	if ch.Uid != nil {
		rec.Uid = *ch.Uid
	}
	if ch.Gid != nil {
		rec.Gid = *ch.Gid
	}
	if ch.Atime != nil {
		rec.Atime = nanos(*ch.Atime)
		if f != nil {
			f.times.atime, f.times.accessed = rec.Atime, false
		}
	}
	if ch.Mtime != nil {
		rec.Mtime = nanos(*ch.Mtime)
		if f != nil {
			f.times.mtime = rec.Mtime
		}
	}
	return nil
}

// nanos returns a time as it is kept, in nanoseconds since 1970; times before
// 1677 and after 2262 become the first or last that can be.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// editInode changes an inode's attributes in one transaction and queues the
// change. fn runs with the file's lock held if the file is in use.
func (c *Cache) editInode(ctx context.Context, ino Ino, fn func(rec *journal.Inode, f *file) error) error {
	learnt, err := c.record(ino)
	if err != nil {
		return err
	}
	if err := c.learnBeforeEdit(ctx, learnt); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[ino]
	if f != nil {
		if f.orphan.replaced() {
			return ErrStale
		}
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	return c.update("attributes", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found {
			return errors.Join(err, ErrStale)
		}
		if rec.Name == markerBody {
			return ErrPermission
		}
		if f != nil && f.unsaved && f.noted { // a size means nothing without the extents that fill it
			f.overlay(rec)
			if err := ch.putExtents(f, f.extents()); err != nil {
				return err
			}
		}
		if !rec.AttrsKnown && learnt.AttrsKnown && rec.Base.ETag == learnt.Base.ETag {
			keepLearnt(rec, learnt)
		}
		if err := fn(rec, f); err != nil {
			return err
		}
		if f != nil {
			f.times.ctime = ch.now
		}
		rec.Ctime = ch.now
		if ino == Root && !strings.HasSuffix(rec.Prefix, "/") {
			return ch.PutInode(ino, rec) // the bucket's root has no object to carry it
		}
		return ch.dirty(ino, rec, journal.ChangedMeta)
	})
}

// Readlink returns a symlink's target.
func (c *Cache) Readlink(ctx context.Context, ino Ino) (string, error) {
	if _, err := c.Attr(ctx, ino); err != nil {
		return "", err
	}
	rec, err := c.record(ino)
	if err == nil && rec.Kind != Symlink {
		err = ErrInvalid
	}
	if err != nil {
		return "", &Error{"readlink", c.pathOf(ino), err}
	}
	return rec.Target, nil
}

// errSame ends an edit that would change nothing.
var errSame = errors.New("nothing changes")

// XattrMode says whether an attribute must, may or must not exist before.
type XattrMode int

const (
	XattrEither  XattrMode = iota
	XattrCreate            // ErrExist if it exists
	XattrReplace           // ErrNoAttr if it does not
	XattrNever             // both, as setxattr(2) has it with both flags
)

// Check returns what setting an attribute fails with that exists or does not.
func (m XattrMode) Check(exists bool) error {
	switch {
	case exists && (m == XattrCreate || m == XattrNever):
		return ErrExist
	case !exists && (m == XattrReplace || m == XattrNever):
		return ErrNoAttr
	}
	return nil
}

// Xattr returns the value of one extended attribute, ErrNoAttr if there is
// none.
func (c *Cache) Xattr(ctx context.Context, ino Ino, name string) ([]byte, error) {
	rec, err := c.record(ino)
	if err != nil {
		return nil, &Error{"getxattr", name, err}
	}
	switch name {
	case XattrETag, XattrVersion, XattrState:
		return c.computedXattr(ino, rec, name)
	}
	if !strings.HasPrefix(name, "user.") { // as capabilities, asked for at every exec: no request
		return nil, ErrNoAttr
	}
	if err := c.ensureAttrs(ctx, ino, rec); err != nil {
		return nil, &Error{"getxattr", name, err}
	}
	if rec, err = c.record(ino); err != nil {
		return nil, &Error{"getxattr", name, err}
	}
	v, ok := rec.Xattrs[name]
	if !ok {
		return nil, ErrNoAttr
	}
	return v, nil
}

// computedXattr answers the read-only attributes that every file has.
func (c *Cache) computedXattr(ino Ino, rec *journal.Inode, name string) ([]byte, error) {
	switch {
	case name == XattrState:
		return []byte(c.stateOf(ino, rec)), nil
	case name == XattrETag && rec.Base.ETag != "":
		return []byte(rec.Base.ETag), nil
	case name == XattrVersion && rec.Base.ETag != "":
		return []byte(cmp.Or(rec.Base.Version, "null")), nil // as S3 calls the version of an unversioned object
	}
	return nil, ErrNoAttr
}

// Xattrs returns the names of an inode's extended attributes.
func (c *Cache) Xattrs(ctx context.Context, ino Ino) ([]string, error) {
	rec, err := c.record(ino)
	if err == nil {
		if err = c.ensureAttrs(ctx, ino, rec); err == nil {
			rec, err = c.record(ino)
		}
	}
	if err != nil {
		return nil, &Error{"listxattr", c.pathOf(ino), err}
	}
	return slices.Sorted(maps.Keys(rec.Xattrs)), nil
}

// KnownXattrs returns the extended attributes that are known of an inode
// without asking the bucket.
func (c *Cache) KnownXattrs(ino Ino) map[string][]byte {
	rec, err := c.record(ino)
	if err != nil {
		return nil
	}
	return rec.Xattrs
}

// SetXattr sets an attribute in the user namespace; ErrAttrSpace if the
// object's metadata would pass what S3 takes.
func (c *Cache) SetXattr(ctx context.Context, ino Ino, name string, value []byte, mode XattrMode) error {
	return c.editXattrs(ctx, ino, name, func(rec *journal.Inode) error {
		_, found := rec.Xattrs[name]
		if err := mode.Check(found); err != nil {
			return err
		}
		if found && bytes.Equal(rec.Xattrs[name], value) {
			return errSame
		}
		if rec.Xattrs == nil {
			rec.Xattrs = map[string][]byte{}
		}
		rec.Xattrs[name] = slices.Clone(value)
		if metaSize(encodeMeta(rec))+len(metaNonce)+32 > metaLimit {
			return ErrAttrSpace
		}
		return nil
	})
}

// RemoveXattr removes an attribute, ErrNoAttr if there is none.
func (c *Cache) RemoveXattr(ctx context.Context, ino Ino, name string) error {
	return c.editXattrs(ctx, ino, name, func(rec *journal.Inode) error {
		if _, found := rec.Xattrs[name]; !found {
			return ErrNoAttr
		}
		delete(rec.Xattrs, name)
		return nil
	})
}

func (c *Cache) editXattrs(ctx context.Context, ino Ino, name string, fn func(*journal.Inode) error) error {
	var err error
	switch {
	case c.cfg.ReadOnly:
		err = ErrReadOnly
	case !strings.HasPrefix(name, "user."), strings.HasPrefix(name, "user.s3."), strings.HasPrefix(name, "user.moorfs."):
		err = ErrPermission
	default:
		if _, err = c.Attr(ctx, ino); err == nil {
			err = c.editInode(ctx, ino, func(rec *journal.Inode, _ *file) error { return fn(rec) })
		}
	}
	if errors.Is(err, errSame) {
		return nil
	}
	if err != nil {
		return &Error{"setxattr", name, err}
	}
	return nil
}

// Usage returns what statfs(2) shows: a bucket has no end.
func (c *Cache) Usage() Usage {
	const bucket = 1 << 50
	return Usage{Total: bucket, Free: bucket - c.space.used.Load(), Files: 1 << 32}
}
