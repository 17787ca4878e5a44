package cache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

// flip changes one bit of an inode's data file, as a failing disk does.
func (b *bench) flip(ino Ino, off int64) {
	b.t.Helper()
	b.flipIn(b.cfg.Dir, ino, off)
}

// flipIn is flip in a copy of the cache's directory.
func (b *bench) flipIn(dir string, ino Ino, off int64) {
	b.t.Helper()
	f, err := os.OpenFile((&Cache{cfg: Config{Dir: dir}}).dataPath(ino), os.O_RDWR, 0)
	b.ok(err)
	defer f.Close()
	one := make([]byte, 1)
	_, err = f.ReadAt(one, off)
	b.ok(err)
	one[0] ^= 4
	_, err = f.WriteAt(one, off)
	b.ok(err)
}

// stopped runs fn on the cache's directory while nothing runs.
func (b *bench) stopped(fn func()) {
	b.t.Helper()
	b.ok(b.Cache.Close())
	fn()
	b.open()
}

// readAt reads n bytes of an inode.
func (b *bench) readAt(ino Ino, off int64, n int) ([]byte, error) {
	h, err := b.Cache.Open(b.t.Context(), ino, OpenMode{})
	b.ok(err)
	defer h.Release()
	p := make([]byte, n)
	n, err = h.ReadAt(b.t.Context(), p, off)
	return p[:n], err
}

// refusedAsDamaged fails unless the queue is left with damaged work alone.
func (b *bench) refusedAsDamaged() {
	b.t.Helper()
	var left *Unfinished
	if err := b.drainSoon(); !errors.As(err, &left) || !strings.Contains(left.Error(), ErrDamaged.Error()) {
		b.t.Fatalf("drain: %v", err)
	}
	if s := b.Status(); s.Refused == 0 {
		b.t.Errorf("status: %+v", s)
	}
}

// Clean data that the disk damaged while nothing ran is fetched again, no more
// of it than is damaged.
func TestFlippedCleanDataIsFetchedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(9<<20+77, 1)
	b.mem.Set("p/f", data, nil)
	b.mem.Set("p/small", []byte("small"), nil)
	b.read(Root, "f")
	b.read(Root, "small")
	b.stopped(func() {
		b.flip(b.lookupStopped("f"), 5<<20)
		b.flip(b.lookupStopped("f"), 9<<20+70)
		b.flip(b.lookupStopped("small"), 0)
	})
	b.mem.ResetCounts()
	if got := b.read(Root, "f"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
	if got := b.read(Root, "small"); string(got) != "small" {
		t.Errorf("reads %q", got)
	}
	if n := b.mem.Counts()["get"]; n == 0 || n > 3 {
		t.Errorf("%d gets", n)
	}
	b.reopen()
	b.mem.ResetCounts()
	if got := b.read(Root, "f"); !bytes.Equal(got, data) || b.mem.Counts()["get"] != 0 {
		t.Errorf("another time: right %v, %d gets", bytes.Equal(got, data), b.mem.Counts()["get"])
	}
}

// lookupStopped is lookup of a name in the root from the journal's directory
// alone: the bench notes inodes while it runs.
func (b *bench) lookupStopped(name string) Ino {
	b.t.Helper()
	b.open()
	defer func() { b.ok(b.Cache.Close()) }()
	return b.lookup(name)
}

