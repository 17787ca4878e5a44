package fs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/cache"
)

// fakeDir is a directory whose names change while it is read.
type fakeDir struct {
	names []string // sorted
	most  int      // names asked for at once
	err   error

	clock    int            // of insertions
	born     map[string]int // when names were inserted
	lastRead int            // what the clock said at the last ReadDir
}

func (f *fakeDir) ReadDir(_ context.Context, _ cache.Ino, after string, limit int) ([]cache.DirEntry, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.lastRead, f.most = f.clock, max(f.most, limit)
	i, found := slices.BinarySearch(f.names, after)
	if found {
		i++
	}
	var out []cache.DirEntry
	for ; i < len(f.names) && len(out) < limit; i++ {
		out = append(out, cache.DirEntry{Name: f.names[i], Ino: cache.Ino(100 + i), Kind: cache.File})
	}
	return out, nil
}

func (f *fakeDir) Parent(context.Context, cache.Ino) (cache.Ino, error) { return 7, f.err }

func (f *fakeDir) insert(name string) {
	f.clock++
	f.born[name] = f.clock
	if i, found := slices.BinarySearch(f.names, name); !found {
		f.names = slices.Insert(f.names, i, name)
	}
}

func fakeNames(n int) *fakeDir {
	f := &fakeDir{born: map[string]int{}}
	for i := range n {
		f.names = append(f.names, fmt.Sprintf("n%07d", i))
	}
	return f
}

// readAll reads to the end and returns names and offsets.
func readAll(t *testing.T, d *dirStream) (names []string, offsets []uint64) {
	t.Helper()
	for {
		e, ok, err := d.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return names, offsets
		}
		names, offsets = append(names, e.Name), append(offsets, e.offset)
	}
}

func TestDirStreamReadsAll(t *testing.T) {
	for _, n := range []int{0, 1, dirBatch - 1, dirBatch, dirBatch + 1, 3*dirBatch + 5} {
		f := fakeNames(n)
		names, offsets := readAll(t, newDirStream(f, 9))
		if want := append([]string{".", ".."}, f.names...); !slices.Equal(names, want) {
			t.Errorf("%d names: got %d entries, want %d", n, len(names), len(want))
		}
		if !slices.IsSorted(offsets) || offsets[0] != 1 {
			t.Errorf("%d names: offsets %v", n, offsets[:2])
		}
		if f.most > dirBatch {
			t.Errorf("asked for %d names at once", f.most)
		}
	}
}

func TestDirStreamDots(t *testing.T) {
	d := newDirStream(fakeNames(0), 9)
	for _, want := range []cache.Ino{9, 7} {
		e, ok, err := d.next(t.Context())
		if err != nil || !ok || e.Ino != want || e.Kind != cache.Dir {
			t.Fatalf("got %v, %v, %v; want inode %d", e, ok, err, want)
		}
	}
}

