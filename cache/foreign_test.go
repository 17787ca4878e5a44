package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A toldKernel notes what the kernel is told to forget.
type toldKernel struct {
	mu    sync.Mutex
	names []dirName
	inos  []Ino
}

func (k *toldKernel) EntryGone(dir Ino, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names = append(k.names, dirName{dir, name})
}

func (k *toldKernel) ContentChanged(ino Ino) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inos = append(k.inos, ino)
}

func (k *toldKernel) forgot(dir Ino, name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.names, dirName{dir, name})
}

func (k *toldKernel) changed(ino Ino) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.inos, ino)
}

func (k *toldKernel) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.names) + len(k.inos)
}

// newTold returns a bench that believes everything for an hour, and its kernel.
func newTold(t *testing.T, edit ...func(*Config)) (*bench, *toldKernel) {
	t.Helper()
	k := &toldKernel{}
	b := newBench(t, edit...)
	b.mu.Lock()
	b.kernel = k
	b.mu.Unlock()
	return b, k
}

// put changes the bucket as others do and returns what a notification says.
func (b *bench) foreign(key, body string) s3backend.Change {
	return changeOf(b.mem.Set(key, []byte(body), nil))
}

func changeOf(o s3backend.Object) s3backend.Change {
	return s3backend.Change{Bucket: "bucket", Key: o.Key, ETag: o.ETag, When: time.Now()}
}

func (b *bench) foreignRemoval(key string) s3backend.Change {
	b.mem.Remove(key)
	return s3backend.Change{Bucket: "bucket", Key: key, When: time.Now(), Removed: true}
}

// requests returns how many requests fn makes.
func (b *bench) requests(fn func()) (n int) {
	b.mem.ResetCounts()
	fn()
	for _, count := range b.mem.Counts() {
		n += count
	}
	return n
}

func (b *bench) soon(what string, cond func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waiting in vain for %s", what)
		}
	}
}

func TestForeignVersionShowsOnceItIsTold(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	b.foreign("p/f", "one")
	before := b.lookup("f")
	b.read(Root, "f")
	open, err := b.Cache.Open(t.Context(), before, OpenMode{})
	b.ok(err)
	defer open.Release()
	ch := b.foreign("p/f", "two and more")
	if got := string(b.read(Root, "f")); got != "one" || b.lookup("f") != before {
		t.Fatalf("without news the file reads %q", got)
	}
	b.RemoteChanged(ch)
	if !k.forgot(Root, "f") {
		t.Error("the kernel still believes in the name")
	}
	if got := string(b.read(Root, "f")); got != "two and more" {
		t.Errorf("the file reads %q", got)
	}
	if b.lookup("f") == before {
		t.Error("the new version has the inode of the old one")
	}
	p := make([]byte, 20)
	if n, err := open.ReadAt(t.Context(), p, 0); err == nil && string(p[:n]) != "one" {
		t.Errorf("the open file reads %q", p[:n])
	} else if err != nil && !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	told := k.count()
	b.RemoteChanged(ch, ch) // late and twice
	if n := b.requests(func() { b.lookup("f") }); n > 0 || k.count() > told {
		t.Errorf("news of what is known makes %d requests and tells the kernel %d things", n, k.count()-told)
	}
}

func TestForeignNamesShowOnceTheyAreTold(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	b.foreign("p/d/a", "a")
	b.foreign("p/x", "file")
	d := b.lookup("d")
	b.listed(d, "a")
	b.listed(Root, "d", "x")
	for _, at := range []dirName{{d, "new"}, {Root, "deep"}} {
		_, err := b.Lookup(t.Context(), at.dir, at.name)
		b.is(err, ErrNotExist)
	}
	changes := []s3backend.Change{b.foreign("p/d/new", "n"), b.foreign("p/deep/down/f", "f"), b.foreign("p/x/y", "y")}
	b.listed(d, "a")
	b.RemoteChanged(changes...)
	for _, at := range []dirName{{d, "new"}, {Root, "deep"}, {Root, "x"}} {
		if !k.forgot(at.dir, at.name) {
			t.Errorf("the kernel still believes what it knew of %q", at.name)
		}
	}
	b.lookup("d", "new")
	b.listed(d, "a", "new")
	b.lookup("deep", "down", "f")
	b.listed(Root, "%=x%f", "d", "deep", "x")
	b.RemoteChanged(b.foreign("p/d", "object beside the directory"))
	if k.forgot(Root, "d") {
		t.Error("the kernel was told to forget a directory that stays")
	}
	if got := string(b.read(Root, "%=d%f")); got != "object beside the directory" {
		t.Errorf("the object beside the directory reads %q", got)
	}
}

