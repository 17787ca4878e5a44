package cache

import (
	"errors"
	"testing"
)

// A directory made here and a marker that others gave a body meanwhile: the
// body stays, with what else they said of it.
func TestForeignMarkerBodyStays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o700})
	b.ok(err)
	b.write(a.Ino, "f", []byte("f"))
	b.mem.Set("p/d/", []byte("body"), map[string]string{"theirs": "stays"})
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/d/": "body", "p/d/f": "f"})
	o, err := b.mem.Head(ctx, "p/d/")
	b.ok(err)
	if o.Meta["theirs"] != "stays" {
		t.Errorf("the marker has %v", o.Meta)
	}
	b.reopen()
	if a, err := b.Lookup(ctx, Root, "d"); err != nil || a.Mode&0o777 != 0o700 {
		t.Errorf("the directory has mode %o, error %v", a.Mode, err)
	}
}

// The same of a directory that was renamed to where others made one.
func TestRenameOntoAForeignMarkerWithABody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o700})
	b.ok(err)
	b.write(a.Ino, "f", []byte("f"))
	b.ok(b.drainSoon())
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "d", NewParent: Root, NewName: "e"}))
	b.mem.Set("p/e/", []byte("body"), nil)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/e/": "body", "p/e/f": "f"})
}

// Of two markers that both hold bytes neither is overwritten.
func TestTwoMarkersWithBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/d/", []byte("ours"), nil)
	b.mem.Set("p/d/f", []byte("f"), nil)
	b.listed(b.lookup("d"), markerBody, "f")
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "d", NewParent: Root, NewName: "e"}))
	b.mem.Set("p/e/", []byte("theirs"), nil)
	if err := b.drainSoon(); !errors.As(err, new(*Unfinished)) {
		t.Fatalf("error %v", err)
	}
	b.bucket(map[string]string{"p/d/": "ours", "p/e/": "theirs", "p/e/f": "f"})
}
