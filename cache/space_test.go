package cache

import (
	"bytes"
	"testing"
)

// Reading goes on being cached when the cache is full of clean data.
func TestFullCacheMakesRoomForReaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 10 << 20 })
	one, two := randomBytes(8<<20, 1), randomBytes(8<<20, 2)
	b.mem.Set("p/one", one, nil)
	b.mem.Set("p/two", two, nil)
	if got := b.read(Root, "one"); !bytes.Equal(got, one) {
		t.Fatal("other bytes")
	}
	b.mem.ResetCounts()
	if got := b.read(Root, "two"); !bytes.Equal(got, two) {
		t.Fatal("other bytes")
	}
	if n := b.mem.Counts()["get"]; n > 20 {
		t.Errorf("%d gets for 8 MiB", n)
	}
}

// An exchange of files that are only in the bucket needs room for one of them,
// which clean data must give.
func TestExchangeWithAFullCache(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 10 << 20 })
	one := randomBytes(8<<20, 1)
	a, z := randomBytes(3<<20, 2), randomBytes(3<<20, 3)
	b.mem.Set("p/one", one, nil)
	b.mem.Set("p/a", a, nil)
	b.mem.Set("p/b", z, nil)
	b.read(Root, "one")
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b", Exchange: true}))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/one": string(one), "p/a": string(z), "p/b": string(a)})
}

// The object of an unlinked open file goes only when its bytes are here: clean
// data of others makes room for them.
func TestUnlinkedOpenFileWithAFullCache(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 10 << 20 })
	data := randomBytes(3<<20, 2)
	b.mem.Set("p/one", randomBytes(8<<20, 1), nil)
	b.mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{})
	b.ok(err)
	defer h.Release()
	b.read(Root, "one")
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.write(Root, "f", []byte("another"))
	b.ok(b.drainSoon())
	p := make([]byte, 1000)
	_, err = h.ReadAt(t.Context(), p, 2<<20)
	b.ok(err)
	if !bytes.Equal(p, data[2<<20:2<<20+1000]) {
		t.Error("other bytes")
	}
}

// A file larger than the cache can be read; one cannot be written.
func TestFileLargerThanTheCache(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 8 << 20 })
	data := randomBytes(24<<20, 1)
	b.mem.Set("p/big", data, nil)
	if got := b.read(Root, "big"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
	if used := b.Status().CacheBytes; used > 9<<20 {
		t.Errorf("%d bytes cached", used)
	}
	_, h, err := b.Create(t.Context(), Root, "new", New{Mode: 0o600})
	b.ok(err)
	defer h.Release()
	for off := int64(0); err == nil && off < 24<<20; off += 1 << 20 {
		_, err = h.WriteAt(t.Context(), data[:1<<20], off)
	}
	b.is(err, ErrNoSpace)
}

// A writer is slowed to the speed of the uploads, and loses nothing.
func TestWritersWaitForUploads(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 6 << 20 })
	want := map[string]string{}
	for i := range uint64(8) {
		name := string(rune('a' + i))
		data := randomBytes(2<<20, i)
		b.write(Root, name, data)
		want["p/"+name] = string(data)
	}
	b.ok(b.drainSoon())
	b.bucket(want)
	for key, data := range want {
		if got := b.read(Root, key[2:]); string(got) != data {
			t.Errorf("%s reads other bytes", key)
		}
	}
}

// Evicting what is clean of a file with changes keeps the changes.
func TestPunchedDirtyFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := randomBytes(20<<20, 5)
	ino := b.write(Root, "f", data)
	b.drain()
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 15<<20)
	copy(data[15<<20:], "patched")
	b.ok(h.Flush(t.Context()))
	b.drain()
	b.put(h, []byte("again"), 3<<20)
	copy(data[3<<20:], "again")
	if !b.punchOpen(1 << 30) {
		b.until("the flush", func() bool { b.drain(); return b.punchOpen(1 << 30) })
	}
	b.ok(h.Flush(t.Context()))
	h.Release()
	b.reopen()
	if got := b.read(Root, "f"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
	b.drain()
	b.bucket(map[string]string{"p/f": string(data)})
}
