package cache

import (
	"errors"
	"testing"
	"time"
)

// What Tmpfile makes is nowhere until Link names it, and is then as any file
// that was closed.
func TestTmpfileIsLinkedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, h, err := b.Tmpfile(ctx, Root, New{Mode: 0o640, Uid: 7})
	b.ok(err)
	if a.Nlink != 0 || a.Mode != 0o640 {
		t.Errorf("without a name: %+v", a)
	}
	b.put(h, []byte("content"), 0)
	b.ok(h.Sync(ctx))
	if n := b.Status().Queued; n != 0 {
		t.Errorf("%d keys are queued for a file without a name", n)
	}
	a, err = b.Link(ctx, a.Ino, Root, "f")
	b.ok(err)
	if a.Nlink != 1 || a.Size != 7 || a.Uid != 7 {
		t.Errorf("with a name: %+v", a)
	}
	if _, err := b.Link(ctx, a.Ino, Root, "g"); !errors.Is(err, ErrPermission) {
		t.Errorf("a second name: %v", err)
	}
	b.put(h, []byte("!"), 7)
	b.ok(h.Flush(ctx))
	h.Release()
	b.reopen()
	b.drain()
	b.bucket(map[string]string{"p/f": "content!"})
}

// Once it has a name, a file survives a kill as any other.
func TestLinkedTmpfileSurvivesAKill(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	for _, name := range []string{"linked", "not linked"} {
		a, h, err := b.Tmpfile(ctx, Root, New{Mode: 0o640})
		b.ok(err)
		b.put(h, []byte(name), 0)
		if name == "linked" {
			_, err = b.Link(ctx, a.Ino, Root, name)
			b.ok(err)
		}
	}
	after := b.crash()
	after.listed(Root, "linked")
	after.drain()
	after.bucket(map[string]string{"p/linked": "linked"})
}

func TestTmpfileThatIsNotLinkedIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	named, other, err := b.Create(ctx, Root, "named", New{Mode: 0o600})
	b.ok(err)
	defer other.Release()
	if _, err := b.Link(ctx, named.Ino, Root, "again"); !errors.Is(err, ErrPermission) {
		t.Errorf("a file that has a name: %v", err)
	}
	a, h, err := b.Tmpfile(ctx, Root, New{Mode: 0o600})
	b.ok(err)
	if _, err := b.Link(ctx, a.Ino, Root, "named"); !errors.Is(err, ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	b.put(h, []byte("content"), 0)
	h.Release()
	if _, err := b.Attr(ctx, a.Ino); !errors.Is(err, ErrStale) {
		t.Errorf("after its last close: %v", err)
	}
	if _, err := b.Link(ctx, a.Ino, Root, "late"); !errors.Is(err, ErrPermission) {
		t.Errorf("a name after the last close: %v", err)
	}
}

// Reading changes the access time where relatime wants it, and nothing in the
// bucket.
func TestAccessTimesStayHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, h, err := b.Create(ctx, Root, "f", New{Mode: 0o600})
	b.ok(err)
	b.put(h, []byte("content"), 0)
	b.ok(h.Flush(ctx))
	h.Release()
	old := time.Unix(1000, 5)
	_, err = b.SetAttr(ctx, a.Ino, AttrChange{Atime: &old})
	b.ok(err)
	b.drain()

	atime := func() time.Time {
		t.Helper()
		a, err := b.Attr(ctx, a.Ino)
		b.ok(err)
		return a.Atime
	}
	read := func(m OpenMode) {
		t.Helper()
		h, err := b.Open(ctx, a.Ino, m)
		b.ok(err)
		defer h.Release()
		_, err = h.ReadAt(ctx, make([]byte, 3), 0)
		b.ok(err)
	}
	read(OpenMode{NoAtime: true})
	if got := atime(); !got.Equal(old) {
		t.Errorf("read without a trace: %v", got)
	}
	read(OpenMode{})
	first := atime()
	if !first.After(old) {
		t.Errorf("read: %v", first)
	}
	read(OpenMode{})
	if got := atime(); !got.Equal(first) {
		t.Errorf("read again, with nothing new: %v, was %v", got, first)
	}
	if n := b.Status().Queued; n != 0 {
		t.Errorf("%d keys are queued because of reading", n)
	}
	b.reopen()
	if got := atime(); !got.Equal(first) {
		t.Errorf("after a remount: %v, was %v", got, first)
	}
}

