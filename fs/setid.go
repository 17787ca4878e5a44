package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// maxSetIDs bounds setIDs. A mount that has shown more such inodes asks the
// cache each time instead.
const maxSetIDs = 1 << 16

// setIDs remembers which inodes have shown a set-user-ID or set-group-ID bit,
// so that a write to any other inode, or a create in any other directory, need
// not ask for the mode. It may name inodes that have the bits no more; it
// misses none that the kernel knows. Methods may be called concurrently.
type setIDs struct {
	inos  sync.Map // cache.Ino → struct{}
	count atomic.Int64
}

// note is told of all attributes that go to the kernel.
func (s *setIDs) note(a cache.Attr) {
	if a.Mode&(syscall.S_ISUID|syscall.S_ISGID) == 0 || s.count.Load() >= maxSetIDs {
		return
	}
	if _, known := s.inos.LoadOrStore(a.Ino, struct{}{}); !known {
		s.count.Add(1)
	}
}

// maybe reports whether ino may have one of the bits.
func (s *setIDs) maybe(ino cache.Ino) bool {
	if s.count.Load() >= maxSetIDs {
		return true
	}
	_, known := s.inos.Load(ino)
	return known
}

// withoutSetIDs returns a file's mode as a change by who leaves it. Without
// execution for the group, S_ISGID does not mean set-group-ID, and stays for
// root and members of the file's group, who could set it themselves.
func withoutSetIDs(a cache.Attr, who fuse.Caller) uint32 {
	mode := a.Mode &^ syscall.S_ISUID
	if mode&syscall.S_ISGID != 0 && (mode&syscall.S_IXGRP != 0 || !isMember(who, a.Gid)) {
		mode &^= syscall.S_ISGID
	}
	return mode
}

// dropSetIDs takes these bits from a file that somebody without privilege is
// about to change.
func (s *filesystem) dropSetIDs(ctx context.Context, ino cache.Ino) error {
	if !s.setIDs.maybe(ino) {
		return nil
	}
	a, err := s.c.Attr(ctx, ino)
	if err != nil || a.Kind != cache.File {
		return err
	}
	mode := withoutSetIDs(a, caller(ctx))
	if mode == a.Mode {
		return nil
	}
	if _, err := s.c.SetAttr(ctx, ino, cache.AttrChange{Mode: &mode}); err != nil {
		return err
	}
	s.kernel.attrsChanged(ino)
	return nil
}

// A killPriv honours the flags of HANDLE_KILLPRIV_V2, which the node API does
// not pass on: the kernel leaves it to us to clear the set-ID bits when
// somebody without privilege writes or truncates, and in return does not ask
// for security.capability before each write.
type killPriv struct {
	fuse.RawFileSystem
	sys *filesystem
}

// Open is overridden for O_TRUNC.
func (k *killPriv) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		if errno := k.drop("open", cancel, &in.InHeader); errno != 0 {
			return fuse.Status(errno)
		}
	}
	return k.RawFileSystem.Open(cancel, in, out)
}

// Write is called when the node API has no Writev, which is always.
func (k *killPriv) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if errno := k.beforeWrite(cancel, in); errno != 0 {
		return 0, fuse.Status(errno)
	}
	return k.RawFileSystem.Write(cancel, in, data)
}

// Writev is what the server calls first for each WRITE.
func (k *killPriv) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if errno := k.beforeWrite(cancel, in); errno != 0 {
		return 0, fuse.Status(errno)
	}
	return k.RawFileSystem.Writev(cancel, in, data)
}

func (k *killPriv) beforeWrite(cancel <-chan struct{}, in *fuse.WriteIn) syscall.Errno {
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID == 0 {
		return 0
	}
	return k.drop("write", cancel, &in.InHeader)
}

// drop relies on node ids being inode numbers (Options.ExternalNodeID).
func (k *killPriv) drop(op string, cancel <-chan struct{}, h *fuse.InHeader) syscall.Errno {
	ctx := &fuse.Context{Caller: h.Caller, Cancel: cancel}
	if err := k.sys.dropSetIDs(ctx, cache.Ino(h.NodeId)); err != nil {
		return k.sys.report.errno(op, err)
	}
	return 0
}
