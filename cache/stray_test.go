package cache

import (
	"os"
	"path/filepath"
	"testing"
)

// A file whose fsync a power cut met before the journal knew of it is put aside,
// once, and said where.
func TestPowerCutWithinAnFsync(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "known", []byte("known"))
	dir := b.saved()
	_, h, err := b.Create(t.Context(), Root, "new", New{Mode: 0o600})
	b.ok(err)
	b.put(h, []byte("not acknowledged"), 0)
	b.ok(b.syncFile(h.f)) // the journal is not synced yet
	h.Release()
	data := b.dataIn(dir, h.Ino())
	b.ok(os.MkdirAll(filepath.Dir(data), 0o700))
	for _, suffix := range []string{"", sidecarSuffix} {
		b.ok(copySparse(data+suffix, b.dataPath(h.Ino())+suffix))
	}
	after := b.reboot(dir)
	for range 2 {
		after.listed(Root, "known")
		if _, err := os.Lstat(data); err == nil {
			t.Error("still among those that the journal knows")
		}
		r, err := after.Verify(t.Context())
		b.ok(err)
		if len(r.Problems) != 1 || !r.Problems[0].Unknown {
			t.Fatalf("report %+v", r)
		}
		if got, err := os.ReadFile(r.Problems[0].File); err != nil || string(got) != "not acknowledged" {
			t.Errorf("put aside: %q, %v", got, err)
		}
		after.reopen()
	}
	after.ok(after.drainSoon())
	after.bucket(map[string]string{"p/known": "known"})
	r, err := after.Verify(t.Context())
	if b.ok(err); len(r.Problems) != 1 {
		t.Errorf("report %+v", r)
	}
}

// What was removed just before a kill is not taken for something that was lost.
func TestKillAfterARemoval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ino := b.write(Root, "f", []byte("f"))
	b.ok(b.syncAll())
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{})
	b.ok(err)
	b.ok(b.Unlink(t.Context(), Root, "f"))
	h.Release()
	dir := b.saved()
	if _, err := os.Lstat(b.dataIn(dir, ino)); err != nil {
		t.Skip("the data file was removed before the kill")
	}
	after := newBench(t, func(c *Config) { *c = b.cfg; c.Dir = dir }).on(b.mem)
	r, err := after.Verify(t.Context())
	if b.ok(err); len(r.Problems) > 0 {
		t.Errorf("report %+v", r)
	}
	if _, err := os.Lstat(b.dataIn(dir, ino)); err == nil {
		t.Error("the data file stays")
	}
}

// A sidecar that a kill left of a file that had just been sent is removed.
func TestKillAfterAnUpload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ino := b.write(Root, "f", []byte("f"))
	b.ok(b.syncAll())
	said, err := os.ReadFile(b.dataPath(ino) + sidecarSuffix)
	b.ok(err)
	b.drain()
	after := b.crash(func(c *Config) { b.ok(os.WriteFile(b.dataIn(c.Dir, ino)+sidecarSuffix, said, 0o600)) })
	if _, err := os.Lstat(after.dataPath(ino) + sidecarSuffix); err == nil {
		t.Error("the sidecar stays")
	}
	if got := after.read(Root, "f"); string(got) != "f" {
		t.Errorf("reads %q", got)
	}
}
