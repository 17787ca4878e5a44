package fs

import (
	"context"
	"math"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// Whence values of lseek(2) that the kernel asks us for.
const (
	seekData = 3
	seekHole = 4
)

// allocateModes maps the modes of fallocate(2) that FUSE carries.
var allocateModes = map[uint32]cache.AllocateMode{
	0x00: cache.AllocateGrow,
	0x01: cache.AllocateKeep,     // FALLOC_FL_KEEP_SIZE
	0x03: cache.AllocatePunch,    // FALLOC_FL_PUNCH_HOLE|KEEP_SIZE
	0x10: cache.AllocateZero,     // FALLOC_FL_ZERO_RANGE
	0x11: cache.AllocateZeroKeep, // FALLOC_FL_ZERO_RANGE|KEEP_SIZE
}

// Copies inside the daemon move copyBuffer bytes at a time, and at most
// copyMax in one request so that a signal is answered soon.
const (
	copyBuffer = 1 << 20
	copyMax    = 16 << 20
)

// A file is an open regular file. It has no PassthroughFd: all I/O goes
// through the daemon.
type file struct {
	h   *cache.Handle
	sys *filesystem
}

// Open opens a regular file. Where O_APPEND writes go is the kernel's to say,
// which knows the file's size and whether fcntl(2) has changed the flag since.
func (n *node) Open(ctx context.Context, flags uint32) (gofuse.FileHandle, uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	h, err := n.sys.c.Open(ctx, n.ino, cache.OpenMode{
		Write:    flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0,
		Truncate: flags&syscall.O_TRUNC != 0,
		NoAtime:  flags&syscall.O_NOATIME != 0 || n.sys.noAtime,
	})
	if err != nil {
		return nil, 0, n.errno("open", err)
	}
	return &file{h: h, sys: n.sys}, openFlags(h, flags), 0
}

// openFlags says what the kernel may do with its pages of the file, and that
// closing a descriptor that could not write need not be told. Pages that would
// answer a read which is to be noted in the access time go.
func openFlags(h *cache.Handle, flags uint32) uint32 {
	var f uint32
	if h.SameContent() && (flags&syscall.O_ACCMODE == syscall.O_WRONLY || !h.AccessDue()) {
		f |= fuse.FOPEN_KEEP_CACHE
	}
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY && flags&syscall.O_TRUNC == 0 {
		f |= fuse.FOPEN_NOFLUSH
	}
	return f
}

// Read fills dest, which belongs to the request.
func (f *file) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	n, err := f.h.ReadAt(ctx, dest, off)
	if err != nil {
		return nil, f.sys.errno("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write writes data, or what of it could be written before an error.
func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	n, err := f.h.WriteAt(ctx, data, off)
	if err != nil && n == 0 {
		return 0, f.sys.errno("write", err)
	}
	return uint32(n), 0
}

// Flush answers close(2): once for each descriptor.
func (f *file) Flush(ctx context.Context) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	return f.sys.errno("close", f.h.Flush(ctx))
}

// Fsync answers fsync(2) and fdatasync(2).
func (f *file) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	return f.sys.errno("fsync", f.h.Sync(ctx))
}

// Release ends the handle after its last descriptor.
func (f *file) Release(context.Context) syscall.Errno {
	f.h.Release()
	return 0
}

// Allocate answers fallocate(2).
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	m, ok := allocateModes[mode]
	if !ok {
		return syscall.EOPNOTSUPP
	}
	if off > math.MaxInt64 || size > math.MaxInt64-off {
		return syscall.EFBIG
	}
	if errno := f.dropSetIDs(ctx, "fallocate"); errno != 0 {
		return errno
	}
	return f.sys.errno("fallocate", f.h.Allocate(ctx, int64(off), int64(size), m))
}

// Lseek answers SEEK_DATA and SEEK_HOLE.
func (f *file) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	if off > math.MaxInt64 {
		return 0, syscall.ENXIO
	}
	var at int64
	var err error
	switch whence {
	case seekData:
		at, err = f.h.SeekData(ctx, int64(off))
	case seekHole:
		at, err = f.h.SeekHole(ctx, int64(off))
	default:
		return 0, syscall.EINVAL
	}
	if err != nil {
		return 0, f.sys.errno("lseek", err)
	}
	return uint64(at), 0
}

// dropSetIDs is for changes about which the kernel does not say whether the
// caller has the privilege to keep the bits: only root has.
func (f *file) dropSetIDs(ctx context.Context, op string) syscall.Errno {
	if caller(ctx).Uid == 0 {
		return 0
	}
	return f.sys.errno(op, f.sys.dropSetIDs(ctx, f.h.Ino()))
}

// A span is what copy_file_range(2) copies: n bytes at from to to.
type span struct{ from, to, n int64 }

// CopyFileRange copies inside the daemon, which halves the ways through the
// kernel. It may copy less than asked; 0 at the end of the source.
func (n *node) CopyFileRange(ctx context.Context, fhIn gofuse.FileHandle, offIn uint64, _ *gofuse.Inode, fhOut gofuse.FileHandle, offOut, length, flags uint64) (uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	from, ok := fhIn.(*file)
	to, ok2 := fhOut.(*file)
	if !ok || !ok2 || flags != 0 {
		return 0, syscall.EINVAL
	}
	length = min(length, copyMax)
	if offIn > math.MaxInt64-length || offOut > math.MaxInt64-length {
		return 0, syscall.EFBIG
	}
	if errno := to.dropSetIDs(ctx, "copy_file_range"); errno != 0 {
		return 0, errno
	}
	done, err := n.sys.copy(ctx, from.h, to.h, span{int64(offIn), int64(offOut), int64(length)})
	if err != nil && done == 0 {
		return 0, n.errno("copy_file_range", err)
	}
	return uint32(done), 0
}

// copy returns how many bytes are in their new place, and why not all.
func (s *filesystem) copy(ctx context.Context, from, to *cache.Handle, sp span) (done int64, err error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for done < sp.n {
		p := (*buf)[:min(int64(len(*buf)), sp.n-done)]
		read, err := from.ReadAt(ctx, p, sp.from+done)
		if err != nil || read == 0 {
			return done, err
		}
		written, err := to.WriteAt(ctx, p[:read], sp.to+done)
		done += int64(written)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
