package fs

import (
	"context"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A dir is an open directory. The kernel's requests on one handle come one
// after the other.
type dir struct {
	n      *node
	stream *dirStream
}

// OpendirHandle opens a directory. What it lists is asked when it is read.
func (n *node) OpendirHandle(context.Context, uint32) (gofuse.FileHandle, uint32, syscall.Errno) {
	return &dir{n: n, stream: newDirStream(n.sys.c, n.ino)}, 0, 0
}

// Readdirent returns the next name, nil at the end.
func (d *dir) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	e, ok, err := d.stream.next(ctx)
	if err != nil {
		return nil, d.n.errno("readdir", err)
	}
	if !ok {
		return nil, 0
	}
	return &fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: kindModes[e.Kind], Off: e.offset}, 0
}

// Seekdir continues after the name that was handed out with off; 0 begins
// anew.
func (d *dir) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	return d.n.errno("seekdir", d.stream.seek(ctx, off))
}

// Releasedir ends the handle. The stream holds nothing but memory.
func (d *dir) Releasedir(context.Context, uint32) {}

// Fsyncdir answers fsync(2) of a directory.
func (d *dir) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	return d.n.errno("fsync", d.n.sys.c.SyncDir(ctx, d.n.ino))
}
