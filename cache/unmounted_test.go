package cache

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// offline runs fn on the cache's directory as a verb of the command line has
// it.
func (b *bench) unmounted(fn func(o *Unmounted)) {
	b.t.Helper()
	o, err := OpenUnmounted(b.t.Context(), b.cfg.Dir, b.cfg.Log)
	b.ok(err)
	fn(o)
	b.ok(o.Close())
}

// filled is a bench with a clean, an edited and a new file, each of 3 MiB.
func filled(t *testing.T) (b *bench, clean, edited []byte) {
	b = newBench(t)
	clean, edited = someBytes(3<<20, 1), someBytes(12<<20, 2)
	b.mem.Set("p/clean", clean, nil)
	b.mem.Set("p/d/edited", edited, nil)
	b.read(Root, "clean")
	h, err := b.Cache.Open(t.Context(), b.lookup("d", "edited"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 11<<20)
	b.ok(h.Flush(t.Context()))
	h.Release()
	copy(edited[11<<20:], "patched")
	b.write(Root, "new", clean)
	return b, clean, edited
}

// What a verb does on a cache that is not mounted leaves the next mount as it
// would have been: after a kill it still is one after a kill.
func TestUnmountedLeavesTheMarks(t *testing.T) {
	t.Parallel()
	b, clean, edited := filled(t)
	dir := t.TempDir()
	b.copyTo(dir)
	killed := &bench{t: t, mem: b.mem, cfg: b.cfg}
	killed.cfg.Dir = dir
	killed.unmounted(func(o *Unmounted) {
		i, err := o.Info()
		b.ok(err)
		if i.Bucket != "bucket" || i.Prefix != "p/" || i.Unsent != 2 || len(i.Work) != 2 || i.Dirty != 3<<20+7 || i.Clean < 3<<20 || i.Bytes < 6<<20 {
			t.Errorf("info %+v", i)
		}
		r, err := o.Verify(t.Context(), false)
		b.ok(err)
		if len(r.Problems) > 0 || r.Files != 3 || r.Checked < 6<<20 {
			t.Errorf("report %+v", r)
		}
		_, err = OpenUnmounted(t.Context(), dir, b.cfg.Log)
		if busy := new(BusyError); !errors.As(err, &busy) || busy.Pid != os.Getpid() {
			t.Errorf("a second one: %v", err)
		}
	})
	killed.open()
	defer func() { b.ok(killed.Cache.Close()) }()
	if !killed.crashed {
		t.Error("the kill was forgotten")
	}
	killed.ok(killed.drainSoon())
	killed.bucket(map[string]string{"p/clean": string(clean), "p/d/edited": string(edited), "p/new": string(clean)})
}

// Verify finds what is damaged, changes nothing unless it is told to, and never
// what is only here.
func TestUnmountedVerify(t *testing.T) {
	t.Parallel()
	b, clean, _ := filled(t)
	inClean, dirty := b.lookup("clean"), b.lookup("new")
	b.stopped(func() {
		b.flip(inClean, 1<<20)
		b.flip(dirty, 2<<20)
		for _, repair := range []bool{false, true, true} {
			b.unmounted(func(o *Unmounted) {
				r, err := o.Verify(t.Context(), repair)
				b.ok(err)
				var bad, only, mended int
				for _, p := range r.Problems {
					bad++
					if p.Only {
						only++
					}
					if p.Mended {
						mended++
					}
				}
				t.Logf("repair %v: %+v", repair, r)
				want := [3]int{2, 1, 0}
				switch {
				case repair && r.Repaired > 0:
					want = [3]int{2, 1, 1}
				case repair:
					want = [3]int{1, 1, 0}
				}
				if [3]int{bad, only, mended} != want {
					t.Errorf("repair %v: %+v", repair, r)
				}
			})
		}
	})
	if got := b.read(Root, "clean"); !bytes.Equal(got, clean) {
		t.Error("clean reads other bytes")
	}
	b.refusedAsDamaged()
}

// Prune gives up what is in the bucket, with a daemon or without, and nothing
// else.
func TestPrune(t *testing.T) {
	t.Parallel()
	b, clean, edited := filled(t)
	b.stopped(func() {
		b.unmounted(func(o *Unmounted) {
			freed, err := o.Prune(t.Context())
			if err != nil || freed < 3<<20 {
				t.Errorf("freed %d, %v", freed, err)
			}
		})
	})
	b.mem.ResetCounts()
	if got := b.read(Root, "clean"); !bytes.Equal(got, clean) || b.mem.Counts()["get"] == 0 {
		t.Errorf("right %v, %d gets", bytes.Equal(got, clean), b.mem.Counts()["get"])
	}
	b.until("the close of every file", b.unused)
	freed, err := b.Prune(t.Context())
	if err != nil || freed < 3<<20 {
		t.Errorf("freed %d, %v", freed, err)
	}
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/clean": string(clean), "p/d/edited": string(edited), "p/new": string(clean)})
}

// Unsent files can be copied out, also when the index is gone; what is not all
// here, or damaged, says so by its name.
func TestRecoverAndCopyOut(t *testing.T) {
	t.Parallel()
	b, clean, edited := filled(t)
	bad := b.write(Root, "bad", clean)
	b.stopped(func() {
		b.flip(bad, 5)
		r, err := Recover(t.Context(), b.cfg.Dir, b.cfg.Log)
		if err != nil || r.Rebuilt {
			t.Errorf("a good index: %+v, %v", r, err)
		}
		for _, how := range []string{"whole", "gone", "damaged"} {
			switch how {
			case "gone":
				b.ok(os.RemoveAll(filepath.Join(b.cfg.Dir, "db")))
			case "damaged":
				b.ok(os.WriteFile(filepath.Join(b.cfg.Dir, "db", "MANIFEST"), []byte("none"), 0o600))
			}
			if how != "whole" {
				if _, err := OpenUnmounted(t.Context(), b.cfg.Dir, b.cfg.Log); !errors.Is(err, ErrNeedsRecover) {
					t.Errorf("%s: %v", how, err)
				}
				r, err := Recover(t.Context(), b.cfg.Dir, b.cfg.Log)
				if err != nil || !r.Rebuilt {
					t.Fatalf("%s: %+v, %v", how, r, err)
				}
			}
			to := t.TempDir()
			b.unmounted(func(o *Unmounted) {
				all, err := o.CopyUnsent(t.Context(), to)
				b.ok(err)
				if len(all) != 3 {
					t.Errorf("%s: copied %+v", how, all)
				}
			})
			if got, err := os.ReadFile(filepath.Join(to, "new")); err != nil || !bytes.Equal(got, clean) {
				t.Errorf("%s: new: %d bytes, %v", how, len(got), err)
			}
			if got, err := os.ReadFile(filepath.Join(to, "d/edited.partial")); err != nil || len(got) != len(edited) || string(got[11<<20:11<<20+7]) != "patched" {
				t.Errorf("%s: edited: %d bytes, %v", how, len(got), err)
			}
			if got, err := os.ReadFile(filepath.Join(to, "bad.damaged")); err != nil || len(got) != len(clean) {
				t.Errorf("%s: bad: %d bytes, %v", how, len(got), err)
			}
		}
	})
	b.refusedAsDamaged()
	if got, _ := b.mem.Body("p/d/edited"); !bytes.Equal(got, edited) {
		t.Error("edited: other bytes in the bucket")
	}
	if _, err := Recover(t.Context(), t.TempDir(), slog.Default()); err == nil {
		t.Error("any directory is taken for a cache")
	}
}
