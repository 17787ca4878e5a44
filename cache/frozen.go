package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// errThawed ends the sending of a content that can no longer be read.
var errThawed = errors.New("the file changed while it was being sent")

// A frozen is the content of a file at one moment, readable while the file
// goes on changing: bytes about to be overwritten are saved to a file of its
// own first. It implements io.ReaderAt for Put. All fields but the first four
// are guarded by file.mu.
type frozen struct {
	f    *file
	size int64
	base journal.Base
	at   string

	thawed bool
	saved  extent.Set // in snap
	old    extent.Set // overwritten here before it was fetched: still in base
	snap   *dataFile
}

// freezeContent begins to keep the file's content of now. The caller holds
// f.mu; thawContent ends it.
func (f *file) freezeContent() *frozen {
	f.frozen = &frozen{f: f, size: f.size, base: f.base, at: f.at}
	return f.frozen
}

// thawContent ends z. It may be called twice.
func (f *file) thawContent(z *frozen) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen == z {
		f.frozen = nil
	}
	z.thawed = true
	if z.snap == nil {
		return nil
	}
	err := z.snap.Close()
	z.snap = nil
	return err
}

// thaw gives up a content being sent: its reader gets errThawed.
func (f *file) thaw() {
	if f.frozen != nil {
		f.frozen.thawed = true
		f.frozen = nil
	}
}

// freeze saves what a content being sent still needs of a range that is about
// to be overwritten. The caller holds f.mu.
func (f *file) freeze(off, n int64) error {
	z := f.frozen
	if z == nil || off >= z.size {
		return nil
	}
	n = min(n, z.size-off)
	for _, r := range z.saved.Missing(off, n) {
		for _, gap := range f.ext.Present.Missing(r.Off, r.Len) {
			z.old.Add(gap.Off, gap.Len)
		}
		for _, have := range f.ext.Present.Within(r.Off, r.Len) {
			if z.old.Overlaps(have.Off, have.Len) {
				for _, h := range z.old.Missing(have.Off, have.Len) {
					if err := z.save(h); err != nil {
						return err
					}
				}
				continue
			}
			if err := z.save(have); err != nil {
				return err
			}
		}
	}
	return nil
}

// save copies a range of the data file into snap.
func (z *frozen) save(r extent.Range) error {
	if err := z.openSnap(); err != nil {
		return err
	}
	_, err := io.Copy(io.NewOffsetWriter(z.snap, r.Off), io.NewSectionReader(z.f.fd, r.Off, r.Len))
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	z.saved.Add(r.Off, r.Len)
	return nil
}

// openSnap makes snap, without a name: nothing to clean up after a crash.
func (z *frozen) openSnap() error {
	if z.snap != nil {
		return nil
	}
	snap, err := os.CreateTemp(filepath.Join(z.f.c.cfg.Dir, "snap"), "snap-*")
	if err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	if err := os.Remove(snap.Name()); err != nil {
		return errors.Join(fmt.Errorf("cache disk: %w", err), snap.Close())
	}
	z.snap = &dataFile{File: snap, fails: z.f.c.cfg.diskFails}
	return nil
}

