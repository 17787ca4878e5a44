package model

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// do carries out an operation on names or handles. A name whose inode was
// replaced meanwhile is looked up again, as the kernel does.
func (c *cacheSide) do(o op, number int) answer {
	a := c.once(o, number)
	for range 2 {
		if a.err == "ESTALE" && o.path != "" {
			a = c.once(o, number)
		}
	}
	return a
}

func (c *cacheSide) once(o op, number int) answer {
	ctx := context.Background()
	switch o.verb {
	case "read", "write", "resize", "allocate", "close", "fsync", "fstat":
		return c.onHandle(ctx, o, number)
	case "create", "mkdir", "symlink", "mknod", "unlink", "rmdir", "rename":
		return c.onName(ctx, o)
	}
	ino, err := c.resolve(ctx, o.path)
	if errors.Is(err, cache.ErrNotExist) && o.verb == "save" {
		return c.saveNew(ctx, o, number)
	}
	if err != nil {
		return answer{err: nameOf(err)}
	}
	return c.onNode(ctx, o, target{ino, number})
}

// A target is an inode that an operation with this number works on.
type target struct {
	ino    cache.Ino
	number int
}

func (c *cacheSide) resolve(ctx context.Context, path string) (cache.Ino, error) {
	ino := cache.Root
	for _, name := range components(path) {
		a, err := c.Lookup(ctx, ino, name)
		if err != nil {
			return 0, err
		}
		ino = a.Ino
	}
	return ino, nil
}

// dirOf resolves the directory of a path's last name.
func (c *cacheSide) dirOf(ctx context.Context, path string) (cache.Ino, string, error) {
	names := components(path)
	if len(names) == 0 {
		return 0, "", cache.ErrInvalid
	}
	ino := cache.Root
	for _, name := range names[:len(names)-1] {
		a, err := c.Lookup(ctx, ino, name)
		if err == nil && a.Kind != cache.Dir {
			err = cache.ErrNotDir
		}
		if err != nil {
			return 0, "", err
		}
		ino = a.Ino
	}
	return ino, names[len(names)-1], nil
}

func (c *cacheSide) onName(ctx context.Context, o op) answer {
	dir, name, err := c.dirOf(ctx, o.path)
	if err != nil {
		return answer{err: nameOf(err)}
	}
	n := cache.New{Mode: parseMode(o.flag), Uid: c.owner.uid, Gid: c.owner.gid}
	switch o.verb {
	case "create":
		_, c.open[o.h], err = c.Create(ctx, dir, name, n)
	case "mkdir":
		n.Kind = cache.Dir
		_, err = c.Make(ctx, dir, name, n)
	case "symlink":
		n.Kind, n.Mode, n.Target = cache.Symlink, 0o777, linkTarget(o)
		_, err = c.Make(ctx, dir, name, n)
	case "mknod":
		n.Kind, n.Mode = kindOf(o.flag), 0o600
		if n.Kind == cache.CharDevice {
			n.Rdev = charDevice
		}
		_, err = c.Make(ctx, dir, name, n)
	case "unlink":
		err = c.Unlink(ctx, dir, name)
	case "rmdir":
		err = c.Rmdir(ctx, dir, name)
	case "rename":
		r := cache.Rename{OldParent: dir, OldName: name, NoReplace: o.flag == "noreplace", Exchange: o.flag == "exchange"}
		if r.NewParent, r.NewName, err = c.dirOf(ctx, o.to); err == nil {
			err = c.Rename(ctx, r)
		}
	}
	return answer{err: nameOf(err)}
}

var kinds = map[cache.Kind]string{cache.File: fileKind, cache.Dir: dirKind, cache.Symlink: symlinkKind, cache.Fifo: "fifo",
	cache.Socket: "socket", cache.CharDevice: "chr", cache.BlockDevice: "blk"}

func kindOf(name string) cache.Kind {
	for k, n := range kinds {
		if n == name {
			return k
		}
	}
	return cache.File
}

func (c *cacheSide) saveNew(ctx context.Context, o op, number int) answer {
	dir, name, err := c.dirOf(ctx, o.path)
	if err != nil {
		return answer{err: nameOf(err)}
	}
	_, h, err := c.Create(ctx, dir, name, cache.New{Mode: 0o644, Uid: c.owner.uid, Gid: c.owner.gid})
	if err != nil {
		return answer{err: nameOf(err)}
	}
	return answer{err: nameOf(writeAndClose(ctx, h, content(number, o.n)))}
}

func writeAndClose(ctx context.Context, h *cache.Handle, data []byte) error {
	defer h.Release()
	if _, err := h.WriteAt(ctx, data, 0); err != nil {
		return err
	}
	return h.Flush(ctx)
}

