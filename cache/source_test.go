package cache

import "testing"

// A file that is only in the bucket is renamed, and others replace or remove
// its object before it is copied: theirs stays, and nothing waits for ever.
func TestRenamedSourceGoes(t *testing.T) {
	t.Parallel()
	for _, theirs := range []string{"replaced", ""} {
		t.Run("left: "+theirs, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ctx := t.Context()
			b.mem.Set("p/a/f", []byte("original"), nil)
			b.mem.Set("p/a/g", []byte("other"), nil)
			b.listed(b.lookup("a"), "f", "g")
			b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "z"}))
			want := map[string]string{"p/z/g": "other"}
			if theirs == "" {
				b.mem.Remove("p/a/f")
			} else {
				b.mem.Set("p/a/f", []byte(theirs), nil)
				want["p/a/f"] = theirs
			}
			b.ok(b.drainSoon())
			b.bucket(want)
			b.listed(b.lookup("z"), "g")
			b.noConflicts()
		})
	}
}
