package cache

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
)

// saved returns a copy of the cache's directory as it is now.
func (b *bench) saved() string {
	b.t.Helper()
	to, before := "", "nothing"
	for now := b.journalFiles(); now != before; now = b.journalFiles() { // badger may be tidying up
		to, before = b.t.TempDir(), now
		b.copyTo(to)
	}
	return to
}

// reboot opens a copy of the directory on a kernel of its own, on the bucket as
// it is now. The first cache must not be used any more.
func (b *bench) reboot(dir string) *bench {
	b.t.Helper()
	return newBench(b.t, func(c *Config) {
		*c = b.cfg
		c.Dir, c.Boot, c.Remote = dir, dir, b.mem
	}).on(b.mem)
}

// dataIn is where a copy of the directory has the bytes of an inode.
func (b *bench) dataIn(dir string, ino Ino) string {
	return (&Cache{cfg: Config{Dir: dir}}).dataPath(ino)
}

// lose makes a range of a data file in a copy a hole.
func (b *bench) lose(dir string, ino Ino, r extent.Range) {
	b.t.Helper()
	f, err := os.OpenFile(b.dataIn(dir, ino), os.O_RDWR, 0)
	b.ok(err)
	b.ok(punch(&dataFile{File: f}, r.Off, r.Len))
	b.ok(f.Close())
}

func (b *bench) extents(ino Ino) (e *journal.Extents) {
	b.t.Helper()
	b.ok(b.view(func(tx *journal.Tx) (err error) {
		e, _, err = tx.Extents(ino)
		return err
	}))
	return e
}

// change writes to a file there is, and closes it, after an fsync if told.
func (b *bench) change(ino Ino, data []byte, off int64, sync bool) {
	b.t.Helper()
	h, err := b.Cache.Open(b.t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	b.put(h, data, off)
	if sync {
		b.ok(h.Sync(b.t.Context()))
	}
	b.ok(h.Flush(b.t.Context()))
	h.Release()
}

// fsync of a file that was written and closed before makes it durable.
func TestFsyncAfterClose(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ino := b.write(Root, "f", []byte("content"))
	if b.extents(ino).Synced {
		t.Fatal("durable without an fsync")
	}
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{})
	b.ok(err)
	defer h.Release()
	b.ok(h.Sync(t.Context()))
	if e := b.extents(ino); !e.Synced || !e.Loose.Empty() {
		t.Errorf("after an fsync the journal has %+v", e)
	}
}

// An fsync does not count on one that is still at work, nor for what was
// written since it began.
func TestFsyncWaitsForAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, h, err := b.Create(t.Context(), Root, "f", New{Mode: 0o600})
	b.ok(err)
	defer h.Release()
	b.put(h, []byte("first"), 0)
	h.f.turn.Lock() // an fsync is at work
	done := make(chan error)
	go func() { done <- h.Sync(context.Background()) }()
	b.ok(b.save(h.f, false))
	if b.extents(h.Ino()).Synced {
		t.Error("called durable while an fsync is at work")
	}
	h.f.turn.Unlock()
	b.ok(<-done)
	b.put(h, []byte("second"), 5)
	b.ok(b.save(h.f, false))
	if e := b.extents(h.Ino()); e.Synced || !e.Loose.Equal(extent.New(extent.Range{Off: 5, Len: 6})) {
		t.Errorf("the journal has %+v", e)
	}
}

// What was written over an object and never synced is gone after a power cut:
// the object shows, not zeros. What was synced stays, holes too.
func TestPowerCutTakesUnsyncedRanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	base := someBytes(3<<20, 1)
	b.mem.Set("p/f", base, nil)
	ino := b.lookup("f")
	b.change(ino, []byte("synced"), 100, true)
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	b.ok(h.Allocate(t.Context(), 8192, 4096, AllocatePunch))
	b.ok(h.Sync(t.Context()))
	b.ok(h.Flush(t.Context()))
	h.Release()
	b.change(ino, []byte("not synced"), 1<<20, false)
	b.change(ino, []byte("behind the end"), 4<<20, false)
	dir := b.saved()
	b.lose(dir, ino, extent.Range{Off: 1 << 20, Len: 8 << 20})
	want := bytes.Clone(base)
	copy(want[100:], "synced")
	clear(want[8192 : 8192+4096])
	after := b.reboot(dir)
	if got := after.read(Root, "f"); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, other than %d", len(got), len(want))
	}
	after.ok(after.drainSoon())
	after.noConflicts()
	after.noDamage()
	after.bucket(map[string]string{"p/f": string(want)})
}

