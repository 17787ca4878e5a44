package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func randomBytes(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestWriteReachesTheBucketOnce(t *testing.T) {
	b := newBench(t)
	b.write(Root, "a.txt", []byte("hello"))
	if n := len(b.mem.Keys()); n != 0 {
		t.Fatalf("%d keys before anybody asked", n)
	}
	b.drain()
	b.bucket(map[string]string{"p/a.txt": "hello"})
	o, err := b.mem.Head(t.Context(), "p/a.txt")
	b.ok(err)
	if o.Meta["file-permissions"] != "0100600" || o.Meta["file-owner"] != "7" || o.Headers.ContentType != "text/plain" {
		t.Errorf("metadata %v, content type %q", o.Meta, o.Headers.ContentType)
	}
	if n := b.mem.Counts()["put"]; n != 1 {
		t.Errorf("%d puts: %v", n, b.mem.Counts())
	}
}

func TestBucketIsReadableAndKept(t *testing.T) {
	b := newBench(t)
	big := randomBytes(9<<20+17, 1)
	b.mem.Set("p/dir/big", big, nil)
	b.mem.Set("p/dir/small", []byte("s"), map[string]string{"mtime": "1500000000.25", "mode": "33188"})
	b.mem.Set("other", []byte("outside"), nil)
	b.listed(Root, "dir")
	dir := b.lookup("dir")
	b.listed(dir, "big", "small")
	if got := b.read(dir, "big"); !bytes.Equal(got, big) {
		t.Fatalf("read %d other bytes", len(got))
	}
	a, err := b.Lookup(t.Context(), dir, "small")
	b.ok(err)
	if a.Mtime.UnixNano() != 1500000000_250000000 || a.Mode != 0o644 || a.Size != 1 {
		t.Errorf("attributes %+v", a)
	}
	gets := b.mem.Counts()["get"]
	b.reopen()
	if got := b.read(dir, "big"); !bytes.Equal(got, big) {
		t.Fatal("read other bytes after a remount")
	}
	if n := b.mem.Counts()["get"]; n != gets {
		t.Errorf("%d gets for what is cached", n-gets)
	}
}

func TestDirtyDataSurvivesReopen(t *testing.T) {
	b := newBench(t)
	data := randomBytes(12<<20, 2)
	b.write(Root, "f", data)
	b.reopen()
	if got := b.read(Root, "f"); !bytes.Equal(got, data) {
		t.Fatal("content lost")
	}
	b.drain()
	b.bucket(map[string]string{"p/f": string(data)})
}

func TestTempAndRenameIsOnePut(t *testing.T) {
	b := newBench(t)
	b.write(Root, "f", []byte("one"))
	b.drain()
	b.mem.ResetCounts()
	b.write(Root, "f.tmp", []byte("two"))
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f.tmp", NewParent: Root, NewName: "f"}))
	b.drain()
	b.bucket(map[string]string{"p/f": "two"})
	if c := b.mem.Counts(); c["put"] != 1 || c["copy"]+c["delete"] != 0 {
		t.Errorf("requests %v", c)
	}
}

func TestRenameOfCleanFileIsACopy(t *testing.T) {
	b := newBench(t)
	b.mem.Set("p/a", []byte("A"), map[string]string{"foreign": "x"})
	b.mem.Set("p/b", []byte("B"), nil)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "c"}))
	b.write(Root, "a", []byte("new"))
	b.drain()
	b.bucket(map[string]string{"p/a": "new", "p/b": "B", "p/c": "A"})
	o, err := b.mem.Head(t.Context(), "p/c")
	b.ok(err)
	if o.Meta["foreign"] != "x" {
		t.Errorf("metadata %v", o.Meta)
	}
	if n := b.mem.Counts()["get"]; n != 0 {
		t.Errorf("%d gets", n)
	}
}