// Bytes that are nowhere else and were damaged are not handed on, neither to
// readers nor to the bucket, until they are written anew.
func TestFlippedDirtyDataIsNotSent(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stopped", "killed", "resting"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			data := someBytes(3<<20, 2)
			ino := b.write(Root, "f", data)
			const at = 2<<20 + 5
			switch how {
			case "stopped":
				b.stopped(func() { b.flip(ino, at) })
			case "killed":
				b = b.crash(func(c *Config) { b.flipIn(c.Dir, ino, at) })
			case "resting":
				b.flip(ino, at)
			}
			if how != "resting" {
				_, err := b.readAt(ino, at-1, 3)
				b.is(err, ErrDamaged)
			}
			b.refusedAsDamaged()
			b.bucket(map[string]string{})
			if got, err := b.readAt(ino, 1<<20, 100); err != nil || !bytes.Equal(got, data[1<<20:1<<20+100]) {
				t.Errorf("the rest of the file: %v", err)
			}
			if rec, err := b.record(ino); err != nil || !strings.HasPrefix(b.stateOf(ino, rec), "failed: ") {
				t.Errorf("state: %v, %q", err, b.stateOf(ino, rec))
			}
			b.reopen()
			b.refusedAsDamaged()
			h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
			b.ok(err)
			b.put(h, data[2<<20:], 2<<20)
			b.ok(h.Flush(t.Context()))
			h.Release()
			b.ok(b.drainSoon())
			b.bucket(map[string]string{"p/f": string(data)})
		})
	}
}

// A write to a part of a damaged block does not hide what is damaged beside it.
func TestWriteBesideDamage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	data, clean := someBytes(600<<10, 3), someBytes(600<<10, 4)
	b.mem.Set("p/clean", clean, nil)
	b.read(Root, "clean")
	b.write(Root, "new", data)
	b.stopped(func() {
		b.flip(b.lookupStopped("new"), 300<<10)
		b.flip(b.lookupStopped("clean"), 300<<10)
	})
	for _, name := range []string{"new", "clean"} {
		h, err := b.Cache.Open(ctx, b.lookup(name), OpenMode{Write: true})
		b.ok(err)
		b.put(h, []byte("patched"), 310<<10)
		b.ok(h.Flush(ctx))
		h.Release()
	}
	copy(clean[310<<10:], "patched")
	if got := b.read(Root, "clean"); !bytes.Equal(got, clean) {
		t.Error("clean reads other bytes")
	}
	b.refusedAsDamaged()
	b.bucket(map[string]string{"p/clean": string(clean)})
	_, err := b.SetAttr(ctx, b.lookup("new"), AttrChange{Size: new(int64)})
	b.ok(err)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/clean": string(clean), "p/new": ""})
}

// A data file that was cut while nothing ran is no shorter file.
func TestCutDataFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(3<<20, 5)
	b.mem.Set("p/clean", data, nil)
	b.mem.Set("p/edited", data, nil)
	b.read(Root, "clean")
	b.read(Root, "edited")
	lost := b.write(Root, "lost", data)
	ino := b.write(Root, "new", data)
	h, err := b.Cache.Open(t.Context(), b.lookup("edited"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 1<<20)
	b.ok(h.Flush(t.Context()))
	h.Release()
	clean, edited := b.lookup("clean"), b.lookup("edited")
	b.stopped(func() {
		b.ok(os.Truncate(b.dataPath(clean), 2<<20))
		b.ok(os.Truncate(b.dataPath(edited), 2<<20))
		b.ok(os.Truncate(b.dataPath(ino), 2<<20))
		b.ok(os.Remove(b.dataPath(lost)))
	})
	if got := b.read(Root, "clean"); !bytes.Equal(got, data) {
		t.Error("clean reads other bytes")
	}
	b.refusedAsDamaged()
	want := bytes.Clone(data)
	copy(want[1<<20:], "patched")
	b.bucket(map[string]string{"p/clean": string(data), "p/edited": string(want)})
	if got, err := b.readAt(ino, 0, 2<<20); err != nil || !bytes.Equal(got, data[:2<<20]) {
		t.Errorf("what is left: %v", err)
	}
	_, err = b.readAt(ino, 2<<20, 1)
	b.is(err, ErrDamaged)
	_, err = b.readAt(lost, 0, 1)
	b.is(err, ErrDamaged)
}

