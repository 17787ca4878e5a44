package fs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// A memory is what an inode was like when it lost its name. The cache keeps
// only those of files that it knows to be open; the kernel may hold others, as
// a directory that somebody is in, a fifo, or what was opened with O_PATH, and
// asks for their attributes until it forgets them.
type memory struct {
	attr   cache.Attr
	xattrs map[string][]byte
}

// unname runs a removal of name and has the node of what loses it, if the
// kernel knows it, remember what it was like.
func (n *node) unname(ctx context.Context, name string, remove func() error) error {
	child, ok := (*node)(nil), false
	if inode := n.GetChild(name); inode != nil {
		child, ok = inode.Operations().(*node)
	}
	if !ok {
		return remove()
	}
	a, attrErr := n.sys.c.Attr(ctx, child.ino)
	xattrs := n.sys.c.KnownXattrs(child.ino)
	err := remove()
	if err == nil && attrErr == nil {
		a.Nlink, a.Ctime = 0, time.Now()
		child.memory.Store(&memory{a, xattrs})
	}
	return err
}

// recall returns what is remembered of an inode of which err says that the
// cache does not know it any more; nil if it does or nothing is.
func (n *node) recall(err error) *memory {
	if !errors.Is(err, cache.ErrStale) {
		return nil
	}
	return n.memory.Load()
}

// attr returns the attributes of an inode, with or without a name.
func (n *node) attr(ctx context.Context) (cache.Attr, error) {
	a, err := n.sys.c.Attr(ctx, n.ino)
	if old := n.recall(err); old != nil {
		return old.attr, nil
	}
	return a, err
}

// setAttr changes attributes of an inode, with or without a name.
func (n *node) setAttr(ctx context.Context, ch cache.AttrChange) (cache.Attr, error) {
	a, err := n.sys.c.SetAttr(ctx, n.ino, ch)
	old := n.recall(err)
	if old == nil || ch.Size != nil {
		return a, err
	}
	now := memory{changed(old.attr, ch), old.xattrs}
	n.memory.Store(&now)
	return now.attr, nil
}

func changed(a cache.Attr, ch cache.AttrChange) cache.Attr {
	set := func(to, from *uint32) {
		if from != nil {
			*to = *from
		}
	}
	set(&a.Mode, ch.Mode)
	set(&a.Uid, ch.Uid)
	set(&a.Gid, ch.Gid)
	if ch.Atime != nil {
		a.Atime = *ch.Atime
	}
	if ch.Mtime != nil {
		a.Mtime = *ch.Mtime
	}
	a.Ctime = time.Now()
	return a
}

// xattr returns one extended attribute of an inode, with or without a name.
func (n *node) xattr(ctx context.Context, name string) ([]byte, error) {
	v, err := n.sys.c.Xattr(ctx, n.ino, name)
	old := n.recall(err)
	if old == nil {
		return v, err
	}
	v, ok := old.xattrs[name]
	if !ok {
		return nil, cache.ErrNoAttr
	}
	return v, nil
}

// xattrs returns the names of an inode's extended attributes, with or without
// a name.
func (n *node) xattrs(ctx context.Context) ([]string, error) {
	names, err := n.sys.c.Xattrs(ctx, n.ino)
	if old := n.recall(err); old != nil {
		return slices.Sorted(maps.Keys(old.xattrs)), nil
	}
	return names, err
}

// setXattr sets an extended attribute of an inode, with or without a name.
func (n *node) setXattr(ctx context.Context, name string, value []byte, mode cache.XattrMode) error {
	err := n.sys.c.SetXattr(ctx, n.ino, name, value, mode)
	old := n.recall(err)
	if old == nil {
		return err
	}
	_, found := old.xattrs[name]
	if err := mode.Check(found); err != nil {
		return err
	}
	n.editXattrs(old, func(m map[string][]byte) { m[name] = value })
	return nil
}

// removeXattr removes an extended attribute of an inode, with or without a
// name.
func (n *node) removeXattr(ctx context.Context, name string) error {
	err := n.sys.c.RemoveXattr(ctx, n.ino, name)
	old := n.recall(err)
	if old == nil {
		return err
	}
	if _, found := old.xattrs[name]; !found {
		return cache.ErrNoAttr
	}
	n.editXattrs(old, func(m map[string][]byte) { delete(m, name) })
	return nil
}

func (n *node) editXattrs(old *memory, edit func(map[string][]byte)) {
	now := memory{changed(old.attr, cache.AttrChange{}), map[string][]byte{}}
	maps.Copy(now.xattrs, old.xattrs)
	edit(now.xattrs)
	n.memory.Store(&now)
}
