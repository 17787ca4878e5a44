package fs

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sort"

	"github.com/moorfs/moorfs/cache"
)

const (
	// dirBatch is how many names are asked of the cache at once.
	dirBatch = 1000
	// markEvery is how many entries lie between two names that are kept in
	// full to seek to.
	markEvery = 256
	// maxHashes and maxMarks bound what a stream keeps of entries handed out:
	// at least so many, at most twice as many.
	maxHashes = 1 << 20
	maxMarks  = 1 << 17
)

// A dirSource is what a directory stream reads.
type dirSource interface {
	// ReadDir returns at most max names strictly after after, in byte order;
	// none: the end.
	ReadDir(ctx context.Context, dir cache.Ino, after string, max int) ([]cache.DirEntry, error)
	Parent(ctx context.Context, dir cache.Ino) (cache.Ino, error)
}

// A dirStream reads a directory from its beginning to its end, with the
// positions that telldir(3) shows. It asks for what comes after the last name,
// so that nothing is missed or seen twice however the directory changes.
//
// Each entry handed out gets the next offset: 1 is ".", 2 is "..", names follow.
// After a seek entries have the offsets of before up to the first that is not
// what followed then; from there on they get new ones. To return to an
// offset, every markEvery-th name is kept, and of the others a hash: the walk
// from the mark looks for the last entry up to the offset that is still there,
// and continues after it. Beyond maxHashes entries the older hashes are given
// up, and the walk counts; offsets older than maxMarks marks are refused.
type dirStream struct {
	src                 dirSource
	dir                 cache.Ino
	maxHashes, maxMarks int

	offset uint64 // the largest handed out
	tail   string // the name that has it
	at     uint64 // of the entry behind: less than offset after a seek
	dots   int    // how many of "." and ".." are behind
	after  string // the last name behind
	batch  []cache.DirEntry
	ended  bool

	seed   maphash.Seed
	marks  []dirMark // by offset
	hashes []uint32  // of the names at offset base+1, base+2, …
	base   uint64
}

// A dirMark is a place to walk from: the entry at offset was the name before,
// and the entries behind it are those after after. The two differ where a seek
// went elsewhere.
type dirMark struct {
	offset        uint64
	before, after string
}

// A dirEntry is an entry and the offset to continue after it.
type dirEntry struct {
	cache.DirEntry
	offset uint64
}

func newDirStream(src dirSource, dir cache.Ino) *dirStream {
	d := &dirStream{src: src, dir: dir, maxHashes: maxHashes, maxMarks: maxMarks, seed: maphash.MakeSeed()}
	d.rewind()
	return d
}

// next returns the next entry; ok is false at the end.
func (d *dirStream) next(ctx context.Context) (e dirEntry, ok bool, err error) {
	if d.dots < 2 {
		return d.nextDot(ctx)
	}
	before := d.after
	de, ok, err := d.take(ctx)
	if err != nil || !ok {
		return dirEntry{}, false, err
	}
	if d.again(de.Name) {
		d.at++
		return dirEntry{de, d.at}, true, nil
	}
	if d.at < d.offset || before != d.tail {
		d.branch(before)
	}
	d.offset++
	d.at, d.tail = d.offset, de.Name
	d.record(de.Name)
	return dirEntry{de, d.offset}, true, nil
}

// again reports whether name was handed out as the next entry before a seek.
func (d *dirStream) again(name string) bool {
	return d.at >= d.base && d.at < d.offset && d.hashes[d.at-d.base] == d.hash(name)
}

// branch notes that the entries behind the largest offset are those after
// after.
func (d *dirStream) branch(after string) {
	if last := &d.marks[len(d.marks)-1]; last.offset == d.offset {
		last.after = after
		return
	}
	d.mark(dirMark{d.offset, d.tail, after})
}

func (d *dirStream) nextDot(ctx context.Context) (dirEntry, bool, error) {
	e := dirEntry{cache.DirEntry{Name: ".", Ino: d.dir, Kind: cache.Dir}, 1}
	if d.dots == 1 {
		parent, err := d.src.Parent(ctx, d.dir)
		if err != nil {
			return dirEntry{}, false, err
		}
		e = dirEntry{cache.DirEntry{Name: "..", Ino: parent, Kind: cache.Dir}, 2}
	}
	d.dots++
	d.at = e.offset
	d.offset = max(d.offset, d.at)
	return e, true, nil
}

// take removes the next name from the batch, which it fills if need be.
func (d *dirStream) take(ctx context.Context) (cache.DirEntry, bool, error) {
	if len(d.batch) == 0 && !d.ended {
		batch, err := d.src.ReadDir(ctx, d.dir, d.after, dirBatch)
		if err != nil {
			return cache.DirEntry{}, false, err
		}
		d.batch, d.ended = batch, len(batch) == 0
	}
	if d.ended {
		return cache.DirEntry{}, false, nil
	}
	e := d.batch[0]
	d.batch, d.after = d.batch[1:], e.Name
	return e, true, nil
}

