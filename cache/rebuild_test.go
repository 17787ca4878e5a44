package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

// withoutIndex removes the whole journal while nothing runs.
func (b *bench) withoutIndex() {
	b.t.Helper()
	b.stopped(func() { b.ok(os.RemoveAll(filepath.Join(b.cfg.Dir, "db"))) })
}

// A cache whose index was removed sends what it had, whether it was synced or
// only closed, and gives no number twice.
func TestIndexRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	big := someBytes(9<<20, 3)
	b.mem.Set("p/d/big", big, nil)
	b.mem.Set("p/clean", []byte("clean"), nil)
	d := b.lookup("d")
	h, err := b.Cache.Open(ctx, b.lookup("d", "big"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 8<<20)
	b.ok(h.Sync(ctx))
	h.Release()
	copy(big[8<<20:], "patched")
	b.write(d, "closed", []byte("closed"))
	b.read(Root, "clean")
	highest := b.write(Root, "last", []byte("last"))
	dir := t.TempDir()
	b.copyTo(dir)
	b.ok(os.RemoveAll(filepath.Join(dir, "db")))
	killed := newBench(t, func(c *Config) { *c = b.cfg; c.Dir = dir }).on(b.mem)
	if ino := killed.write(Root, "new", []byte("new")); ino <= highest {
		t.Errorf("number %d is given again", ino)
	}
	killed.withoutIndex()
	killed.ok(killed.drainSoon())
	killed.noConflicts()
	killed.bucket(map[string]string{"p/d/big": string(big), "p/d/closed": "closed", "p/clean": "clean", "p/last": "last", "p/new": "new"})
	if got := killed.read(Root, "clean"); string(got) != "clean" {
		t.Errorf("reads %q", got)
	}
}

// The unsent files of a bucket are not sent to another one because the index
// that says whose they are is gone.
func TestIndexRemovedAndAnotherBucket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "f", []byte("f"))
	b.ok(b.Cache.Close())
	b.ok(os.RemoveAll(filepath.Join(b.cfg.Dir, "db")))
	other := b.cfg
	other.Bucket = "other"
	_, err := Open(context.Background(), other)
	if wrong := new(journal.OtherBucketError); !errors.As(err, &wrong) {
		t.Errorf("open: %v", err)
	}
	b.open()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "f"})
}

// A rebuild that a kill ended is begun again.
func TestInterruptedRebuild(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "a", []byte("a"))
	b.ok(b.Cache.Close())
	b.ok(os.RemoveAll(filepath.Join(b.cfg.Dir, "db")))
	b.ok(os.WriteFile(filepath.Join(b.cfg.Dir, rebuildMark), nil, 0o600))
	b.ok(journal.Forget(filepath.Join(b.cfg.Dir, "db")))
	db, _, err := journal.Open(journal.Options{Dir: filepath.Join(b.cfg.Dir, "db"), Identity: journal.Identity{Endpoint: "memory", Bucket: "bucket", Prefix: "p/"}})
	b.ok(err)
	b.ok(db.Close())
	b.open()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/a": "a"})
	b.reopen()
	if left, _ := filepath.Glob(filepath.Join(b.cfg.Dir, "db.damaged-*")); len(left) != 1 {
		t.Errorf("put aside: %q", left)
	}
}

// A sidecar that makes no sense costs no other file its way to the bucket, and
// its own data file stays.
func TestRebuildWithABadSidecar(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "good", []byte("good"))
	bad := b.write(Root, "bad", []byte("bad"))
	b.stopped(func() {
		b.ok(os.RemoveAll(filepath.Join(b.cfg.Dir, "db")))
		name := b.dataPath(bad) + sidecarSuffix
		text, err := os.ReadFile(name)
		b.ok(err)
		b.ok(os.WriteFile(name, bytes.ReplaceAll(text, []byte(`"p/"`), []byte(`"q/"`)), 0o600))
	})
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/good": "good"})
	b.reopen()
	if body, err := os.ReadFile(filepath.Join(b.cfg.Dir, strayDir, filepath.Base(b.dataPath(bad)))); err != nil || string(body) != "bad" {
		t.Errorf("the data file holds %q, %v", body, err)
	}
}

// withoutItsIndex returns a bench on a copy of the cache's directory as it is
// now, all but the journal. The first one must not be used any more.
func (b *bench) withoutItsIndex(edit ...func(*Config)) *bench {
	b.t.Helper()
	return b.crash(append(edit, func(c *Config) { b.ok(os.RemoveAll(filepath.Join(c.Dir, "db"))) })...)
}

// What an fsync said of a file counts more than what its close, or the end of
// its upload, had said before.
func TestIndexRemovedAfterAnFsync(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"closed", "sent"} {
		t.Run(before, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			base := string(someBytes(9<<20, 1))
			b.mem.Set("p/f", []byte(base), nil)
			ino := b.lookup("f")
			b.change(ino, []byte("first"), 0, false)
			if before == "sent" {
				b.drain()
			}
			h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
			b.ok(err)
			defer h.Release()
			b.put(h, []byte("second"), 8<<20)
			b.ok(h.Sync(t.Context()))
			after := b.withoutItsIndex()
			after.ok(after.drainSoon())
			after.noConflicts()
			after.bucket(map[string]string{"p/f": "first" + base[5:8<<20] + "second" + base[8<<20+6:]})
		})
	}
}

// A data file that is gone or cut, with the index, is no shorter file.
func TestIndexRemovedAndDataFileCut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/old", someBytes(3<<20, 1), nil)
	inos := map[string]Ino{"old": b.lookup("old")}
	b.change(inos["old"], someBytes(2<<20, 2), 1<<20, true)
	for _, name := range []string{"cut", "gone"} {
		inos[name] = b.write(Root, name, nil)
		b.change(inos[name], someBytes(3<<20, 3), 0, true)
	}
	before := map[string]string{}
	for _, key := range b.mem.Keys() {
		body, _ := b.mem.Body(key)
		before[key] = string(body)
	}
	after := b.withoutItsIndex(func(c *Config) {
		b.ok(os.Truncate(b.dataIn(c.Dir, inos["old"]), 2<<20))
		b.ok(os.Truncate(b.dataIn(c.Dir, inos["cut"]), 2<<20))
		b.ok(os.Remove(b.dataIn(c.Dir, inos["gone"])))
	})
	after.refusedAsDamaged()
	after.bucket(before)
	for name := range inos {
		_, err := after.readAt(after.lookup(name), 2<<20, 1)
		after.is(err, ErrDamaged)
	}
}

// What a program cut, with nothing closed since, is not taken for damage.
func TestIndexRemovedAfterATruncate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(3<<20, 1)
	ino := b.write(Root, "f", data)
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	b.ok(h.Sync(t.Context()))
	b.ok(h.truncate(t.Context(), 1<<20))
	after := b.withoutItsIndex()
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/f": string(data[:1<<20])})
}
