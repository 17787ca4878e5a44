package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// always asks the bucket before it answers.
func always(c *Config) { c.AttrTTL, c.ListTTL, c.NegativeTTL = 0, 0, 0 }

// oddKeys are keys below p/ that POSIX cannot hold as they are.
func oddKeys() map[string]string {
	keys := map[string]string{
		"d//b": "empty component", "/a": "leading slash", "x": "file beside a directory", "x/in": "in the directory", ".": "dot", "..": "two dots",
		"d/..": "two dots below", "n\x00ul": "nul", "%=y": "an escape of its own", "m/": "marker with a body", "m/f": "beside the marker",
		"100%": "plain", "%=": "only a lead",
	}
	for _, n := range []int{253, 254, 255, 256, 300, 600, 1000} {
		keys[strings.Repeat("l", n-4)+fmt.Sprintf("%04d", n)] = fmt.Sprint("long ", n)
	}
	keys[strings.Repeat("e", 300)+"/in"] = "below a long directory"
	for _, n := range []int{252, 253, 254, 255} {
		keys[strings.Repeat("b", n)] = fmt.Sprint("no room for a mark ", n)
		keys[strings.Repeat("b", n)+"/in"] = fmt.Sprint("below no room for a mark ", n)
	}
	return keys
}

// files returns the content of every file below a directory, by path.
func (b *bench) files(dir Ino, path string) map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, name := range b.names(dir) {
		a, err := b.Lookup(b.t.Context(), dir, name)
		if err != nil {
			b.t.Fatalf("%q was listed: %v", path+name, err)
		}
		if a.Kind == Dir {
			maps.Copy(all, b.files(a.Ino, path+name+"/"))
			continue
		}
		all[path+name] = string(b.read(dir, name))
	}
	return all
}

// where returns the directory and the name that a path leads to.
func (b *bench) where(path string) (Ino, string) {
	parts := strings.Split(path, "/")
	return b.lookup(parts[:len(parts)-1]...), parts[len(parts)-1]
}

// Every odd key that others wrote is listed, read, written, renamed and
// unlinked here.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	for _, ttl := range []string{"cached", "always"} {
		t.Run(ttl, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) {
				if ttl == "always" {
					always(c)
				}
			})
			oddKeysOn(t, b)
		})
	}
}

func oddKeysOn(t *testing.T, b *bench) {
	want := map[string]string{}
	for key, body := range oddKeys() {
		b.mem.Set("p/"+key, []byte(body), nil)
		want["p/"+key] = body
	}
	found := b.files(Root, "")
	if got, all := slices.Sorted(maps.Values(found)), slices.Sorted(maps.Values(oddKeys())); !slices.Equal(got, all) {
		t.Errorf("shows\n%q, want\n%q", got, all)
	}
	delete(found, "m/"+markerBody) // read-only: the key is the directory's
	for path, body := range found {
		dir, name := b.where(path)
		b.write(dir, name, []byte(body+" changed"))
	}
	for key, body := range want {
		if key != "p/m/" {
			want[key] = body + " changed"
		}
	}
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(want)
	b.reopen()
	for path := range found {
		dir, name := b.where(path)
		b.ok(b.Unlink(t.Context(), dir, name))
	}
	b.ok(b.drainSoon())
	for key, body := range b.all() {
		if key != "p/m/" && body != "" || !strings.HasSuffix(key, "/") {
			t.Errorf("%.40q is left with %q", key, body)
		}
	}
}

// all returns the bucket.
func (b *bench) all() map[string]string {
	all := map[string]string{}
	for _, key := range b.mem.Keys() {
		body, _ := b.mem.Body(key)
		all[key] = string(body)
	}
	return all
}

// A conflict over an escaped name is parked like any other.
func TestConflictOfAnEscapedName(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"p/..", "p/a\x00b", "p/" + strings.Repeat("l", 255), "p/" + strings.Repeat("l", 300), "p/" + strings.Repeat("ö", 127)} {
		t.Run(fmt.Sprintf("%.12q", key), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.mem.Set(key, []byte("before"), nil)
			var path string
			for path = range b.files(Root, "") {
			}
			dir, name := b.where(path)
			b.write(dir, name, []byte("ours"))
			b.mem.Set(key, []byte("theirs"), nil)
			b.ok(b.drainSoon())
			x := b.Status().Conflicts
			if len(x) != 1 {
				t.Fatalf("conflicts %+v, bucket %q", x, b.mem.Keys())
			}
			b.bucket(map[string]string{key: "theirs", x[0].Parked: "ours"})
			found := b.files(Root, "")
			if got := slices.Sorted(maps.Values(found)); !slices.Equal(got, []string{"ours", "theirs"}) {
				t.Errorf("shows %q", found)
			}
		})
	}
}

