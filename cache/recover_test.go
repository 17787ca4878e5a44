package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// crash returns a bench on a copy of the cache's directory as it is now, as a
// kill of the daemon leaves it. The first one must not be used any more.
func (b *bench) crash(edit ...func(*Config)) *bench {
	b.t.Helper()
	to, before := "", "nothing"
	for now := b.journalFiles(); now != before; now = b.journalFiles() { // badger may be tidying up
		to, before = b.t.TempDir(), now
		b.copyTo(to)
	}
	return newBench(b.t, append([]func(*Config){func(c *Config) {
		*c = b.cfg
		c.Dir = to
	}}, edit...)...).on(b.mem)
}

// journalFiles names the files of the journal with their sizes.
func (b *bench) journalFiles() string {
	b.t.Helper()
	all, err := os.ReadDir(filepath.Join(b.cfg.Dir, "db"))
	b.ok(err)
	var list strings.Builder
	for _, e := range all {
		if st, err := e.Info(); err == nil {
			fmt.Fprintln(&list, e.Name(), st.Size(), st.ModTime())
		}
	}
	return list.String()
}

// copyTo copies the cache's directory. What vanishes meanwhile is left out. The
// mark of the journal's end comes first: one of a later moment would say that
// changes are missing.
func (b *bench) copyTo(to string) {
	b.t.Helper()
	const mark = "journal.end"
	b.ok(copySparse(filepath.Join(to, mark), filepath.Join(b.cfg.Dir, mark)))
	b.ok(filepath.WalkDir(b.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.cfg.Dir, path)
		if err != nil || rel == "ballast" || rel == mark {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if err = copySparse(filepath.Join(to, rel), path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}))
}

// on names the bucket that an edited configuration uses.
func (b *bench) on(mem *remotetest.Memory) *bench {
	b.mem = mem
	return b
}

// copySparse copies a file without the zeros of its holes.
func copySparse(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	const block = 4096
	zeros := make([]byte, block)
	for off := 0; off < len(data); off += block {
		piece := data[off:min(off+block, len(data))]
		if bytes.Equal(piece, zeros[:len(piece)]) {
			continue
		}
		if _, err := f.WriteAt(piece, int64(off)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(data)))
}

// A truncated file that nobody closed is empty after a kill, or as it was;
// never zeros of the old length.
func TestKillAfterTruncate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(3<<20, 1)
	ino := b.write(Root, "f", data)
	b.drain()
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true, Truncate: true})
	b.ok(err)
	defer h.Release()
	after := b.crash()
	got := after.read(Root, "f")
	if len(got) != 0 && !bytes.Equal(got, data) {
		t.Errorf("reads %d bytes that were never in the file", len(got))
	}
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/f": string(got)})
}

// The same with the first bytes of the new content written.
func TestKillWhileRewriting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data, next := someBytes(6<<20, 1), someBytes(3<<20, 2)
	ino := b.write(Root, "f", data)
	b.drain()
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true, Truncate: true})
	b.ok(err)
	defer h.Release()
	b.put(h, next, 0)
	after := b.crash()
	got := after.read(Root, "f")
	if !bytes.Equal(got, data) && !bytes.HasPrefix(next, got) {
		t.Errorf("reads %d bytes that were never in the file", len(got))
	}
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/f": string(got)})
}

// A deletion that may have been under way at a crash keeps its condition: what
// somebody else put there meanwhile stays.
func TestKillDuringADeletion(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/f", []byte("ours"), nil)
	b.ok(b.Unlink(t.Context(), Root, b.names(Root)[0]))
	started, gone := make(chan struct{}), make(chan struct{})
	faults.Hook(func(ctx context.Context, c remotetest.Call) error {
		if c.Op != "delete" {
			return nil
		}
		close(started)
		<-gone
		return ctx.Err()
	})
	b.queue.waitFor([]string{"p/f"})
	<-started
	after := b.crash(func(c *Config) { c.Remote = b.mem })
	b.stop()
	close(gone)
	b.mem.Set("p/f", []byte("theirs"), nil)
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/f": "theirs"})
}

// Without the journal every closed dirty file is found by its sidecar.
func TestLostJournalIsRebuilt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	big := someBytes(9<<20, 3)
	b.mem.Set("p/d/big", big, nil)
	d := b.lookup("d")
	h, err := b.Cache.Open(t.Context(), b.lookup("d", "big"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 8<<20)
	b.ok(h.Flush(t.Context()))
	h.Release()
	copy(big[8<<20:], "patched")
	b.write(d, "new", []byte("new"))
	b.write(Root, "%=..", []byte("odd"))
	b.ok(b.syncAll())
	after := b.crash(func(c *Config) {
		files, err := filepath.Glob(filepath.Join(c.Dir, "db", "*"))
		b.ok(err)
		for _, f := range files {
			if strings.HasSuffix(f, ".mem") || strings.HasSuffix(f, ".sst") || strings.HasSuffix(f, "MANIFEST") {
				b.ok(os.WriteFile(f, []byte("no journal at all"), 0o600))
			}
		}
	})
	after.ok(after.drainSoon())
	after.noConflicts()
	after.bucket(map[string]string{"p/d/big": string(big), "p/d/new": "new", "p/..": "odd"})
}