func TestForeignRemovalsShowOnceTheyAreTold(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	for _, key := range []string{"p/f", "p/kept", "p/d/e/only", "p/g/one", "p/g/two"} {
		b.foreign(key, key)
	}
	d, g := b.lookup("d"), b.lookup("g")
	e := b.lookup("d", "e")
	b.listed(e, "only")
	b.listed(g, "one", "two")
	b.listed(Root, "d", "f", "g", "kept")
	b.RemoteChanged(b.foreignRemoval("p/f"), b.foreignRemoval("p/g/one"))
	_, err := b.Lookup(t.Context(), Root, "f")
	b.is(err, ErrNotExist)
	b.listed(g, "two")
	b.RemoteChanged(b.foreignRemoval("p/d/e/only"))
	b.soon("the directories to go", func() bool { return k.forgot(d, "e") && k.forgot(Root, "d") })
	b.listed(Root, "g", "kept")
	if k.forgot(Root, "g") {
		t.Error("the kernel was told to forget a directory that stays")
	}
	// What is told of a removal that is long over takes nothing away.
	b.RemoteChanged(s3backend.Change{Bucket: "bucket", Key: "p/kept", Removed: true})
	if got := string(b.read(Root, "kept")); got != "p/kept" {
		t.Errorf("a file that is there reads %q", got)
	}
}

func TestForeignAttributesShowOnceTheyAreTold(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	mode := func(key, octal string) s3backend.Change {
		o := b.mem.Set(key, nil, map[string]string{"file-permissions": octal, "file-mtime": "1000000000ns"})
		b.mem.Edit(key, func(o *s3backend.Object) { o.Modified = time.Now().Add(time.Minute) }) // the ETag is the same
		ch := changeOf(o)
		ch.When = time.Now().Add(time.Minute)
		return ch
	}
	b.mem.Set("p/f", nil, map[string]string{"file-permissions": "0100600"})
	b.mem.Set("p/d/", nil, map[string]string{"file-permissions": "040700"})
	perms := func(name string) uint32 {
		a, err := b.Attr(t.Context(), b.lookup(name))
		b.ok(err)
		return a.Mode
	}
	if perms("f") != 0o600 || perms("d") != 0o700 {
		t.Fatalf("modes %o and %o", perms("f"), perms("d"))
	}
	d := b.lookup("d")
	b.RemoteChanged(mode("p/f", "0100640"), mode("p/d/", "040750"))
	b.soon("the kernel to be told of the directory", func() bool { return k.changed(d) })
	if perms("f") != 0o640 || perms("d") != 0o750 {
		t.Errorf("modes %o and %o", perms("f"), perms("d"))
	}
	b.RemoteChanged(b.foreignRemoval("p/d/"))
	b.soon("the directory to go", func() bool { return k.forgot(Root, "d") })
	_, err := b.Lookup(t.Context(), Root, "d")
	b.is(err, ErrNotExist)
}

func TestOtherKeysAndBucketsAreIgnored(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	b.foreign("p/f", "one")
	b.lookup("f")
	b.listed(Root, "f")
	ch := b.foreign("p/f", "two")
	other, outside := ch, ch
	other.Bucket, outside.Key = "another", "q/f"
	n := b.requests(func() {
		b.RemoteChanged(other, outside, s3backend.Change{}, s3backend.Change{Bucket: "bucket", Key: "p"})
		b.lookup("f")
		b.listed(Root, "f")
	})
	if n > 0 || k.count() > 0 {
		t.Errorf("%d requests, the kernel was told %d things", n, k.count())
	}
}

func TestUnsentChangesStay(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	b.foreign("p/f", "theirs before")
	ino := b.lookup("f")
	b.write(Root, "f", []byte("ours"))
	b.RemoteChanged(b.foreign("p/f", "theirs"))
	if got := string(b.read(Root, "f")); got != "ours" || b.lookup("f") != ino || k.forgot(Root, "f") {
		t.Errorf("the unsent file reads %q", got)
	}
	b.drain()
	if got := string(b.read(Root, "f")); got != "theirs" {
		t.Errorf("after the conflict the file reads %q", got)
	}
	if names := b.names(Root); len(names) != 2 {
		t.Errorf("both are not there: %q", names)
	}
}

// An eagerRemote tells of a put before the put is answered.
type eagerRemote struct {
	*remotetest.Memory
	written func(s3backend.Object)
}

func (r *eagerRemote) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	o, err := r.Memory.Put(ctx, p)
	if err == nil && r.written != nil {
		r.written(o)
	}
	return o, err
}

func TestOwnWritesAreNoNews(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"told before the answer": true, "told later": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var eager *eagerRemote
			b, k := newTold(t, func(c *Config) {
				eager = &eagerRemote{Memory: c.Remote.(*remotetest.Memory)}
				c.Remote = eager
			})
			var mu sync.Mutex
			var told []s3backend.Change
			eager.written = func(o s3backend.Object) {
				mu.Lock()
				told = append(told, changeOf(o))
				mu.Unlock()
				if early {
					b.RemoteChanged(changeOf(o))
				}
			}
			b.write(Root, "f", []byte("ours"))
			_, err := b.Make(t.Context(), Root, "d", New{Kind: Dir, Mode: 0o700})
			b.ok(err)
			b.drain()
			b.write(b.lookup("d"), "gone", []byte("x"))
			b.drain()
			b.ok(b.Unlink(t.Context(), b.lookup("d"), "gone"))
			b.drain()
			mu.Lock()
			defer mu.Unlock()
			told = slices.DeleteFunc(told, func(ch s3backend.Change) bool { return ch.Key == "p/d/gone" }) // late: it could be anybody's
			before := k.count()
			n := b.requests(func() {
				b.RemoteChanged(told...)
				b.RemoteChanged(s3backend.Change{Bucket: "bucket", Key: "p/d/gone", When: time.Now(), Removed: true})
				b.lookup("f")
				b.lookup("d")
				b.listed(b.lookup("d"))
			})
			if n > 0 || k.count() > before {
				t.Errorf("%d requests, the kernel was told %d things: %v", n, k.count()-before, k.names)
			}
		})
	}
}