// A key has one name at a time: two files never want the same key.
func TestTwoNamesOfOneKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	try := func(name, body string) bool {
		_, h, err := b.Create(ctx, Root, name, New{Mode: 0o600})
		if err != nil {
			return false
		}
		b.put(h, []byte(body), 0)
		b.ok(h.Flush(ctx))
		h.Release()
		return true
	}
	escaped, plain := try("%=x%f", "escaped"), try("x", "plain")
	b.ok(b.drainSoon())
	if escaped && plain {
		t.Fatalf("both names were taken; bucket %q", b.all())
	}
}

// A dirty file with no room for the mark of a file beside a directory is not
// taken away when others make that directory.
func TestDirtyLongNameAndForeignDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	name := strings.Repeat("l", 254)
	b.write(Root, name, []byte("ours"))
	b.mem.Set("p/"+name+"/in", []byte("in"), nil)
	b.names(Root)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/" + name: "ours", "p/" + name + "/in": "in"})
}

// What a marker holds stays when the directory's attributes change; it cannot
// be written under its own name.
func TestMarkerBodyAndAttributes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/m/", []byte("body"), nil)
	b.mem.Set("p/m/f", []byte("f"), nil)
	m := b.lookup("m")
	b.listed(m, "%=%f", "f")
	_, err := b.Cache.Open(ctx, b.lookup("m", "%=%f"), OpenMode{Write: true})
	b.is(err, ErrPermission)
	mode := uint32(0o700)
	_, err = b.SetAttr(ctx, m, AttrChange{Mode: &mode})
	b.ok(err)
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/m/": "body", "p/m/f": "f"})
}

// A file that is open for writing keeps its name when others replace or
// delete its object: what is written afterwards is not lost.
func TestOpenWriterAndForeignChange(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"replaced", "deleted"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, always)
			ctx := t.Context()
			ino := b.write(Root, "log", []byte("one "))
			b.drain()
			h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true, Append: true})
			b.ok(err)
			p := make([]byte, 4)
			_, err = h.ReadAt(ctx, p, 0)
			b.ok(err)
			if how == "replaced" {
				b.mem.Set("p/log", []byte("theirs"), nil)
			} else {
				b.mem.Remove("p/log")
			}
			b.names(Root)
			b.put(h, []byte("two"), 4)
			b.ok(h.Flush(ctx))
			h.Release()
			b.ok(b.drainSoon())
			if got := slices.Sorted(maps.Values(b.all())); !slices.Contains(got, "one two") {
				t.Errorf("bucket has %q", b.all())
			}
		})
	}
}

// A directory read while a lookup lists its first page is complete.
func TestReadDirDuringALookup(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	ctx := t.Context()
	const n = 1500
	for i := range n {
		b.mem.Set(fmt.Sprintf("p/d/%04d", i), nil, nil)
	}
	d := b.lookup("d")
	blocked, release := make(chan struct{}), make(chan struct{})
	calls := make(chan struct{}, 100)
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op == "list" && c.Keys[0] == "p/d/" {
			calls <- struct{}{}
			if len(calls) == 1 {
				close(blocked)
				<-release
			}
		}
		return nil
	})
	looked := make(chan error)
	go func() {
		_, err := b.Lookup(ctx, d, "0001")
		looked <- err
	}()
	<-blocked
	watched := &watchedContext{Context: ctx, asked: make(chan struct{}, 1000)}
	read := make(chan int)
	go func() {
		all := 0
		after := ""
		for {
			entries, err := b.ReadDir(watched, d, after, 1000)
			if err != nil || len(entries) == 0 {
				read <- all
				return
			}
			all += len(entries)
			after = entries[len(entries)-1].Name
		}
	}()
	<-watched.asked
	close(release)
	b.ok(<-looked)
	if got := <-read; got != n {
		t.Errorf("read %d names of %d", got, n)
	}
}

// A watchedContext tells when somebody begins to wait for its end.
type watchedContext struct {
	context.Context
	asked chan struct{}
}

func (w *watchedContext) Done() <-chan struct{} {
	select {
	case w.asked <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

// A chmod waits for nobody's content: when others replace the object first
// there is nothing local to keep.
func TestChmodAgainstForeignChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mode := uint32(0o711)
	b.mem.Set("p/f", []byte("before"), nil)
	_, err := b.SetAttr(t.Context(), b.lookup("f"), AttrChange{Mode: &mode})
	b.ok(err)
	b.mem.Set("p/f", []byte("theirs"), nil)
	b.ok(b.drainSoon())
	if got := b.read(Root, "f"); string(got) != "theirs" {
		t.Errorf("reads %q", got)
	}
	for path, body := range b.files(Root, "") {
		t.Logf("%q: %q", path, body)
	}
}

// A deletion here of what others changed while our own change of it was on its
// way leaves their version.
func TestUnlinkDuringAConflict(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/f", []byte("before"), nil)
	b.lookup("f")
	b.write(Root, "f", []byte("ours"))
	started, gone := make(chan struct{}), make(chan struct{})
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op == "put" {
			close(started)
			<-gone
			faults.Hook(nil)
		}
		return nil
	})
	b.queue.waitFor([]string{"p/f"})
	<-started
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.mem.Set("p/f", []byte("theirs"), nil)
	close(gone)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "theirs"})
}