// noDamage checks that nothing was taken for damaged by the disk, scrubbed or
// not.
func (b *bench) noDamage() {
	b.t.Helper()
	r, err := b.Verify(b.t.Context())
	b.ok(err)
	if again, lost := b.damage.counts(); again != 0 || lost != 0 || len(r.Problems) > 0 {
		b.t.Errorf("%d and %d bytes were taken for damaged: %+v", again, lost, r.Problems)
	}
}

// A data file that is older or newer than what the journal has of it, or
// shorter, is what some moment had, and not damaged.
func TestPowerCutTornIsNoDamage(t *testing.T) {
	first, second := someBytes(2<<20, 1), someBytes(2<<20, 2)
	cases := map[string]struct{ journal, data []byte }{
		"older":   {journal: second, data: first},
		"newer":   {journal: first, data: second},
		"shorter": {journal: first, data: first[:1<<20]},
	}
	for name, cut := range cases {
		for _, based := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in the bucket before %v", name, based), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				if based {
					b.mem.Set("p/f", someBytes(2<<20, 3), nil)
				} else {
					b.write(Root, "f", nil)
				}
				ino := b.lookup("f")
				b.change(ino, first, 0, true)
				if &cut.journal[0] == &second[0] {
					b.change(ino, second, 0, false)
				}
				if b.extents(ino).Sums == 0 {
					t.Fatal("no checksums to be wrong")
				}
				dir := b.saved()
				b.ok(os.WriteFile(b.dataIn(dir, ino), cut.data, 0o600))
				after := b.reboot(dir)
				want := string(cut.data)
				if based && len(cut.data) < len(first) {
					want = string(after.read(Root, "f")) // what lies below, or what was cut
				}
				if got := string(after.read(Root, "f")); got != want {
					t.Errorf("%d bytes, other than the %d that are there", len(got), len(want))
				}
				after.ok(after.drainSoon())
				after.noDamage()
				after.bucket(map[string]string{"p/f": want})
			})
		}
	}
}

// A write in place that has reached the bucket is not what the data file shows
// after a power cut.
func TestPowerCutAfterAnUpload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	base := someBytes(2<<20, 1)
	ino := b.write(Root, "f", base)
	b.drain()
	b.ok(b.syncAll())
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{})
	b.ok(err)
	b.ok(h.Sync(t.Context()))
	h.Release()
	old := b.saved()
	b.change(ino, []byte("newer"), 100, false)
	b.drain()
	dir := b.saved()
	durable, err := os.ReadFile(b.dataIn(old, ino))
	b.ok(err)
	b.ok(os.WriteFile(b.dataIn(dir, ino), durable, 0o600))
	want := bytes.Clone(base)
	copy(want[100:], "newer")
	after := b.reboot(dir)
	if got := after.read(Root, "f"); !bytes.Equal(got, want) {
		t.Error("an older content is taken for the object's")
	}
	after.noDamage()
}

// Clean bytes that were evicted just before a power cut are fetched again,
// though the journal still has them as present.
func TestPowerCutAfterAnEviction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	base := someBytes(2<<20, 1)
	b.mem.Set("p/f", base, nil)
	ino := b.lookup("f")
	b.read(Root, "f")
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{})
	b.ok(err)
	b.ok(h.Sync(t.Context()))
	h.Release()
	if e := b.extents(ino); !e.Synced || !e.Loose.Empty() {
		t.Fatalf("the journal has %+v", e)
	}
	dir := b.saved()
	b.ok(os.Remove(b.dataIn(dir, ino)))
	after := b.reboot(dir)
	if got := after.read(Root, "f"); !bytes.Equal(got, base) {
		t.Error("reads what was never there")
	}
	after.noDamage()
}

