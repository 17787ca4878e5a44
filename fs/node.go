package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// preferredIO is st_blksize: what stdio buffers before it writes, so that a
// program that writes bytes causes few requests.
const preferredIO = 128 << 10

// dirSize is st_size of every directory.
const dirSize = 4096

// A filesystem is what all nodes of one mount share.
type filesystem struct {
	c      *cache.Cache
	kernel *kernel
	report *reporter

	entryTTL, attrTTL time.Duration
	maxName           uint32
	noAtime           bool // reading leaves access times, …
	noDirAtime        bool // … reading a directory does

	setIDs  setIDs
	buffers sync.Pool // *[]byte of copyBuffer bytes
}

// A node is an inode as go-fuse knows it: its number and nothing else, for
// there may be a million. What it is like is asked of the cache each time, and
// remembered only of what has no name any more.
type node struct {
	gofuse.Inode
	ino    cache.Ino
	sys    *filesystem
	memory atomic.Pointer[memory]
}

// kindModes gives the type bits of st_mode.
var kindModes = map[cache.Kind]uint32{
	cache.File:        syscall.S_IFREG,
	cache.Dir:         syscall.S_IFDIR,
	cache.Symlink:     syscall.S_IFLNK,
	cache.Fifo:        syscall.S_IFIFO,
	cache.Socket:      syscall.S_IFSOCK,
	cache.CharDevice:  syscall.S_IFCHR,
	cache.BlockDevice: syscall.S_IFBLK,
}

// kindOf returns the kind of st_mode's type bits; without any, a file's.
func kindOf(mode uint32) (cache.Kind, bool) {
	mode &= syscall.S_IFMT
	if mode == 0 {
		return cache.File, true
	}
	for kind, m := range kindModes {
		if m == mode {
			return kind, true
		}
	}
	return 0, false
}

// Lookup answers with the inode that name means now.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofuse.Inode, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	a, err := n.sys.c.Lookup(ctx, n.ino, name)
	if err != nil {
		return nil, n.errno("lookup", err)
	}
	return n.child(ctx, name, a, out), 0
}

// child returns the node of name's inode and fills in the answer.
func (n *node) child(ctx context.Context, name string, a cache.Attr, out *fuse.EntryOut) *gofuse.Inode {
	n.sys.fill(a, &out.Attr)
	out.SetEntryTimeout(n.sys.entryTTL)
	out.SetAttrTimeout(n.sys.attrTTL)
	id := gofuse.StableAttr{Mode: kindModes[a.Kind], Ino: uint64(a.Ino)}
	if known := n.GetChild(name); known != nil && known.StableAttr() == id {
		return known
	}
	return n.NewInode(ctx, &node{ino: a.Ino, sys: n.sys}, id)
}

// fill writes a as the kernel wants it.
func (s *filesystem) fill(a cache.Attr, out *fuse.Attr) {
	s.setIDs.note(a)
	out.Ino = uint64(a.Ino)
	out.Mode = kindModes[a.Kind] | a.Mode&0o7777
	out.Nlink = a.Nlink
	out.Owner = fuse.Owner{Uid: a.Uid, Gid: a.Gid}
	out.Rdev = a.Rdev
	out.Size = sizeOf(a)
	out.Blocks = uint64(a.Blocks)
	out.Blksize = preferredIO
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

// sizeOf returns st_size. A directory has that of a block: a size of nothing
// would say that lseek(2) has nowhere to go.
func sizeOf(a cache.Attr) uint64 {
	if a.Kind == cache.Dir {
		return dirSize
	}
	return uint64(a.Size)
}

// Statfs answers with what the cache says of the bucket's size.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const block = 4096
	u := n.sys.c.Usage()
	out.Bsize, out.Frsize = block, block
	out.Blocks = uint64(u.Total) / block
	out.Bfree = uint64(u.Free) / block
	out.Bavail = out.Bfree
	out.Ffree = 1 << 32
	out.Files = u.Files + out.Ffree
	out.NameLen = n.sys.maxName
	return 0
}

// errno ends op with the errno of err, 0 if there is none.
func (s *filesystem) errno(op string, err error) syscall.Errno { return s.report.errno(op, err) }

func (n *node) errno(op string, err error) syscall.Errno { return n.sys.errno(op, err) }

// caller returns who asks. Requests of the kernel itself come as root.
func caller(ctx context.Context) fuse.Caller {
	if c, ok := fuse.FromContext(ctx); ok {
		return *c
	}
	return fuse.Caller{}
}