// A file made again while its deletion meets a foreign change is a conflict,
// not an overwrite.
func TestCreateDuringARefusedDeletion(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/f", []byte("before"), nil)
	b.lookup("f")
	b.ok(b.Unlink(t.Context(), Root, "f"))
	started, gone := make(chan struct{}), make(chan struct{})
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op == "delete" {
			close(started)
			<-gone
			faults.Hook(nil)
		}
		return nil
	})
	b.queue.waitFor([]string{"p/f"})
	<-started
	b.write(Root, "f", []byte("again"))
	b.mem.Set("p/f", []byte("theirs"), nil)
	close(gone)
	b.ok(b.drainSoon())
	if got := slices.Sorted(maps.Values(b.all())); !slices.Equal(got, []string{"again", "theirs"}) {
		t.Errorf("bucket %q", b.all())
	}
}

// A rename into a key that others filled meanwhile keeps both.
func TestRenameIntoAForeignKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/a", []byte("ours"), nil)
	b.listed(Root, "a")
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b"}))
	b.mem.Set("p/b", []byte("theirs"), nil)
	b.ok(b.drainSoon())
	if got := slices.Sorted(maps.Values(b.all())); !slices.Equal(got, []string{"ours", "theirs"}) {
		t.Errorf("bucket %q", b.all())
	}
	if got := slices.Sorted(maps.Values(b.files(Root, ""))); !slices.Equal(got, []string{"ours", "theirs"}) {
		t.Errorf("shows %q", got)
	}
}

// With DurableBucket close waits for the object, of an empty file too.
func TestCloseOfAnEmptyFileWaitsForTheBucket(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Durability = DurableBucket })
	_, h, err := b.Create(t.Context(), Root, "empty", New{Mode: 0o600})
	b.ok(err)
	b.ok(h.Flush(t.Context()))
	b.bucket(map[string]string{"p/empty": ""})
	h.Release()
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "empty", NewParent: Root, NewName: "moved"}))
	b.ok(b.SyncDir(t.Context(), Root))
	b.bucket(map[string]string{"p/moved": ""})
}

// staleHeads lets a HEAD be answered, then holds the answer back.
type staleHeads struct {
	*remotetest.Memory
	hold func()
}

func (s *staleHeads) Head(ctx context.Context, key string) (s3backend.Object, error) {
	o, err := s.Memory.Head(ctx, key)
	s.hold()
	return o, err
}

// An answer that was overtaken by our own upload does not end the file.
func TestOvertakenAnswer(t *testing.T) {
	t.Parallel()
	slow := &staleHeads{hold: func() {}}
	b := newBench(t, always, func(c *Config) {
		slow.Memory = c.Remote.(*remotetest.Memory)
		c.Remote = slow
	})
	ctx := t.Context()
	ino := b.write(Root, "f", []byte("one"))
	b.drain()
	h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
	b.ok(err)
	asked, answer := make(chan struct{}), make(chan struct{})
	slow.hold = func() { close(asked); <-answer }
	opened := make(chan error)
	go func() {
		r, err := b.Cache.Open(ctx, ino, OpenMode{})
		if err == nil {
			r.Release()
		}
		opened <- err
	}()
	<-asked
	slow.hold = func() {}
	b.put(h, []byte("two"), 0)
	b.ok(h.Flush(ctx))
	b.drain()
	close(answer)
	if err := <-opened; err != nil && !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	b.put(h, []byte("three"), 0)
	b.ok(h.Flush(ctx))
	h.Release()
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/f": "three"})
}

// A directory that was never sent can be renamed with all its files at once.
func TestRenameOfALargeNewDirectory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	d, err := b.Make(ctx, Root, "d", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	name := strings.Repeat("n", 200)
	for i := range 2000 {
		_, err := b.Make(ctx, d.Ino, fmt.Sprintf("%s%05d", name, i), New{Kind: Symlink, Mode: 0o777, Target: strings.Repeat("t", 900)})
		b.ok(err)
	}
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "d", NewParent: Root, NewName: "e"}))
	if a, err := b.Lookup(ctx, Root, "e"); err != nil || a.Ino != d.Ino {
		t.Errorf("the new name: %+v, %v", a, err)
	}
	b.until("the old key is no longer wanted", func() bool {
		_, found := b.row("p/d/")
		return !found
	})
}