// Whatever is written to a file with checksums, a kill at any moment is no
// damage.
func TestKillIsNoDamage(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 4))
	b := newBench(t)
	ctx := t.Context()
	base := someBytes(2<<20, 6)
	b.mem.Set("p/old", base, nil)
	b.read(Root, "old")
	b.write(Root, "new", base)
	for round := range 4 {
		var open []*Handle
		for _, name := range []string{"old", "new"} {
			h, err := b.Cache.Open(ctx, b.lookup(name), OpenMode{Write: true})
			b.ok(err)
			open = append(open, h)
			for range 20 {
				switch off, n := r.Int64N(2<<20), r.Int64N(400<<10); r.IntN(6) {
				case 0:
					b.ok(h.Allocate(ctx, off, n+1, AllocatePunch))
				case 1:
					b.ok(h.truncate(ctx, 1<<20+off/2))
				case 2:
					b.ok(h.Flush(ctx))
				default:
					b.put(h, someBytes(int(n), r.Uint64()), off)
				}
			}
		}
		want := map[string][]byte{"old": b.read(Root, "old"), "new": b.read(Root, "new")}
		next := b.crash()
		for _, h := range open {
			h.Release()
		}
		b = next
		for name, data := range want {
			got, err := b.tryRead(b.lookup(), name)
			if err != nil {
				t.Fatalf("seed %d, round %d, %s: %v", seed, round, name, err)
			}
			if name == "new" && !bytes.Equal(got, data) {
				t.Fatalf("seed %d, round %d: other bytes", seed, round)
			}
		}
	}
	b.ok(b.drainSoon())
	if again, lost := b.damage.counts(); again+lost > 0 {
		t.Errorf("seed %d: %d and %d bytes are taken for damaged", seed, again, lost)
	}
}

// After a power cut a data file may be newer than the journal: that is no
// damage of what is only here.
func TestPowerCutIsNoDamage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(1<<20, 7)
	ino := b.write(Root, "f", data)
	b.reopen()
	b.ok(b.recoverSums(journal.Start{}))
	b.flip(ino, 1000)
	data[1000] ^= 4
	if got, err := b.tryRead(Root, "f"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("reads %d bytes, %v", len(got), err)
	}
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": string(data)})
}

// Clean data that the disk does not give back is asked of the bucket, and a
// disk that takes nothing either is an error, not a loop.
func TestUnreadableDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(1<<20, 8)
	b.mem.Set("p/f", data, nil)
	ino := b.lookup("f")
	b.read(Root, "f")
	dirty := b.write(Root, "dirty", data)
	for _, ino := range []Ino{ino, dirty} {
		h, err := b.Cache.Open(t.Context(), ino, OpenMode{})
		b.ok(err)
		whole := h.f.fd
		unreadable, err := os.OpenFile(b.dataPath(ino), os.O_WRONLY, 0)
		b.ok(err)
		h.f.fd = &dataFile{File: unreadable}
		b.mem.ResetCounts()
		if n, err := h.ReadAt(t.Context(), make([]byte, 100), 0); err == nil {
			t.Errorf("%d bytes from a disk that cannot be read", n)
		}
		if asked := b.mem.Counts()["get"] > 0; asked != (ino != dirty) {
			t.Errorf("inode %d: the bucket was asked: %v", ino, asked)
		}
		b.ok(h.f.fd.Close())
		h.f.fd = whole
		p := make([]byte, len(data))
		if _, err := h.ReadAt(t.Context(), p, 0); err != nil || !bytes.Equal(p, data) {
			t.Errorf("inode %d on a good disk again: %v", ino, err)
		}
		h.Release()
	}
}

// Damage that is found by a write while the content is on its way does not
// travel with it.
func TestDamageMetByAWriteIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data, next := someBytes(3<<20, 9), someBytes(2<<20, 10)
	ino := b.write(Root, "f", data)
	b.stopped(func() { b.flip(ino, 1<<20) })
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	j, _, err := b.begin(task{key: "p/f", asked: true})
	b.ok(err)
	b.put(h, next, 0)
	sent, err := b.transfer(t.Context(), j)
	b.end(j, sent, err)
	if body, there := b.mem.Body("p/f"); there && !bytes.Equal(body, data) {
		t.Error("the bucket has a content that the file never had")
	}
	b.ok(h.Flush(t.Context()))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": string(next) + string(data[2<<20:])})
}
