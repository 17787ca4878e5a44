package cache

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// Reading goes on being cached when the cache is full of clean data.
func TestFullCacheMakesRoomForReaders(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Size = 10 << 20 })
	one, two := someBytes(8<<20, 1), someBytes(8<<20, 2)
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
	one := someBytes(8<<20, 1)
	a, z := someBytes(3<<20, 2), someBytes(3<<20, 3)
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
	data := someBytes(3<<20, 2)
	b.mem.Set("p/one", someBytes(8<<20, 1), nil)
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
	data := someBytes(24<<20, 1)
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
		data := someBytes(2<<20, i)
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
	data := someBytes(20<<20, 5)
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

// A tree that was removed here does not come back with a listing, whether its
// deletions have been sent or not.
func TestRemovedTreeStaysRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	ctx := t.Context()
	b.mem.Set("p/v/f", []byte("f"), nil)
	b.mem.Set("p/v/sub/g", []byte("g"), nil)
	v, sub := b.lookup("v"), b.lookup("v", "sub")
	b.listed(v, "f", "sub")
	b.ok(b.Unlink(ctx, sub, "g"))
	b.ok(b.Rmdir(ctx, v, "sub"))
	b.ok(b.Unlink(ctx, v, "f"))
	b.ok(b.Rmdir(ctx, Root, "v"))
	b.listed(Root)
	_, err := b.Lookup(ctx, Root, "v")
	b.is(err, ErrNotExist)
	b.ok(b.drainSoon())
	b.listed(Root)
	b.bucket(map[string]string{})
}

// A directory that seems to lose its last name, but was never listed, is not
// taken for one that only exists here.
func TestUnlistedDirectoryThatGetsAMarker(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	ctx := t.Context()
	b.mem.Set("p/v/f", []byte("f"), nil)
	b.mem.Set("p/v/g", []byte("g"), nil)
	v := b.lookup("v")
	b.ok(b.Unlink(ctx, v, "g"))
	if got, err := b.tryRead(v, "f"); err != nil || string(got) != "f" {
		t.Errorf("reads %q, %v", got, err)
	}
	b.is(b.Rmdir(ctx, Root, "v"), ErrNotEmpty)
}

// staleLists answers a listing with what was there when it began.
type staleLists struct {
	*remotetest.Memory
	hold func()
}

func (s *staleLists) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	var all []s3backend.Entry
	var end error
	for e, err := range s.Memory.List(ctx, prefix, after) {
		if end = err; err == nil {
			all = append(all, e)
		}
	}
	s.hold()
	return func(yield func(s3backend.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(s3backend.Entry{}, end)
		}
	}
}

// A listing does not undo what was done, and reached the bucket, while it ran.
func TestListingOvertakenByUploads(t *testing.T) {
	t.Parallel()
	slow := &staleLists{hold: func() {}}
	b := newBench(t, func(c *Config) {
		slow.Memory = c.Remote.(*remotetest.Memory)
		c.Remote, c.ListTTL = slow, 0
	})
	ctx := t.Context()
	for _, key := range []string{"changed", "gone", "moved", "tree/f", "e/"} {
		b.mem.Set("p/"+key, []byte(strings.Trim(key, "/")), nil)
	}
	b.mem.Set("p/e/", nil, nil)
	b.listed(Root, "changed", "e", "gone", "moved", "tree")
	tree := b.lookup("tree")
	b.listed(tree, "f")
	asked, answer, read := make(chan struct{}), make(chan struct{}), make(chan []string)
	slow.hold = func() { close(asked); <-answer }
	go func() { read <- b.names(Root) }()
	<-asked
	slow.hold = func() {}
	ino := b.lookup("changed")
	h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("CHANGED"), 0)
	b.ok(h.Flush(ctx))
	_, n, err := b.Create(ctx, Root, "new", New{Mode: 0o600})
	b.ok(err)
	b.put(n, []byte("new"), 0)
	b.ok(n.Flush(ctx))
	_, err = b.Make(ctx, Root, "made", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	b.ok(b.Unlink(ctx, Root, "gone"))
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "moved", NewParent: Root, NewName: "there"}))
	b.ok(b.Unlink(ctx, tree, "f"))
	b.ok(b.Rmdir(ctx, Root, "tree"))
	b.ok(b.drainSoon())
	close(answer)
	if got, want := <-read, []string{"changed", "e", "made", "new", "there"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	b.put(h, []byte("again"), 0)
	b.put(n, []byte("again"), 0)
	h.Release()
	n.Release()
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/changed": "againED", "p/e/": "", "p/made/": "", "p/new": "again", "p/there": "moved"})
}

// A conflict over a key with no room for a longer name keeps both contents
// too, and does not stop the queue.
func TestConflictOfALongestKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := "p/" + strings.Repeat("d", 250) + "/" + strings.Repeat("e", 250) + "/" + strings.Repeat("f", 250) + "/" + strings.Repeat("g", 260) + "/h"
	b.mem.Set(key, []byte("before"), nil)
	var path string
	for path = range b.files(Root, "") {
	}
	dir, name := b.where(path)
	ino := b.write(dir, name, []byte("ours"))
	b.mem.Set(key, []byte("theirs"), nil)
	b.write(Root, "other", []byte("other"))
	drained := b.drainSoon()
	all := b.all()
	if all["p/other"] != "other" || all[key] != "theirs" {
		t.Fatalf("bucket %q", all)
	}
	found := slices.Contains(slices.Collect(func(yield func(string) bool) {
		for _, body := range all {
			if !yield(body) {
				return
			}
		}
	}), "ours")
	if rec, err := b.record(ino); !found && (err != nil || rec.State == journal.Flushing) {
		t.Errorf("drain: %v; ours is neither in the bucket nor refused: state %v", drained, rec)
	}
}

// Room is made of what is closed; what is still being written is sent only if
// nothing else can make room.
func TestFullCacheSparesWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("something is closed %v", closed), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) { c.Size, c.ReadAhead = 20<<20, 1<<20 })
			half, one := someBytes(1<<20, 1), someBytes(14<<20, 2)
			if closed {
				b.write(Root, "one", one)
			} else {
				half = append(half, one...)
			}
			_, open, err := b.Create(t.Context(), Root, "half", New{Mode: 0o600})
			b.ok(err)
			defer open.Release()
			b.put(open, half, 0)
			b.write(Root, "two", someBytes(8<<20, 3)) // waits for room
			urgent := make(chan bool)
			b.queue.do(func() {
				it := b.queue.items["p/half"]
				urgent <- it == nil || it.urgent
			})
			if sent := <-urgent; sent == closed {
				t.Errorf("what is being written is sent: %v", sent)
			}
		})
	}
}