// A vanished directory is removed piece by piece; what is made below it
// meanwhile is refused or kept, not taken away again.
func TestCreateBelowAVanishedDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.ListTTL, c.NegativeTTL = 0, 0 })
	b.mem.Set("p/d/sub/x", []byte("x"), nil)
	b.mem.Set("p/keep", []byte("k"), nil)
	c, err := Open(context.Background(), func() Config { cfg := b.cfg; cfg.Dir = t.TempDir(); return cfg }())
	b.ok(err)
	defer func() { b.ok(c.Close()) }()
	quiet := &bench{Cache: c, t: t, mem: b.mem, cfg: c.cfg} // not started: reaps when told to
	sub := quiet.lookup("d", "sub")
	d := quiet.lookup("d")
	quiet.listed(sub, "x")
	b.mem.Remove("p/d/sub/x")
	quiet.listed(Root, "keep")
	_, h, err := c.Create(t.Context(), sub, "new", New{Mode: 0o600})
	if err != nil {
		return
	}
	quiet.put(h, []byte("new"), 0)
	quiet.ok(h.Flush(t.Context()))
	h.Release()
	quiet.ok(c.reap(d))
	for _, dir := range c.reaps {
		quiet.ok(c.reap(dir))
	}
	go c.queue.run()
	quiet.ok(quiet.drainSoon())
	quiet.bucket(map[string]string{"p/keep": "k", "p/d/sub/new": "new"})
}

// When the journal is lost before a sidecar was written the bytes are still
// somewhere in the cache's directory.
func TestLostJournalDeletesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := someBytes(100<<10, 7)
	b.write(Root, "f", data)
	after := b.crash(func(c *Config) {
		b.ok(os.WriteFile(filepath.Join(c.Dir, "db", "MANIFEST"), []byte("none"), 0o600))
	})
	found := false
	b.ok(filepath.WalkDir(after.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var body []byte
			body, err = os.ReadFile(path)
			found = found || bytes.Equal(body, data)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the cache is open and at work
		}
		return err
	}))
	if !found {
		t.Error("the only copy of a closed file was removed")
	}
}

// An upload in parts goes on after a kill with the parts that are there.
func TestKillDuringAnUploadInParts(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	data := someBytes(23<<20, 8)
	b.write(Root, "f", data)
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.Midway})
	b.attempt("p/f")
	b.stop() // this one sends no more
	b.queue.wait()
	b.mem.ResetCounts()
	after := b.crash()
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/f": string(data)})
	if n := b.mem.Counts()["part"]; n != 4 {
		t.Errorf("%d parts", n)
	}
}

// A file that was unlinked while it was open is gone after a kill, here and in
// the bucket.
func TestKillWithAnUnlinkedOpenFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/big", someBytes(9<<20, 9), nil)
	h, err := b.Cache.Open(ctx, b.lookup("big"), OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	_, n, err := b.Create(ctx, Root, "new", New{Mode: 0o600})
	b.ok(err)
	defer n.Release()
	b.put(n, []byte("new"), 0)
	b.put(h, []byte("patched"), 8<<20)
	b.ok(b.Unlink(ctx, Root, "big"))
	b.ok(b.Unlink(ctx, Root, "new"))
	b.ok(b.drainSoon())
	after := b.crash()
	after.listed(Root)
	after.ok(after.drainSoon())
	after.bucket(map[string]string{})
	if used := after.Status().CacheBytes; used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// What was written and synced, or only written, to an open new file survives a
// kill.
func TestKillWithOpenFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	base := someBytes(9<<20, 10)
	b.mem.Set("p/old", base, nil)
	_, n, err := b.Create(ctx, Root, "new", New{Mode: 0o600})
	b.ok(err)
	defer n.Release()
	b.put(n, []byte("written"), 0)
	h, err := b.Cache.Open(ctx, b.lookup("old"), OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	b.put(h, []byte("synced"), 9<<20)
	b.put(h, []byte("synced"), 5<<20)
	b.ok(h.Sync(ctx))
	b.put(h, []byte("after"), 2<<20)
	after := b.crash()
	want := append(bytes.Clone(base), "synced"...)
	copy(want[5<<20:], "synced")
	got := after.read(Root, "old")
	if len(got) == len(want) && string(got[2<<20:2<<20+5]) == "after" {
		copy(want[2<<20:], "after")
	}
	if !bytes.Equal(got, want) {
		t.Errorf("old: %d bytes that were never in the file, want %d", len(got), len(want))
	}
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/new": "written", "p/old": string(want)})
}
