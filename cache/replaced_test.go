package cache

import (
	"testing"
)

// A program that holds a name for that of a file which was replaced is told to
// look again: what it would read is old, what it would write would be nowhere.
func TestReplacedWhileOpenIsNotOpenedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.AttrTTL = 0 })
	ctx := t.Context()
	b.mem.Set("p/f", []byte("old"), nil)
	ino := b.lookup("f")
	h, err := b.Cache.Open(ctx, ino, OpenMode{})
	b.ok(err)
	defer h.Release()
	b.mem.Set("p/f", []byte("newer"), nil)
	_, err = b.Cache.Open(ctx, ino, OpenMode{}) // finds out
	b.is(err, ErrStale)
	for _, m := range []OpenMode{{}, {Write: true}, {Write: true, Truncate: true}} {
		if h, err := b.Cache.Open(ctx, ino, m); err == nil {
			h.Release()
			t.Errorf("%+v is opened", m)
		} else {
			b.is(err, ErrStale)
		}
	}
	size := int64(1)
	if _, err := b.SetAttr(ctx, ino, AttrChange{Size: &size}); err == nil {
		t.Error("it is cut")
	} else {
		b.is(err, ErrStale)
	}
	p := make([]byte, 3)
	_, err = h.ReadAt(ctx, p, 0)
	b.ok(err)
	if string(p) != "old" {
		t.Errorf("the open file reads %q", p)
	}
	if got := b.read(Root, "f"); string(got) != "newer" {
		t.Errorf("reads %q", got)
	}
}

// Attributes changed here yield to a foreign change of the content; not so a
// file that somebody has open for writing: what is written later is kept.
func TestForeignChangeOfAChmoddedFileWithAWriter(t *testing.T) {
	t.Parallel()
	for _, renamed := range []bool{false, true} {
		b := newBench(t)
		ctx := t.Context()
		b.mem.Set("p/f", []byte("old"), nil)
		ino := b.lookup("f")
		b.read(Root, "f")
		if renamed {
			b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g"}))
		} else {
			mode := uint32(0o600)
			_, err := b.SetAttr(ctx, ino, AttrChange{Mode: &mode})
			b.ok(err)
		}
		h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
		b.ok(err)
		b.mem.Set("p/f", []byte("theirs"), nil)
		b.ok(b.drainSoon())
		b.put(h, []byte("ours"), 0)
		b.ok(h.Flush(ctx))
		h.Release()
		b.ok(b.drainSoon())
		found := map[string]bool{}
		for _, body := range b.all() {
			found[body] = true
		}
		if !found["ours"] || !found["theirs"] {
			t.Errorf("renamed %v: the bucket has %q", renamed, b.all())
		}
	}
}

// A name that came to mean another file since it was looked up is looked up
// again before it is moved: who writes to the new name is to reach what has it.
func TestRenameOfANameThatMeansAnotherFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/f", []byte("base"), nil)
	ino := b.lookup("f")
	b.write(Root, "f", []byte("ours"))
	b.mem.Set("p/f", []byte("theirs"), nil)
	b.ok(b.drainSoon()) // ours is put beside
	move := Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g", Moves: ino}
	b.is(b.Rename(t.Context(), move), ErrStale)
	move.Moves = b.lookup("f")
	b.ok(b.Rename(t.Context(), move))
	if got := b.read(Root, "g"); string(got) != "theirs" {
		t.Errorf("reads %q", got)
	}
}