func TestSwapOfRemoteFiles(t *testing.T) {
	b := newBench(t)
	b.mem.Set("p/a", []byte("A"), nil)
	b.mem.Set("p/b", []byte("B"), nil)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b", Exchange: true}))
	if string(b.read(Root, "a")) != "B" || string(b.read(Root, "b")) != "A" {
		t.Fatal("not exchanged")
	}
	b.drain()
	b.bucket(map[string]string{"p/a": "B", "p/b": "A"})
	for i, step := range [][2]string{{"a", "t"}, {"b", "a"}, {"t", "b"}} {
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: step[0], NewParent: Root, NewName: step[1]}))
		if i == 1 {
			b.reopen()
		}
	}
	b.drain()
	b.bucket(map[string]string{"p/a": "A", "p/b": "B"})
}

func TestUnlinkAndRmdir(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	for i := range 30 {
		b.mem.Set(fmt.Sprintf("p/d/%02d", i), []byte("x"), nil)
	}
	d := b.lookup("d")
	b.is(b.Rmdir(ctx, Root, "d"), ErrNotEmpty)
	for _, name := range b.names(d) {
		b.ok(b.Unlink(ctx, d, name))
	}
	b.listed(d)
	b.drain()
	b.bucket(map[string]string{"p/d/": ""})
	b.ok(b.Rmdir(ctx, Root, "d"))
	b.listed(Root)
	b.drain()
	b.bucket(map[string]string{})
}

func TestRemoveTreeWritesNoMarker(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/d/x", []byte("x"), nil)
	d := b.lookup("d")
	b.ok(b.Unlink(ctx, d, "x"))
	b.ok(b.Rmdir(ctx, Root, "d"))
	b.drain()
	b.bucket(map[string]string{})
	if n := b.mem.Counts()["put"]; n != 0 {
		t.Errorf("%d puts", n)
	}
}

func TestOpenUnlinkedFileKeepsReading(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	data := randomBytes(20<<20, 3)
	b.mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{})
	b.ok(err)
	b.ok(b.Unlink(ctx, Root, "f"))
	p := make([]byte, 1000)
	n, err := h.ReadAt(ctx, p, 19<<20)
	b.ok(err)
	if !bytes.Equal(p[:n], data[19<<20:19<<20+1000]) {
		t.Error("other bytes")
	}
	h.Release()
	b.drain()
	b.bucket(map[string]string{})
}

func TestPartialOverwriteKeepsTheRest(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	data := randomBytes(23<<20, 4)
	b.mem.Set("p/f", data, map[string]string{"keep": "me"})
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 11<<20)
	b.ok(h.Flush(ctx))
	h.Release()
	copy(data[11<<20:], "patched")
	b.reopen()
	b.drain()
	b.bucket(map[string]string{"p/f": string(data)})
	o, err := b.mem.Head(ctx, "p/f")
	b.ok(err)
	if o.Meta["keep"] != "me" {
		t.Errorf("metadata %v", o.Meta)
	}
	if got := b.read(Root, "f"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
}

func TestConflictKeepsBoth(t *testing.T) {
	b := newBench(t)
	b.mem.Set("p/f.txt", []byte("base"), nil)
	b.lookup("f.txt")
	b.write(Root, "f.txt", []byte("ours"))
	b.mem.Set("p/f.txt", []byte("theirs"), nil)
	b.drain()
	names := b.names(Root)
	if len(names) != 2 {
		t.Fatalf("names %q", names)
	}
	if got := b.read(Root, "f.txt"); string(got) != "theirs" {
		t.Errorf("f.txt reads %q", got)
	}
	parked := names[0]
	if parked == "f.txt" {
		parked = names[1]
	}
	if got := b.read(Root, parked); string(got) != "ours" {
		t.Errorf("%s reads %q", parked, got)
	}
	b.bucket(map[string]string{"p/f.txt": "theirs", "p/" + parked: "ours"})
	if s := b.Status(); len(s.Conflicts) != 1 || s.Conflicts[0].File != parked {
		t.Errorf("status %+v", s)
	}
	state, err := b.Xattr(t.Context(), b.lookup(parked), XattrState)
	if want := `conflict: changed here while others changed "p/f.txt"; synced`; err != nil || string(state) != want {
		t.Errorf("state %q, %v, want %q", state, err, want)
	}
}