// An upload that a power cut made forgotten is ours: no conflict, and what is
// whole in the bucket is not replaced by what is left here.
func TestPowerCutForgetsAnUpload(t *testing.T) {
	for _, begun := range []bool{false, true} {
		t.Run(map[bool]string{false: "not begun", true: "begun"}[begun], func(t *testing.T) {
			t.Parallel()
			b, faults := newFaulty(t)
			base, data := someBytes(1<<20, 1), someBytes(2<<20, 2)
			b.mem.Set("p/g", base, nil)
			f, g := b.write(Root, "f", data), b.lookup("g")
			b.change(g, []byte("newer"), 100, false)
			dir := ""
			if !begun {
				dir = b.saved()
			}
			faults.Hook(func(_ context.Context, c remotetest.Call) error {
				if c.Op == "put" && slices.Contains(c.Keys, "p/g") && dir == "" {
					dir = b.saved()
				}
				return nil
			})
			b.ok(b.Drain(t.Context(), nil))
			b.ok(os.Truncate(b.dataIn(dir, f), 5000))
			b.lose(dir, f, extent.Range{Off: 0, Len: 4096})
			b.lose(dir, g, extent.Range{Off: 0, Len: 4096})
			copy(base[100:], "newer")
			after := b.reboot(dir)
			after.read(Root, "f") // whatever it is before it is compared
			after.ok(after.drainSoon())
			after.noConflicts()
			after.bucket(map[string]string{"p/f": string(data), "p/g": string(base)})
			for name, want := range map[string][]byte{"f": data, "g": base} {
				if got := after.read(Root, name); !bytes.Equal(got, want) {
					t.Errorf("%s reads %d bytes, other than the object's %d", name, len(got), len(want))
				}
			}
		})
	}
}

// After a power cut the journal may not know of a rename that the bucket has
// seen: what was listed before is listed again.
func TestPowerCutForgetsARename(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "a", []byte("a"))
	b.drain()
	b.listed(Root, "a")
	dir := b.saved()
	b.mv("a", "b")
	b.drain()
	after := b.reboot(dir)
	after.listed(Root, "b")
	if got := after.read(Root, "b"); string(got) != "a" {
		t.Errorf("b reads %q", got)
	}
}

// What was closed is durable once the cache is, with or without an fsync.
func TestCloseOfTheCacheIsDurable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ino := b.write(Root, "closed", []byte("closed"))
	_, h, err := b.Create(t.Context(), Root, "open", New{Mode: 0o600})
	b.ok(err)
	b.put(h, []byte("open"), 0)
	b.stopped(func() {})
	for name, ino := range map[string]Ino{"closed": ino, "open": h.Ino()} {
		if e := b.extents(ino); !e.Synced || !e.Loose.Empty() {
			t.Errorf("%s: the journal has %+v", name, e)
		}
		if got := b.read(Root, name); string(got) != name {
			t.Errorf("%s reads %q", name, got)
		}
	}
}

// A file that cannot be made durable does not keep others from it.
func TestOneSyncFails(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	b := newBench(t, func(c *Config) {
		c.diskFails = func(op diskOp) error {
			if op == diskSync && fails.Swap(false) {
				return unix.EIO
			}
			return nil
		}
	})
	b.write(Root, "a", []byte("a"))
	other := b.write(Root, "b", []byte("b"))
	fails.Store(true)
	b.is(b.syncAll(), unix.EIO)
	if e := b.extents(other); !e.Synced {
		t.Errorf("the journal has %+v", e)
	}
	saved := b.write(Root, "c", []byte("c"))
	b.mv("c", "b")
	fails.Store(true)
	b.ok(b.SyncDir(t.Context(), Root))
	b.ok(b.SyncDir(t.Context(), Root))
	if e := b.extents(saved); !e.Synced {
		t.Errorf("it is not tried again: the journal has %+v", e)
	}
}

// What a kill left in the kernel's memory is not called durable because an
// earlier content was: an fsync after the kill makes it so.
func TestFsyncAfterAKill(t *testing.T) {
	t.Parallel()
	for _, based := range []bool{false, true} {
		t.Run(fmt.Sprintf("in the bucket before %v", based), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ino := b.write(Root, "f", someBytes(3<<20-50, 1))
			if based {
				b.drain()
			}
			h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
			b.ok(err)
			defer h.Release()
			b.put(h, []byte("durable"), 0)
			b.ok(h.Sync(t.Context()))
			b.put(h, []byte("not durable"), 100)
			b.put(h, []byte("nor this"), 3<<20-50)
			after := b.crash()
			want := someBytes(3<<20-50, 1)
			copy(want, "durable")
			copy(want[100:], "not durable")
			if got := after.read(Root, "f"); string(got) != string(want)+"nor this" {
				t.Fatalf("%d bytes, other than what was written", len(got))
			}
			if e := after.extents(ino); e.Synced || based && !e.Loose.Overlaps(3<<20-50, 1) {
				t.Errorf("after the kill the journal has %+v", e)
			}
			again, err := after.Cache.Open(t.Context(), ino, OpenMode{})
			b.ok(err)
			defer again.Release()
			b.ok(again.Sync(t.Context()))
			if e := after.extents(ino); !e.Synced || !e.Loose.Empty() {
				t.Errorf("after an fsync the journal has %+v", e)
			}
		})
	}
}
