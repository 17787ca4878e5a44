package cache

import (
	"bytes"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// versioned has a bucket that keeps old versions.
func versioned(mem **remotetest.Memory) func(*Config) {
	return func(c *Config) {
		*mem = remotetest.NewMemory(remotetest.Settings{Versioned: true})
		c.Remote = *mem
	}
}

// That an old version can still be read does not make it the one that an open
// shows: it was replaced.
func TestOpenShowsNoOldVersion(t *testing.T) {
	t.Parallel()
	var mem *remotetest.Memory
	b := newBench(t, versioned(&mem), func(c *Config) { c.AttrTTL = 0 })
	ctx := t.Context()
	mem.Set("p/f", []byte("old"), nil)
	ino := b.lookup("f") // which learns the version's id
	mem.Set("p/f", []byte("newer"), nil)
	if h, err := b.Cache.Open(ctx, ino, OpenMode{}); err == nil {
		p := make([]byte, 5)
		n, err := h.ReadAt(ctx, p, 0)
		h.Release()
		t.Fatalf("opened; reads %q, error %v", p[:n], err)
	} else {
		b.is(err, ErrStale)
	}
	if got := b.read(Root, "f"); string(got) != "newer" {
		t.Errorf("reads %q", got)
	}
}

// A reader who needs the old version goes on; whoever opens the name afterwards
// sees what is there, however fresh the old one seems.
func TestOldVersionIsForWhoHasItOpen(t *testing.T) {
	t.Parallel()
	var mem *remotetest.Memory
	b := newBench(t, versioned(&mem))
	ctx := t.Context()
	mem.Set("p/f", []byte("old"), nil)
	ino := b.lookup("f")
	h, err := b.Cache.Open(ctx, ino, OpenMode{})
	b.ok(err)
	defer h.Release()
	mem.Set("p/f", []byte("newer"), nil)
	p := make([]byte, 3)
	_, err = h.ReadAt(ctx, p, 0)
	b.ok(err)
	if string(p) != "old" {
		t.Errorf("the open file reads %q", p)
	}
	_, err = b.Cache.Open(ctx, ino, OpenMode{})
	b.is(err, ErrStale)
	if got := b.read(Root, "f"); string(got) != "newer" {
		t.Errorf("reads %q", got)
	}
}

// An old version can be read by who has it open, and be the base of an edit, also
// where only a listing was seen of it, which tells no version ids.
func TestOldVersionOfAListedFile(t *testing.T) {
	t.Parallel()
	var mem *remotetest.Memory
	b := newBench(t, versioned(&mem), func(c *Config) { c.Attrs = AttrsList })
	ctx := t.Context()
	old, edited := someBytes(6<<20, 1), someBytes(6<<20, 1)
	mem.Set("p/f", old, nil)
	mem.Set("p/g", old, nil)
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{})
	b.ok(err)
	defer h.Release()
	w, err := b.Cache.Open(ctx, b.lookup("g"), OpenMode{Write: true})
	b.ok(err)
	b.put(w, []byte("edit"), 5<<20)
	copy(edited[5<<20:], "edit")
	b.ok(w.Flush(ctx))
	w.Release()
	mem.Set("p/f", []byte("newer"), nil)
	mem.Set("p/g", []byte("theirs"), nil)
	p := make([]byte, 1000)
	_, err = h.ReadAt(ctx, p, 5<<20)
	b.ok(err)
	if !bytes.Equal(p, old[5<<20:][:1000]) {
		t.Error("reads something else")
	}
	b.ok(b.drainSoon())
	x := b.Status().Conflicts
	if len(x) != 1 {
		t.Fatalf("conflicts %+v", x)
	}
	if got, _ := mem.Body(x[0].Parked); !bytes.Equal(got, edited) {
		t.Errorf("the edit has %d bytes, or others", len(got))
	}
}
