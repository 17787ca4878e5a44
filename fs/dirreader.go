package fs

import (
	"context"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// A dirReader answers READDIR and READDIRPLUS. The node API's own answers lose
// names: the kernel, when a program's buffer could take but a part of an
// answer, asks again for the rest, perhaps in the other form, of which less
// fits into an answer; the node API then keeps one name of what did not fit
// and drops the others.
type dirReader struct {
	fuse.RawFileSystem
	sys  *filesystem
	open sync.Map // handle → *openDir
}

// An openDir is where the reader of one handle is. The kernel reads a handle
// at one place at a time; requests that cross wait.
type openDir struct {
	mu       sync.Mutex
	stream   *dirStream
	at       uint64       // offset of the last entry of the last answer
	last     []dirEntry   // the last answer
	ahead    []dirEntry   // taken from stream, and in no answer that counts
	accessed func() error // notes the first reading; nil: it is noted, or leaves the access time
}

// OpenDir makes the position of a new handle.
func (r *dirReader) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	status := r.RawFileSystem.OpenDir(cancel, in, out)
	if status.Ok() {
		ino := cache.Ino(in.NodeId)
		d := &openDir{stream: newDirStream(r.sys.c, ino)}
		if !r.sys.noDirAtime && in.Flags&syscall.O_NOATIME == 0 {
			d.accessed = func() error { return r.sys.c.Accessed(ino) }
		}
		r.open.Store(out.Fh, d)
	}
	return status
}

// ReleaseDir ends a handle, before its number is given again.
func (r *dirReader) ReleaseDir(in *fuse.ReleaseIn) {
	r.open.Delete(in.Fh)
	r.RawFileSystem.ReleaseDir(in)
}

// ReadDir answers with names.
func (r *dirReader) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return r.read(cancel, in, func(e dirEntry) bool { return out.AddDirEntry(e.wire()) })
}

// ReadDirPlus answers with names and what a lookup of each says. A name that
// is gone by then is an entry without an inode.
func (r *dirReader) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	header := in.InHeader
	return r.read(cancel, in, func(e dirEntry) bool {
		entry := out.AddDirLookupEntry(e.wire())
		if entry == nil || e.Name == "." || e.Name == ".." {
			return entry != nil
		}
		if !r.Lookup(cancel, &header, e.Name, entry).Ok() {
			*entry = fuse.EntryOut{}
		} else if entry.Mode&syscall.S_IFMT != kindModes[e.Kind] && entry.NodeId != 0 {
			out.FixMode(entry.Mode)
		}
		return true
	})
}

func (r *dirReader) read(cancel <-chan struct{}, in *fuse.ReadIn, add func(dirEntry) bool) fuse.Status {
	v, found := r.open.Load(in.Fh)
	if !found {
		return fuse.EBADF
	}
	ctx, over := patient(&fuse.Context{Caller: in.Caller, Cancel: cancel})
	defer over()
	return fuse.Status(r.sys.errno("readdir", v.(*openDir).answer(ctx, in.Offset, add)))
}

// answer hands entries to add, those behind offset off, until one does not
// fit. An error after the first entry is left to the next answer.
func (d *openDir) answer(ctx context.Context, off uint64, add func(dirEntry) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if accessed := d.accessed; accessed != nil {
		d.accessed = nil
		if err := accessed(); err != nil {
			return err
		}
	}
	if err := d.seek(ctx, off); err != nil {
		return err
	}
	d.last = d.last[:0]
	for {
		e, ok, err := d.next(ctx)
		if err != nil && len(d.last) == 0 {
			return err
		}
		if err != nil || !ok {
			return nil
		}
		if !add(e) {
			d.ahead = slices.Insert(d.ahead, 0, e)
			return nil
		}
		d.last, d.at = append(d.last, e), e.offset
	}
}

// seek goes to the place behind off: most often that is the end of the last
// answer, or within it.
func (d *openDir) seek(ctx context.Context, off uint64) error {
	if off == d.at {
		return nil
	}
	if i := slices.IndexFunc(d.last, func(e dirEntry) bool { return e.offset == off }); i >= 0 {
		d.ahead, d.at = slices.Concat(d.last[i+1:], d.ahead), off
		return nil
	}
	if err := d.stream.seek(ctx, off); err != nil {
		return err
	}
	d.ahead, d.at = nil, off
	return nil
}

func (d *openDir) next(ctx context.Context) (dirEntry, bool, error) {
	if len(d.ahead) == 0 {
		return d.stream.next(ctx)
	}
	e := d.ahead[0]
	d.ahead = d.ahead[1:]
	return e, true, nil
}

// wire is the entry as the kernel wants it.
func (e dirEntry) wire() fuse.DirEntry {
	return fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: kindModes[e.Kind], Off: e.offset}
}