// record remembers how to return to the entry with the current offset.
func (d *dirStream) record(name string) {
	if len(d.hashes) >= 2*d.maxHashes {
		d.hashes = append([]uint32(nil), d.hashes[d.maxHashes:]...)
		d.base += uint64(d.maxHashes)
	}
	d.hashes = append(d.hashes, d.hash(name))
	if d.offset-d.marks[len(d.marks)-1].offset >= markEvery {
		d.mark(dirMark{d.offset, name, name})
	}
}

func (d *dirStream) mark(m dirMark) {
	if len(d.marks) >= 2*d.maxMarks {
		d.marks = append([]dirMark(nil), d.marks[d.maxMarks:]...)
	}
	d.marks = append(d.marks, m)
}

func (d *dirStream) hash(name string) uint32 { return uint32(maphash.String(d.seed, name)) }

// rewind begins anew, with a fresh view of the directory.
func (d *dirStream) rewind() {
	d.offset, d.at, d.tail, d.dots = 0, 0, "", 0
	d.from("")
	d.marks = append(d.marks[:0], dirMark{offset: 2})
	d.hashes, d.base = d.hashes[:0], 2
}

// from continues with the names after after.
func (d *dirStream) from(after string) { d.after, d.batch, d.ended = after, nil, false }

// seek continues after the entry that has offset off. An offset that was never
// handed out, or is forgotten, is ErrInvalid; but a stream of which nothing was
// read yet takes it for that of an earlier one, as an NFS server means it.
func (d *dirStream) seek(ctx context.Context, off uint64) error {
	if off == 0 {
		d.rewind()
		return nil
	}
	if d.offset == 0 && off > 2 {
		return d.resume(ctx, off)
	}
	dots, after := 2, ""
	if off <= 2 {
		dots = int(off)
	} else {
		var err error
		if after, err = d.find(ctx, off); err != nil {
			return fmt.Errorf("position %d in directory %d: %w", off, d.dir, err)
		}
	}
	d.at, d.offset = off, max(d.offset, 2)
	d.dots = dots
	d.from(after)
	return nil
}

// resume continues where a stream before this one had offset off: behind so
// many names, which is the same place if the directory has not changed and
// that stream was read from its beginning to there.
func (d *dirStream) resume(ctx context.Context, off uint64) error {
	after := ""
	for left := off - 2; left > 0; {
		names, err := d.src.ReadDir(ctx, d.dir, after, int(min(left, dirBatch)))
		if err != nil {
			return fmt.Errorf("position %d in directory %d: %w", off, d.dir, err)
		}
		if len(names) == 0 {
			break
		}
		after, left = names[len(names)-1].Name, left-uint64(len(names))
	}
	d.offset, d.dots, d.base = off, 2, off
	d.marks = append(d.marks[:0], dirMark{off, after, after})
	d.from(after)
	return nil
}

// find returns the name after which the entries behind offset off begin.
func (d *dirStream) find(ctx context.Context, off uint64) (string, error) {
	i := sort.Search(len(d.marks), func(i int) bool { return d.marks[i].offset > off }) - 1
	if i < 0 || off > d.offset {
		return "", cache.ErrInvalid
	}
	mark, end := d.marks[i], d.tail
	if mark.offset == off {
		return mark.before, nil
	}
	if i+1 < len(d.marks) {
		end = d.marks[i+1].before
	}
	if mark.offset < d.base {
		return d.count(ctx, mark.after, int(off-mark.offset))
	}
	return d.last(ctx, dirMark{after: mark.after, before: end}, d.hashes[mark.offset-d.base:off-d.base])
}

// count returns the n-th name after after, or the last.
func (d *dirStream) count(ctx context.Context, after string, n int) (string, error) {
	names, err := d.src.ReadDir(ctx, d.dir, after, n)
	if err != nil || len(names) == 0 {
		return after, err
	}
	return names[len(names)-1].Name, nil
}

// last returns, of the names after in.after and up to in.before, the last that
// was handed out as one of hashes; in.after if none is left.
func (d *dirStream) last(ctx context.Context, in dirMark, hashes []uint32) (string, error) {
	found, from := in.after, in.after
	for len(hashes) > 0 {
		names, err := d.src.ReadDir(ctx, d.dir, from, dirBatch)
		if err != nil || len(names) == 0 {
			return found, err
		}
		for _, e := range names {
			if e.Name > in.before {
				return found, nil
			}
			if i := slices.Index(hashes, d.hash(e.Name)); i >= 0 {
				found, hashes = e.Name, hashes[i+1:]
			}
		}
		from = names[len(names)-1].Name
	}
	return found, nil
}