// The change time of a rename outlives the write before it.
func TestChangeTimeOfARename(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, h, err := b.Create(ctx, Root, "f", New{Mode: 0o600})
	b.ok(err)
	defer h.Release()
	b.put(h, []byte("content"), 0)
	written, err := b.Attr(ctx, a.Ino)
	b.ok(err)
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g"}))
	for _, when := range []string{"open", "flushed"} {
		renamed, err := b.Attr(ctx, a.Ino)
		b.ok(err)
		if !renamed.Ctime.After(written.Ctime) || !renamed.Mtime.Equal(written.Mtime) {
			t.Errorf("%s: changed %v and %v, modified %v and %v", when, written.Ctime, renamed.Ctime, written.Mtime, renamed.Mtime)
		}
		b.ok(h.Flush(ctx))
	}
}

// A truncation to the same size changes the times and sends no content.
func TestTruncateToTheSameSize(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	a, h, err := b.Create(ctx, Root, "f", New{Mode: 0o600})
	b.ok(err)
	b.put(h, []byte("content"), 0)
	b.ok(h.Flush(ctx))
	h.Release()
	old, size := time.Unix(1000, 5), int64(7)
	_, err = b.SetAttr(ctx, a.Ino, AttrChange{Mtime: &old})
	b.ok(err)
	b.drain()
	sent := b.Status().Uploaded
	got, err := b.SetAttr(ctx, a.Ino, AttrChange{Size: &size})
	b.ok(err)
	if !got.Mtime.After(old) || got.Size != size {
		t.Errorf("%+v", got)
	}
	b.drain()
	if more := b.Status().Uploaded - sent; more != 0 {
		t.Errorf("%d bytes were sent", more)
	}
}

// A time that nanoseconds since 1970 cannot hold becomes the nearest that they
// can.
func TestTimesFarAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want time.Time }{
		{time.Unix(15032385535, 0), time.Unix(0, 1<<63-1)},
		{time.Unix(-15032385535, 0), time.Unix(0, -1<<63)},
		{time.Unix(-5, 7), time.Unix(-5, 7)},
	} {
		if got := time.Unix(0, nanos(c.set)); !got.Equal(c.want) {
			t.Errorf("%v: %v, want %v", c.set, got, c.want)
		}
	}
}

// st_nlink counts subdirectories where all names are known.
func TestSubdirectoriesAreLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/foreign/a/x", []byte("x"), nil)
	links := func(dir Ino, want uint32, when string) {
		t.Helper()
		a, err := b.Attr(ctx, dir)
		b.ok(err)
		if a.Nlink != want {
			t.Errorf("%s: %d links, want %d", when, a.Nlink, want)
		}
	}
	foreign, err := b.Lookup(ctx, Root, "foreign")
	b.ok(err)
	links(foreign.Ino, uncounted, "not listed")
	_, err = b.ReadDir(ctx, foreign.Ino, "", 10)
	b.ok(err)
	links(foreign.Ino, 3, "listed")

	d, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	links(d.Ino, 2, "empty")
	for _, name := range []string{"a", "b"} {
		_, err := b.Make(ctx, d.Ino, name, New{Kind: Dir, Mode: 0o755})
		b.ok(err)
	}
	_, err = b.Make(ctx, d.Ino, "link", New{Kind: Symlink, Target: "a"})
	b.ok(err)
	links(d.Ino, 4, "two made")
	if _, err := b.Make(ctx, d.Ino, "a", New{Kind: Dir}); !errors.Is(err, ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	links(d.Ino, 4, "one refused")
	b.ok(b.Rename(ctx, Rename{OldParent: d.Ino, OldName: "a", NewParent: foreign.Ino, NewName: "moved"}))
	links(d.Ino, 3, "one moved away")
	links(foreign.Ino, 4, "one moved here")
	b.ok(b.Rmdir(ctx, d.Ino, "b"))
	links(d.Ino, 2, "one removed")
	b.reopen()
	links(d.Ino, 2, "after a remount")
}

// When the names in a directory changed is known here alone; asking the bucket
// about its marker again does not take it back.
func TestDirectoryTimesStay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	d, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	b.drain()
	_, err = b.Make(ctx, d.Ino, "f", New{Kind: Fifo})
	b.ok(err)
	before, err := b.Attr(ctx, d.Ino)
	b.ok(err)
	b.Cache.mu.Lock()
	err = b.update("forgotten", func(ch *change) error {
		rec, _, err := ch.Inode(d.Ino)
		rec.AttrsKnown = false
		return errors.Join(err, ch.PutInode(d.Ino, rec))
	})
	b.Cache.mu.Unlock()
	b.ok(err)
	after, err := b.Attr(ctx, d.Ino)
	b.ok(err)
	if !after.Mtime.Equal(before.Mtime) || !after.Ctime.Equal(before.Ctime) {
		t.Errorf("modified %v, changed %v; before the bucket was asked %v, %v", after.Mtime, after.Ctime, before.Mtime, before.Ctime)
	}
}
