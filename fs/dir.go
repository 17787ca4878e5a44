package fs

import (
	"context"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
)

// A dir is an open directory as go-fuse knows it. It is read through
// dirReader.
type dir struct{ n *node }

// OpendirHandle opens a directory. What it lists is asked when it is read.
func (n *node) OpendirHandle(context.Context, uint32) (gofuse.FileHandle, uint32, syscall.Errno) {
	return &dir{n: n}, 0, 0
}

// Fsyncdir answers fsync(2) of a directory.
func (d *dir) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	return d.n.errno("fsync", d.n.sys.c.SyncDir(ctx, d.n.ino))
}