// ReadAt reads the content as it was. Bytes that are only in the bucket are
// fetched.
func (z *frozen) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), z.size-off)
	if n <= 0 {
		return 0, io.EOF
	}
	done := int64(0)
	for done < n {
		k, err := z.readPiece(p[done:n], off+done)
		done += int64(k)
		if err != nil {
			return int(done), err
		}
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// readPiece reads a first piece of p that lies in one place, or brings it nearer:
// who sends a part reads it in small pieces, and more than once.
func (z *frozen) readPiece(p []byte, off int64) (int, error) {
	n, here, err := z.readLocal(p, off)
	if err != nil || here {
		return int(n), err
	}
	if err = z.saveBase(off); errors.Is(err, unix.ENOSPC) {
		return z.readBase(p[:n], off)
	}
	return 0, err
}

// saveBase saves a piece of the base that begins at off, if that is still only
// in the bucket.
func (z *frozen) saveBase(off int64) error {
	gap, found := z.remote(off)
	if !found || gap.Off != off {
		return nil
	}
	buf := fetchBuffers.Get().(*[]byte)
	defer fetchBuffers.Put(buf)
	p := (*buf)[:min(gap.Len, int64(len(*buf)))]
	if _, err := z.readBase(p, off); err != nil {
		return err
	}
	return z.keep(p, off)
}

// readLocal reads a first piece of p, of n bytes, if that is on the disk.
func (z *frozen) readLocal(p []byte, off int64) (n int64, here bool, err error) {
	z.f.mu.RLock()
	defer z.f.mu.RUnlock()
	if z.thawed {
		return 0, false, errThawed
	}
	n = int64(len(p))
	read := func(from *dataFile, length int64) (int64, bool, error) {
		got, err := readHoles(from, p[:length], off)
		return int64(got), true, err
	}
	switch {
	case z.saved.Contains(off, 1):
		return read(z.snap, z.saved.Within(off, n)[0].Len)
	case z.old.Contains(off, 1):
		return z.old.Within(off, n)[0].Len, false, nil
	}
	for _, s := range []extent.Set{z.saved, z.old} {
		if w := s.Within(off, n); len(w) > 0 {
			n = w[0].Off - off
		}
	}
	if z.f.ext.Present.Contains(off, 1) {
		n = z.f.ext.Present.Within(off, n)[0].Len
		if err := z.f.lost(extent.Range{Off: off, Len: n}); err != nil {
			return 0, false, err
		}
		return read(z.f.fd, n)
	}
	return z.f.ext.Present.Missing(off, n)[0].Len, false, nil
}

// readBase reads a range that is only in the bucket. What a cut took away here
// meanwhile is not missing there.
func (z *frozen) readBase(p []byte, off int64) (int, error) {
	n, err := z.f.readBase(p, off, objectAt{z.base, z.at})
	if errors.Is(err, ErrStale) && z.isThawed() {
		err = errThawed
	}
	return n, err
}

func (z *frozen) isThawed() bool {
	z.f.mu.RLock()
	defer z.f.mu.RUnlock()
	return z.thawed
}

// gather saves what is only in the bucket, so that ReadAt needs no request. A
// server may keep others off a key while an object is sent to it: a request
// for the old object would wait for the new one, and that for the request.
func (z *frozen) gather(ctx context.Context) error {
	buf := make([]byte, touchBlock)
	for off := int64(0); off < z.size; {
		gap, found := z.remote(off)
		if !found {
			return nil
		}
		p := buf[:min(gap.Len, int64(len(buf)))]
		if z.isThawed() {
			return errThawed
		}
		if _, err := z.readBase(p, gap.Off); err != nil {
			return err
		}
		if err := z.keep(p, gap.Off); err != nil {
			return err
		}
		if off = gap.Off + int64(len(p)); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// remote returns the first range at or behind off that is only in the bucket.
func (z *frozen) remote(off int64) (extent.Range, bool) {
	z.f.mu.RLock()
	defer z.f.mu.RUnlock()
	for _, r := range z.saved.Missing(off, z.size-off) {
		gone := z.old.Within(r.Off, r.Len)
		gaps := z.f.ext.Present.Missing(r.Off, r.Len)
		switch {
		case len(gaps) == 0 && len(gone) == 0:
			continue
		case len(gaps) == 0 || len(gone) > 0 && gone[0].Off < gaps[0].Off:
			return gone[0], true
		}
		return gaps[0], true
	}
	return extent.Range{}, false
}

// keep saves bytes of the base.
func (z *frozen) keep(p []byte, off int64) error {
	z.f.mu.Lock()
	defer z.f.mu.Unlock()
	if z.thawed {
		return errThawed
	}
	if err := z.openSnap(); err != nil {
		return err
	}
	if _, err := z.snap.WriteAt(p, off); err != nil {
		return fmt.Errorf("cache disk: %w", err)
	}
	z.saved.Add(off, int64(len(p)))
	return nil
}

// readHoles reads exactly len(p) bytes; what lies behind the file's end is a
// hole.
func readHoles(f *dataFile, p []byte, off int64) (int, error) {
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}
