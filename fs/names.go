package fs

import (
	"context"
	"errors"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// Flags of renameat2(2).
const (
	renameNoReplace = 1 << 0
	renameExchange  = 1 << 1
)

// Create makes a file and opens it.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofuse.Inode, gofuse.FileHandle, uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	spec, err := n.spec(ctx, cache.File, mode)
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	spec.Exclusive = flags&syscall.O_EXCL != 0
	a, h, err := n.sys.c.Create(ctx, n.ino, name, spec)
	if errors.Is(err, cache.ErrExist) && flags&syscall.O_EXCL == 0 {
		// The kernel believes that the name is free. ESTALE makes it look
		// the name up again and open what is there.
		return nil, nil, 0, syscall.ESTALE
	}
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	return n.child(ctx, name, a, out), &file{h: h, sys: n.sys}, openFlags(h, flags), 0
}

// Tmpfile makes a file without a name and opens it.
func (n *node) Tmpfile(ctx context.Context, flags, mode uint32, out *fuse.EntryOut) (*gofuse.Inode, gofuse.FileHandle, uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	spec, err := n.spec(ctx, cache.File, mode)
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	a, h, err := n.sys.c.Tmpfile(ctx, n.ino, spec)
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	return n.child(ctx, "", a, out), &file{h: h, sys: n.sys}, openFlags(h, flags), 0
}

// Mkdir makes a directory.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	spec, err := n.spec(ctx, cache.Dir, mode)
	if err != nil {
		return nil, n.errno("mkdir", err)
	}
	return n.create(ctx, "mkdir", name, spec, out)
}

// Mknod makes a file, fifo, socket or device.
func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	kind, ok := kindOf(mode)
	if !ok || kind == cache.Dir || kind == cache.Symlink {
		return nil, syscall.EINVAL
	}
	spec, err := n.spec(ctx, kind, mode)
	if err != nil {
		return nil, n.errno("mknod", err)
	}
	if kind == cache.CharDevice || kind == cache.BlockDevice {
		spec.Rdev = dev
	}
	return n.create(ctx, "mknod", name, spec, out)
}

// Symlink makes a symbolic link.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	spec, err := n.spec(ctx, cache.Symlink, 0o777)
	if err != nil {
		return nil, n.errno("symlink", err)
	}
	spec.Target = target
	return n.create(ctx, "symlink", name, spec, out)
}

// Link gives a file of Tmpfile its name. All others are refused: an object has
// one name.
func (n *node) Link(ctx context.Context, target gofuse.InodeEmbedder, name string, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	from, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	a, err := n.sys.c.Link(ctx, from.ino, n.ino, name)
	if err != nil {
		return nil, n.errno("link", err)
	}
	return n.child(ctx, name, a, out), 0
}

func (n *node) create(ctx context.Context, op, name string, spec cache.New, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	a, err := n.sys.c.Make(ctx, n.ino, name, spec)
	if err != nil {
		return nil, n.errno(op, err)
	}
	return n.child(ctx, name, a, out), 0
}

// spec describes a new inode in this directory: it belongs to the caller, or,
// in a directory with the set-group-ID bit, to the directory's group.
func (n *node) spec(ctx context.Context, kind cache.Kind, mode uint32) (cache.New, error) {
	who := caller(ctx)
	spec := cache.New{Kind: kind, Mode: mode & 0o7777, Uid: who.Uid, Gid: who.Gid}
	if !n.sys.setIDs.maybe(n.ino) {
		return spec, nil
	}
	dir, err := n.sys.c.Attr(ctx, n.ino)
	if err != nil {
		return cache.New{}, err
	}
	if dir.Mode&syscall.S_ISGID != 0 {
		spec.Gid = dir.Gid
		if kind == cache.Dir {
			spec.Mode |= syscall.S_ISGID
		}
	}
	return spec, nil
}

// Unlink removes the name of anything but a directory.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	return n.errno("unlink", n.unname(ctx, name, func() error { return n.sys.c.Unlink(ctx, n.ino, name) }))
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	return n.errno("rmdir", n.unname(ctx, name, func() error { return n.sys.c.Rmdir(ctx, n.ino, name) }))
}

// believed returns the inode that the kernel takes a name for, 0 if that is not
// known. It moves its own entry when a rename has succeeded: if the name means
// another file by now it has to look it up first, which ESTALE makes it do.
func (n *node) believed(name string) cache.Ino {
	known := n.GetChild(name)
	if known == nil {
		return 0
	}
	return cache.Ino(known.StableAttr().Ino)
}

// Rename moves a name, as renameat2(2) with flags.
func (n *node) Rename(ctx context.Context, name string, newParent gofuse.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	to, ok := newParent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	switch flags {
	case 0, renameNoReplace, renameExchange:
	default:
		return syscall.EINVAL
	}
	move := func() error {
		return n.sys.c.Rename(ctx, cache.Rename{
			OldParent: n.ino, OldName: name,
			NewParent: to.ino, NewName: newName,
			NoReplace: flags == renameNoReplace,
			Exchange:  flags == renameExchange,
			Moves:     n.believed(name),
		})
	}
	if flags != 0 || n.ino == to.ino && name == newName { // nothing loses its name
		return n.errno("rename", move())
	}
	return n.errno("rename", to.unname(ctx, newName, move))
}

// Readlink returns a symbolic link's target.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	target, err := n.sys.c.Readlink(ctx, n.ino)
	if err == nil && !n.sys.noAtime {
		err = n.sys.c.Accessed(n.ino)
	}
	if err != nil {
		return nil, n.errno("readlink", err)
	}
	return []byte(target), 0
}