func TestChmodIsOneSelfCopy(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/f", []byte("body"), nil)
	mode := uint32(0o711)
	ino := b.lookup("f")
	_, err := b.SetAttr(ctx, ino, AttrChange{Mode: &mode})
	b.ok(err)
	b.ok(b.SetXattr(ctx, ino, "user.Colour", []byte("blau\x00"), XattrEither))
	b.drain()
	if c := b.mem.Counts(); c["copy"] != 1 || c["put"] != 0 {
		t.Errorf("requests %v", c)
	}
	other := newBench(t, func(c *Config) { c.Remote = b.mem })
	a, err := other.Lookup(ctx, Root, "f")
	other.ok(err)
	v, err := other.Xattr(ctx, a.Ino, "user.Colour")
	other.ok(err)
	if a.Mode != 0o711 || string(v) != "blau\x00" {
		t.Errorf("mode %o, xattr %q", a.Mode, v)
	}
}

func TestSymlinkAndSpecialFiles(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	_, err := b.Make(ctx, Root, "ln", New{Kind: Symlink, Mode: 0o777, Target: "../x/y"})
	b.ok(err)
	_, err = b.Make(ctx, Root, "pipe", New{Kind: Fifo, Mode: 0o600})
	b.ok(err)
	_, err = b.Make(ctx, Root, "sub", New{Kind: Dir, Mode: 0o700})
	b.ok(err)
	b.drain()
	b.bucket(map[string]string{"p/ln": "../x/y", "p/pipe": "", "p/sub/": ""})
	other := newBench(t, func(c *Config) { c.Remote = b.mem })
	target, err := other.Readlink(ctx, other.lookup("ln"))
	other.ok(err)
	a, err := other.Attr(ctx, other.lookup("pipe"))
	other.ok(err)
	d, err := other.Attr(ctx, other.lookup("sub"))
	other.ok(err)
	if target != "../x/y" || a.Kind != Fifo || d.Mode != 0o700 {
		t.Errorf("target %q, kind %d, mode %o", target, a.Kind, d.Mode)
	}
}

func TestForeignOverwriteIsANewInode(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AttrTTL, c.ListTTL, c.NegativeTTL = 0, 0, 0 })
	ctx := t.Context()
	one, two := randomBytes(10<<20, 5), randomBytes(10<<20, 6)
	b.mem.Set("p/f", one, nil)
	ino := b.lookup("f")
	h, err := b.Cache.Open(ctx, ino, OpenMode{})
	b.ok(err)
	p := make([]byte, 4096)
	_, err = h.ReadAt(ctx, p, 0)
	b.ok(err)
	b.mem.Set("p/f", two, nil)
	_, err = h.ReadAt(ctx, p, 9<<20)
	b.is(err, ErrStale)
	h.Release()
	if _, err := b.Cache.Open(ctx, ino, OpenMode{}); err == nil {
		t.Error("the old inode opens")
	}
	if got := b.read(Root, "f"); !bytes.Equal(got, two) {
		t.Error("not the new content")
	}
}

// A directory that nobody else has seen moves at once, with all below it; one
// that is in the bucket does not.
func TestRenameOfADirectory(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	d, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	sub, err := b.Make(ctx, d.Ino, "sub", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	b.write(d.Ino, "f", []byte("one"))
	b.write(sub.Ino, "g", []byte("two"))
	b.is(b.Rename(ctx, Rename{OldParent: Root, OldName: "d", NewParent: sub.Ino, NewName: "x"}), ErrInvalid)
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "d", NewParent: Root, NewName: "e"}))
	b.listed(Root, "e")
	b.reopen()
	if got := b.read(b.lookup("e", "sub"), "g"); string(got) != "two" {
		t.Errorf("reads %q", got)
	}
	b.drain()
	b.bucket(map[string]string{"p/e/": "", "p/e/f": "one", "p/e/sub/": "", "p/e/sub/g": "two"})
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "e", NewParent: Root, NewName: "h"}))
	b.listed(Root, "h")
	b.drain()
	b.bucket(map[string]string{"p/h/": "", "p/h/f": "one", "p/h/sub/": "", "p/h/sub/g": "two"})
}