func TestForeignWriteBehindOurOwnIsNoticed(t *testing.T) {
	t.Parallel()
	var eager *eagerRemote
	b, k := newTold(t, func(c *Config) {
		eager = &eagerRemote{Memory: c.Remote.(*remotetest.Memory)}
		c.Remote = eager
	})
	eager.written = func(o s3backend.Object) { // in disorder, and before our answer
		theirs := b.foreign(o.Key, "theirs")
		b.RemoteChanged(theirs)
		b.RemoteChanged(changeOf(o))
	}
	b.write(Root, "f", []byte("ours"))
	b.drain()
	if got := string(b.read(Root, "f")); got != "theirs" || !k.forgot(Root, "f") {
		t.Errorf("the file reads %q", got)
	}
}

func TestNewsOfAFileThatIsBeingWrittenToWaits(t *testing.T) {
	t.Parallel()
	b, k := newTold(t)
	b.foreign("p/f", "one")
	ino := b.lookup("f")
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	b.RemoteChanged(b.foreign("p/f", "two"))
	if b.lookup("f") != ino {
		t.Error("a file that somebody may write to has lost its name")
	}
	b.listed(Root, "f")
	told := k.count()
	h.Release()
	if k.count() == told {
		t.Error("the kernel was not told at the close")
	}
	if got := string(b.read(Root, "f")); got != "two" {
		t.Errorf("after the close the file reads %q", got)
	}
}

func TestNewsOfLargeDirectoriesCostLittle(t *testing.T) {
	t.Parallel()
	b, _ := newTold(t, func(c *Config) { c.Attrs = AttrsList })
	const many = 2500
	for i := range many {
		b.foreign(fmt.Sprintf("p/f%04d", i), "x")
	}
	all := len(b.names(Root))
	b.RemoteChanged(b.foreign("p/new", "n"), b.foreignRemoval("p/f0007"), b.foreign("p/f0008", "longer"))
	n := b.requests(func() {
		if got := len(b.names(Root)); got != all {
			t.Errorf("%d names, want %d", got, all)
		}
	})
	if n != 6 {
		t.Errorf("news of three names of %d makes %d requests, want 6", many, n)
	}
	_, err := b.Lookup(t.Context(), Root, "newer")
	b.is(err, ErrNotExist)
	b.RemoteChanged(b.foreign("p/newer", "n"))
	if n := b.requests(func() { b.lookup("newer") }); n != 2 {
		t.Errorf("looking up a name of which there is news makes %d requests, want 2", n)
	}
	all++
	// Of very many single names none is kept.
	var changes []s3backend.Change
	for i := range 4 * newsOfDir {
		changes = append(changes, b.foreign(fmt.Sprintf("p/g%04d", i), "x"))
	}
	b.RemoteChanged(changes...)
	if n := b.requests(func() {
		if got := len(b.names(Root)); got != all+len(changes) {
			t.Errorf("%d names, want %d", got, all+len(changes))
		}
	}); n > 4 {
		t.Errorf("the listing takes %d requests", n)
	}
	if n := b.requests(func() { b.names(Root) }); n > 0 {
		t.Errorf("old news makes %d requests", n)
	}
}

func TestDoubtOfAll(t *testing.T) {
	t.Parallel()
	b, _ := newTold(t)
	b.foreign("p/d/f", "one")
	d := b.lookup("d")
	b.listed(d, "f")
	b.foreign("p/d/g", "two")
	b.listed(d, "f")
	b.DoubtAll()
	b.listed(d, "f", "g")
	if n := b.requests(func() { b.listed(d, "f", "g"); b.lookup("d", "g") }); n > 1 { // the root's
		t.Errorf("%d requests after all was asked", n)
	}
}

func TestWhatIsInDoubtIsServedOffline(t *testing.T) {
	t.Parallel()
	var faults *remotetest.Faults
	b, _ := newTold(t, func(c *Config) {
		faults = remotetest.NewFaults(c.Remote)
		c.Remote = faults
	})
	ch := b.foreign("p/d/f", "one")
	d := b.lookup("d")
	b.listed(d, "f")
	b.read(d, "f")
	ch.ETag = "another"
	faults.Offline(true)
	b.RemoteChanged(ch)
	b.DoubtAll()
	b.listed(d, "f")
	if got := string(b.read(d, "f")); got != "one" {
		t.Errorf("offline the file reads %q", got)
	}
	faults.Offline(false)
	b.foreign("p/d/f", "two")
	b.soon("the new version", func() bool { got, err := b.tryRead(d, "f"); return err == nil && string(got) == "two" })
}
