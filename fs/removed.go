package fs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// A memory is what an inode without a name was like when it lost it. The cache
// keeps only those of files that it knows to be open; the kernel may hold
// others, as a directory that somebody is in, a fifo, or what was opened with
// O_PATH, and asks for their attributes until it forgets them.
type memory struct{ atomic.Pointer[cache.Attr] }

// removing returns the node that name has in a directory, as far as the kernel
// knows, and its attributes, to be remembered when the name is gone.
func (n *node) removing(ctx context.Context, name string) (*node, cache.Attr) {
	inode := n.GetChild(name)
	if inode == nil {
		return nil, cache.Attr{}
	}
	child, ok := inode.Operations().(*node)
	if !ok {
		return nil, cache.Attr{}
	}
	a, err := n.sys.c.Attr(ctx, child.ino)
	if err != nil {
		return nil, cache.Attr{}
	}
	return child, a
}

// remember keeps what an inode is like that has lost its name.
func (n *node) remember(a cache.Attr) {
	if n == nil {
		return
	}
	a.Nlink, a.Ctime = 0, time.Now()
	n.memory.Store(&a)
}

// remembered returns the attributes of an inode that has no name any more, if
// err says that the cache does not know it.
func (n *node) remembered(err error) (cache.Attr, bool) {
	if !errors.Is(err, cache.ErrStale) {
		return cache.Attr{}, false
	}
	a := n.memory.Load()
	if a == nil {
		return cache.Attr{}, false
	}
	return *a, true
}

// attr returns the attributes of an inode, with or without a name.
func (n *node) attr(ctx context.Context) (cache.Attr, error) {
	a, err := n.sys.c.Attr(ctx, n.ino)
	if old, ok := n.remembered(err); ok {
		return old, nil
	}
	return a, err
}

// setAttr changes attributes of an inode, with or without a name.
func (n *node) setAttr(ctx context.Context, ch cache.AttrChange) (cache.Attr, error) {
	a, err := n.sys.c.SetAttr(ctx, n.ino, ch)
	old, ok := n.remembered(err)
	if !ok || ch.Size != nil {
		return a, err
	}
	old = changed(old, ch)
	n.memory.Store(&old)
	return old, nil
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

// unname runs a removal of name and remembers what lost it.
func (n *node) unname(ctx context.Context, name string, remove func() error) error {
	child, a := n.removing(ctx, name)
	err := remove()
	if err == nil {
		child.remember(a)
	}
	return err
}
