package fs

import (
	"context"
	"math"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// Bits of statx(2).
const (
	statxBasic = 0x7ff
	statxBtime = 0x800
)

// Getattr answers stat(2).
func (n *node) Getattr(ctx context.Context, _ gofuse.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	a, err := n.attr(ctx)
	if err != nil {
		return n.errno("stat", err)
	}
	n.sys.fill(a, &out.Attr)
	out.SetTimeout(n.sys.attrTTL)
	return 0
}

// Statx answers statx(2); beyond stat(2) it knows when the file was made.
func (n *node) Statx(ctx context.Context, _ gofuse.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	a, err := n.attr(ctx)
	if err != nil {
		return n.errno("stat", err)
	}
	n.sys.setIDs.note(a)
	out.Mask = statxBasic
	out.Ino = uint64(a.Ino)
	out.Mode = uint16(kindModes[a.Kind] | a.Mode&0o7777)
	out.Nlink, out.Uid, out.Gid = a.Nlink, a.Uid, a.Gid
	out.Size, out.Blocks, out.Blksize = sizeOf(a), uint64(a.Blocks), preferredIO
	out.RdevMajor, out.RdevMinor = a.Rdev>>8&0xfff, a.Rdev&0xff|a.Rdev>>12&0xfff00
	out.Atime, out.Mtime, out.Ctime = statxTime(a.Atime), statxTime(a.Mtime), statxTime(a.Ctime)
	if !a.Btime.IsZero() {
		out.Mask |= statxBtime
		out.Btime = statxTime(a.Btime)
	}
	out.SetTimeout(n.sys.attrTTL)
	return 0
}

func statxTime(t time.Time) fuse.SxTime {
	return fuse.SxTime{Sec: uint64(t.Unix()), Nsec: uint32(t.Nanosecond())}
}

// Setattr answers chmod, chown, truncate and utimens.
func (n *node) Setattr(ctx context.Context, _ gofuse.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	ch, errno := changeOf(in)
	if errno != 0 {
		return errno
	}
	if err := n.dropWith(ctx, in, &ch); err != nil {
		return n.errno("setattr", err)
	}
	a, err := n.setAttr(ctx, ch)
	if err != nil {
		return n.errno("setattr", err)
	}
	n.sys.fill(a, &out.Attr)
	out.SetTimeout(n.sys.attrTTL)
	return 0
}

// changeOf reads what a request wants changed. A change time cannot be set.
func changeOf(in *fuse.SetAttrIn) (cache.AttrChange, syscall.Errno) {
	var ch cache.AttrChange
	if mode, ok := in.GetMode(); ok {
		ch.Mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		ch.Uid = &uid
	}
	if gid, ok := in.GetGID(); ok {
		ch.Gid = &gid
	}
	if size, ok := in.GetSize(); ok {
		if size > math.MaxInt64 {
			return ch, syscall.EFBIG
		}
		s := int64(size)
		ch.Size = &s
	}
	if t, ok := in.GetATime(); ok {
		ch.Atime = &t
	}
	if t, ok := in.GetMTime(); ok {
		ch.Mtime = &t
	}
	return ch, 0
}

// dropWith adds to ch what a change of owner or a truncation by somebody
// without privilege does to the set-user-ID and set-group-ID bits. With
// HANDLE_KILLPRIV_V2 the kernel leaves that to us.
func (n *node) dropWith(ctx context.Context, in *fuse.SetAttrIn, ch *cache.AttrChange) error {
	// A chown(2) that leaves both owners as they are comes with nothing to
	// set, but does all else that a chown does, for who owns the file. So
	// comes a write to a file with set-ID bits, with more to follow.
	empty := in.Valid&^(fuse.FATTR_FH|fuse.FATTR_LOCKOWNER|fuse.FATTR_KILL_SUIDGID) == 0
	owner := ch.Uid != nil || ch.Gid != nil || empty
	maybe := (owner || in.Valid&fuse.FATTR_KILL_SUIDGID != 0) && ch.Mode == nil && n.sys.setIDs.maybe(n.ino)
	if !maybe && !empty {
		return nil
	}
	a, err := n.attr(ctx)
	if err != nil {
		return err
	}
	mode := withoutSetIDs(a, in.Caller)
	drops := maybe && a.Kind != cache.Dir && mode != a.Mode
	if empty && drops && in.Caller.Uid != 0 && in.Caller.Uid != a.Uid {
		return nil
	}
	if empty {
		ch.Uid = &a.Uid
	}
	if drops {
		ch.Mode = &mode
	}
	return nil
}