func TestDirStreamErrorIsNotTheEnd(t *testing.T) {
	f := fakeNames(3)
	d := newDirStream(f, 9)
	for range 2 {
		if _, _, err := d.next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.err = errors.New("bucket out of reach")
	if _, _, err := d.next(t.Context()); !errors.Is(err, f.err) {
		t.Fatalf("error is %v", err)
	}
	f.err = nil
	if names, _ := readAll(t, d); !slices.Equal(names, f.names) {
		t.Fatalf("after the error: %v", names)
	}
}

func TestDirStreamRewindShowsWhatIsNew(t *testing.T) {
	f := fakeNames(10)
	d := newDirStream(f, 9)
	readAll(t, d)
	f.insert("a-new")
	if err := d.seek(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if names, _ := readAll(t, d); len(names) != 13 || names[2] != "a-new" {
		t.Fatalf("after rewind: %v", names)
	}
}

// As long as nothing changes, entries read again have their offsets of before.
func TestDirStreamSeekKeepsOffsets(t *testing.T) {
	d := newDirStream(fakeNames(600), 9)
	names, offsets := readAll(t, d)
	for i := len(offsets) - 2; i >= 0; i -= 7 {
		if err := d.seek(t.Context(), offsets[i]); err != nil {
			t.Fatal(err)
		}
		again, offsetsAgain := readAll(t, d)
		if !slices.Equal(again, names[i+1:]) || !slices.Equal(offsetsAgain, offsets[i+1:]) {
			t.Fatalf("after a seek behind %q: %d entries from %v on, want %d from %v on", names[i], len(again),
				offsetsAgain[:1], len(names)-i-1, offsets[i+1])
		}
	}
}

func TestDirStreamRefusesUnknownOffsets(t *testing.T) {
	d := newDirStream(fakeNames(10), 9)
	_, offsets := readAll(t, d)
	if err := d.seek(t.Context(), offsets[len(offsets)-1]+1); !errors.Is(err, cache.ErrInvalid) {
		t.Fatalf("error is %v", err)
	}
}

// A new stream goes on where another one was, as for an NFS server, which
// opens the directory for each of its requests.
func TestDirStreamGoesOnWhereAnotherWas(t *testing.T) {
	f := fakeNames(3*dirBatch + 5)
	names, offsets := readAll(t, newDirStream(f, 9))
	for _, i := range []int{2, 3, dirBatch + 1, 2*dirBatch + 7, len(names) - 1} {
		d := newDirStream(f, 9)
		if err := d.seek(t.Context(), offsets[i]); err != nil {
			t.Fatal(err)
		}
		got, after := readAll(t, d)
		if !slices.Equal(got, names[i+1:]) || !slices.Equal(after, offsets[i+1:]) {
			t.Fatalf("behind %q come %d names, want %d", names[i], len(got), len(names)-i-1)
		}
		if i == 3 {
			if err := d.seek(t.Context(), offsets[i+2]); err != nil {
				t.Fatal(err)
			}
			if e, ok, err := d.next(t.Context()); err != nil || !ok || e.Name != names[i+3] {
				t.Fatalf("after a seek back: %v, %v, %v", e.Name, ok, err)
			}
		}
	}
}

// walker reads, seeks and changes a directory at random, and knows what a seek
// must lead to.
type walker struct {
	t      *testing.T
	dir    *fakeDir
	stream *dirStream
	name   map[uint64]string // by offset, since the last rewind
	first  map[string]uint64 // the first offset of a name, since the last rewind
	last   uint64
}

func (w *walker) rewind() {
	w.name, w.first = map[uint64]string{}, map[string]uint64{}
	if err := w.stream.seek(w.t.Context(), 0); err != nil {
		w.t.Fatal(err)
	}
}

// next reads one entry; behind is the offset of the entry before it.
func (w *walker) next(behind uint64) (uint64, bool) {
	e, ok, err := w.stream.next(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if e.Name == "." || e.Name == ".." {
		return e.offset, true
	}
	x := w.name[behind]
	w.checkNext(x, behind, e.Name, ok)
	if !ok {
		return behind, false
	}
	if old := w.name[e.offset]; old != "" && old != e.Name {
		w.t.Fatalf("offset %d is of %q and of %q", e.offset, old, e.Name)
	}
	w.name[e.offset], w.last = e.Name, max(w.last, e.offset)
	if w.first[e.Name] == 0 {
		w.first[e.Name] = e.offset
	}
	return e.offset, true
}

// checkNext fails if got, read after x, was shown before, or if a name between
// them was passed over that was there when the directory was last asked.
func (w *walker) checkNext(x string, behind uint64, got string, ok bool) {
	if ok && got <= x && w.first[got] != 0 && w.first[got] <= behind {
		w.t.Fatalf("%q again after %q", got, x)
	}
	for _, name := range w.dir.names {
		if name > x && (!ok || name < got) && w.dir.born[name] <= w.dir.lastRead {
			w.t.Fatalf("%q missed between %q and %q", name, x, got)
		}
	}
}

func (w *walker) change() {
	if i := rand.IntN(len(w.dir.names)); rand.IntN(2) == 0 {
		w.dir.names = slices.Delete(w.dir.names, i, i+1)
	} else {
		w.dir.insert(fmt.Sprintf("%s+%d", w.dir.names[i], w.dir.clock))
	}
}

func TestDirStreamSeeksWhileTheDirectoryChanges(t *testing.T) {
	for range 40 {
		f := fakeNames(1200)
		w := &walker{t: t, dir: f, stream: newDirStream(f, 9)}
		w.rewind()
		at, more := uint64(0), true
		for range 1500 {
			switch n := rand.IntN(100); {
			case n < 20:
				w.change()
			case n < 24 && w.last > 0:
				at = 3 + rand.Uint64N(w.last-2)
				if err := w.stream.seek(t.Context(), at); err != nil {
					t.Fatal(err)
				}
				more = true
			case n < 25 && !more:
				w.rewind()
				at, w.last, more = 0, 0, true
			default:
				at, more = w.next(at)
			}
		}
	}
}

func TestDirStreamForgetsOldPositions(t *testing.T) {
	f := fakeNames(20000)
	d := newDirStream(f, 9)
	d.maxHashes, d.maxMarks = 512, 8
	names, offsets := readAll(t, d)
	if len(d.hashes) > 2*512 || len(d.marks) > 2*8 {
		t.Fatalf("%d hashes and %d marks kept", len(d.hashes), len(d.marks))
	}
	if err := d.seek(t.Context(), offsets[100]); !errors.Is(err, cache.ErrInvalid) {
		t.Fatalf("seek to a forgotten offset: %v", err)
	}
	for _, i := range []int{len(offsets) - 2, len(offsets) - 1500} { // by hash, by count
		if err := d.seek(t.Context(), offsets[i]); err != nil {
			t.Fatal(err)
		}
		if e, ok, err := d.next(t.Context()); err != nil || !ok || e.Name != names[i+1] {
			t.Fatalf("after %q: %v, %v, %v", names[i], e.Name, ok, err)
		}
	}
}