func (c *cacheSide) onNode(ctx context.Context, o op, at target) answer {
	var err error
	switch o.verb {
	case "stat":
		return c.stat(ctx, at.ino)
	case "readdir":
		return c.readDir(ctx, at.ino)
	case "readfile":
		return c.readFile(ctx, at.ino)
	case "save":
		h, err := c.Cache.Open(ctx, at.ino, cache.OpenMode{Write: true, Truncate: true})
		if err != nil {
			return answer{err: nameOf(err)}
		}
		return answer{err: nameOf(writeAndClose(ctx, h, content(at.number, o.n)))}
	case "open":
		m := cache.OpenMode{Write: o.flag != "r", Append: o.flag == "a", Truncate: o.flag == "t"}
		c.open[o.h], err = c.Cache.Open(ctx, at.ino, m)
	case "truncate":
		_, err = c.SetAttr(ctx, at.ino, cache.AttrChange{Size: &o.n})
	case "chmod":
		mode := parseMode(o.flag)
		_, err = c.SetAttr(ctx, at.ino, cache.AttrChange{Mode: &mode})
	case "chown":
		uid, gid := uint32(o.n), uint32(o.n+1)
		_, err = c.SetAttr(ctx, at.ino, cache.AttrChange{Uid: &uid, Gid: &gid})
	case "utimens":
		atime, mtime := times(o)
		a, m := time.Unix(0, atime), time.Unix(0, mtime)
		_, err = c.SetAttr(ctx, at.ino, cache.AttrChange{Atime: &a, Mtime: &m})
	case "setxattr":
		mode := cache.XattrMode(slices.Index(verbs["setxattr"].flags, o.flag))
		err = c.SetXattr(ctx, at.ino, xattrName(o), []byte(xattrValue(at.number)), mode)
	case "rmxattr":
		err = c.RemoveXattr(ctx, at.ino, xattrName(o))
	}
	return answer{err: nameOf(err)}
}

func (c *cacheSide) stat(ctx context.Context, ino cache.Ino) answer {
	a, err := c.Attr(ctx, ino)
	if err != nil {
		return answer{err: nameOf(err)}
	}
	got := &attr{kind: kinds[a.Kind], mode: a.Mode, uid: a.Uid, gid: a.Gid, rdev: a.Rdev, size: a.Size,
		mtime: a.Mtime.UnixNano(), atime: a.Atime.UnixNano()}
	if a.Kind == cache.Dir {
		got.size = 0
	}
	if a.Kind == cache.Symlink {
		got.target, err = c.Readlink(ctx, ino)
	}
	names, nameErr := c.Xattrs(ctx, ino)
	if err = errors.Join(err, nameErr); err != nil {
		return answer{err: nameOf(err)}
	}
	for _, name := range names {
		v, err := c.Xattr(ctx, ino, name)
		if err != nil {
			return answer{err: nameOf(err)}
		}
		if got.xattrs == nil {
			got.xattrs = map[string]string{}
		}
		got.xattrs[name] = string(v)
	}
	return answer{attr: got}
}

func (c *cacheSide) readDir(ctx context.Context, dir cache.Ino) answer {
	var names []string
	after := ""
	for {
		entries, err := c.Cache.ReadDir(ctx, dir, after, 3)
		if err != nil {
			return answer{err: nameOf(err)}
		}
		if len(entries) == 0 {
			return answer{names: names}
		}
		for _, e := range entries {
			names = append(names, e.Name)
		}
		after = names[len(names)-1]
	}
}

func (c *cacheSide) readFile(ctx context.Context, ino cache.Ino) answer {
	h, err := c.Cache.Open(ctx, ino, cache.OpenMode{})
	if err != nil {
		return answer{err: nameOf(err)}
	}
	defer h.Release()
	var all []byte
	p := make([]byte, 48<<10)
	for {
		n, err := h.ReadAt(ctx, p, int64(len(all)))
		if err != nil || n == 0 {
			return answer{err: nameOf(err), data: all}
		}
		all = append(all, p[:n]...)
	}
}

// allocateModes are those of the flags of allocate.
var allocateModes = map[string]cache.AllocateMode{"grow": cache.AllocateGrow, "keep": cache.AllocateKeep,
	"punch": cache.AllocatePunch, "zero": cache.AllocateZero, "zerokeep": cache.AllocateZeroKeep}

func (c *cacheSide) onHandle(ctx context.Context, o op, number int) answer {
	h := c.open[o.h]
	var err error
	switch o.verb {
	case "read":
		p := make([]byte, o.n)
		n, err := h.ReadAt(ctx, p, o.off)
		return answer{err: nameOf(err), data: p[:n]}
	case "write":
		_, err = h.WriteAt(ctx, content(number, o.n), o.off)
	case "resize":
		_, err = c.SetAttr(ctx, h.Ino(), cache.AttrChange{Size: &o.n})
	case "allocate":
		err = h.Allocate(ctx, o.off, o.n, allocateModes[o.flag])
	case "fsync":
		err = h.Sync(ctx)
	case "fstat":
		return c.stat(ctx, h.Ino())
	case "close":
		err = h.Flush(ctx)
		h.Release()
		c.open[o.h] = nil
	}
	return answer{err: nameOf(err)}
}
