package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// newFaulty is newBench with a bucket whose calls can be made to fail.
func newFaulty(t testing.TB, edit ...func(*Config)) (*bench, *remotetest.Faults) {
	t.Helper()
	var faults *remotetest.Faults
	b := newBench(t, append([]func(*Config){func(c *Config) {
		faults = remotetest.NewFaults(c.Remote)
		c.Remote = faults
	}}, edit...)...)
	return b, faults
}

// someBytes returns bytes of which no two blocks are alike, faster than
// randomBytes.
func someBytes(n int, seed uint64) []byte {
	const block = 4096
	b := bytes.Repeat(randomBytes(block, seed), n/block+1)[:n]
	for off := 0; off+8 <= n; off += block {
		binary.BigEndian.PutUint64(b[off:], uint64(off)^seed<<48)
	}
	return b
}

// drainSoon drains with a limit far below the time after which a stalled drain
// gives up by itself.
func (b *bench) drainSoon() error {
	ctx, cancel := context.WithTimeout(b.t.Context(), 40*time.Second)
	defer cancel()
	return b.Drain(ctx, nil)
}

// attempt brings one key to the bucket and returns when that has failed.
func (b *bench) attempt(key string) {
	b.t.Helper()
	b.queue.waitFor([]string{key})
	b.until("the first attempt at "+key, func() bool {
		r, found := b.row(key)
		return found && r.Attempts > 0
	})
}

// row returns the row of a key.
func (b *bench) row(key string) (r *journal.Row, found bool) {
	b.t.Helper()
	b.ok(b.view(func(tx *journal.Tx) (err error) {
		r, found, err = tx.Row(key)
		return err
	}))
	return r, found
}

// until waits for a condition.
func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); {
		if time.Now().After(end) {
			b.t.Fatalf("%s did not come", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// noConflicts fails if a write of ours was taken for somebody else's.
func (b *bench) noConflicts() {
	b.t.Helper()
	if s := b.Status(); len(s.Conflicts) > 0 {
		b.t.Fatalf("conflicts with ourselves: %+v", s.Conflicts)
	}
}

// A put whose reply was lost must not hide what was written after it.
func TestWriteAfterALostReplyIsSent(t *testing.T) {
	t.Parallel()
	for _, existing := range []bool{false, true} {
		t.Run(fmt.Sprintf("existing %v", existing), func(t *testing.T) {
			t.Parallel()
			b, faults := newFaulty(t)
			if existing {
				b.mem.Set("p/f", []byte("before"), nil)
			}
			b.write(Root, "f", []byte("first content"))
			faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
			b.attempt("p/f")
			b.write(Root, "f", []byte("second"))
			b.ok(b.drainSoon())
			b.noConflicts()
			b.bucket(map[string]string{"p/f": "second"})
		})
	}
}

// An upload in parts goes on only with parts of the content that it is for.
func TestResumedUploadIsOneContent(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	one, two := someBytes(12<<20, 1), someBytes(12<<20, 2)
	b.write(Root, "f", one)
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.Midway})
	b.attempt("p/f")
	h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, two, 0)
	b.ok(h.Flush(t.Context()))
	h.Release()
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/f": string(two)})
}

// The save of an editor after one whose reply was lost: another inode at the
// same key is another content.
func TestRenameOverALostReplyIsSent(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	save := func(data string) {
		b.write(Root, "tmp", []byte(data))
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "tmp", NewParent: Root, NewName: "f"}))
	}
	save("first save")
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
	b.attempt("p/f")
	save("second")
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/f": "second"})
	if got := b.read(Root, "f"); string(got) != "second" {
		t.Errorf("reads %q", got)
	}
}

// A file that is unlinked or renamed before the outcome of its put is known
// does not come back.
func TestUnlinkAfterALostReply(t *testing.T) {
	t.Parallel()
	for _, existing := range []bool{false, true} {
		for _, away := range []string{"unlink", "rename", "create"} {
			t.Run(fmt.Sprintf("existing %v, %s", existing, away), func(t *testing.T) {
				t.Parallel()
				unlinkAfterALostReply(t, existing, away)
			})
		}
	}
}

func unlinkAfterALostReply(t *testing.T, existing bool, away string) {
	b, faults := newFaulty(t)
	want := map[string]string{}
	if existing {
		b.mem.Set("p/f", []byte("before"), nil)
	}
	b.write(Root, "f", []byte("content"))
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
	b.attempt("p/f")
	if away == "rename" {
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g"}))
		want["p/g"] = "content"
	} else {
		b.ok(b.Unlink(t.Context(), Root, "f"))
	}
	if away == "create" {
		b.write(Root, "f", []byte("again"))
		want["p/f"] = "again"
	}
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(want)
}

// An upload in parts of a file that was unlinked is aborted.
func TestUploadOfAnUnlinkedFileIsAborted(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.write(Root, "f", someBytes(12<<20, 3))
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.Midway})
	b.attempt("p/f")
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{})
	b.until("the abort", func() bool {
		left, err := b.mem.PendingUploads(t.Context(), "")
		b.ok(err)
		return len(left) == 0
	})
}

// An upload that somebody else has under way at the same key goes on.
func TestUploadsOfOthersGoOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	theirs := remotetest.NewFaults(b.mem)
	theirs.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.Midway})
	body := someBytes(12<<20, 4)
	var begun s3backend.Upload
	put := s3backend.Put{Key: "p/f", Body: bytes.NewReader(body), Size: int64(len(body)),
		Progress: func(u s3backend.Upload) error { begun = u; return nil }}
	if _, err := theirs.Put(t.Context(), put); s3backend.KindOf(err) != s3backend.Offline || len(begun.Parts) == 0 {
		t.Fatalf("%v, after %+v", err, begun)
	}
	b.write(Root, "f", someBytes(12<<20, 3))
	b.ok(b.drainSoon())
	b.ok(b.Unlink(t.Context(), Root, "f"))
	b.ok(b.drainSoon())
	put.Resume, put.Progress = begun, func(u s3backend.Upload) error {
		if u.ID != begun.ID {
			return errors.New("begun anew")
		}
		return nil
	}
	_, err := b.mem.Put(t.Context(), put)
	b.ok(err)
	b.bucket(map[string]string{"p/f": string(body)})
}

// A row that waits for one that S3 refuses does not keep a drain waiting.
func TestDrainEndsWhenTheRestIsRefused(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/a", []byte("A"), nil)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b"}))
	faults.Fail(remotetest.Fault{Op: "copy", Kind: s3backend.Denied, Forever: true})
	began := time.Now()
	var left *Unfinished
	if err := b.drainSoon(); !errors.As(err, &left) || time.Since(began) > 8*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	faults.Heal()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/b": "A"})
}

// What must be fetched before its key may change, and may not be, is refused
// work like any other.
func TestDrainEndsWhenAFetchIsRefused(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/a", []byte("A"), nil)
	b.mem.Set("p/b", []byte("B"), nil)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b", Exchange: true}))
	faults.Fail(remotetest.Fault{Op: "get", Kind: s3backend.Denied, Forever: true})
	began := time.Now()
	var left *Unfinished
	if err := b.drainSoon(); !errors.As(err, &left) || time.Since(began) > 8*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	refused, ago := 0, time.Now()
	for _, key := range []string{"p/a", "p/b"} {
		if r, found := b.row(key); found && r.Error != "" {
			refused++
			if wait := time.Unix(0, r.NotBefore).Sub(ago); wait < retryRefused/4 || r.Progress != journal.Refusing {
				t.Errorf("%s is tried again in %v; its row says %v", key, wait, r.Progress)
			}
		}
	}
	if refused == 0 {
		t.Error("no row says that it was refused")
	}
	faults.Heal()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/a": "B", "p/b": "A"})
}

// A fetch that fails time after time is made more and more rarely.
func TestFetchOfACycleIsPutOff(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/a", []byte("A"), nil)
	b.mem.Set("p/b", []byte("B"), nil)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b", Exchange: true}))
	faults.Fail(remotetest.Fault{Op: "get", Kind: s3backend.Corrupt, Forever: true})
	b.queue.waitFor(nil)
	b.until("a second attempt", func() bool {
		ra, _ := b.row("p/a")
		rb, _ := b.row("p/b")
		return ra != nil && ra.Attempts > 1 || rb != nil && rb.Attempts > 1
	})
	faults.Heal()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/a": "B", "p/b": "A"})
}

// A local change of a large file that is all here needs no base: not after
// others deleted it, nor for a copy whose source is gone, nor when parked.
func TestLargeFileWithoutItsBaseIsSentWhole(t *testing.T) {
	t.Parallel()
	data := someBytes(12<<20, 4)
	patched := bytes.Clone(data)
	copy(patched[11<<20:], "patched")
	patch := func(b *bench) {
		h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{Write: true})
		b.ok(err)
		b.put(h, []byte("patched"), 11<<20)
		b.ok(h.Flush(t.Context()))
		h.Release()
	}
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.write(Root, "f", data)
		b.drain()
		patch(b)
		b.mem.Remove("p/f")
		b.ok(b.drainSoon())
		b.bucket(map[string]string{"p/f": string(patched)})
	})
	t.Run("renamed", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.write(Root, "f", data)
		b.drain()
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g"}))
		b.mem.Remove("p/f")
		b.ok(b.drainSoon())
		b.bucket(map[string]string{"p/g": string(data)})
	})
	t.Run("parked", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.write(Root, "f", data)
		b.drain()
		patch(b)
		b.mem.Set("p/f", []byte("theirs"), nil)
		b.ok(b.drainSoon())
		x := b.Status().Conflicts
		if len(x) != 1 {
			t.Fatalf("conflicts %+v", x)
		}
		b.bucket(map[string]string{"p/f": "theirs", x[0].Parked: string(patched)})
	})
}

// A file whose base is gone and not all here is parked whole where the bucket
// kept the old version; elsewhere what was written here is kept, nothing is
// sent, and the rest is an error.
func TestParkedWithAPartlyCachedBase(t *testing.T) {
	t.Parallel()
	for _, versioned := range []bool{false, true} {
		t.Run(fmt.Sprintf("versioned %v", versioned), func(t *testing.T) {
			t.Parallel()
			parkPartly(t, versioned)
		})
	}
}

func parkPartly(t *testing.T, versioned bool) {
	mem := remotetest.NewMemory(remotetest.Settings{Versioned: versioned})
	b := newBench(t, func(c *Config) { c.Remote = mem }).on(mem)
	ctx := t.Context()
	data := someBytes(12<<20, 5)
	mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 11<<20)
	b.ok(h.Flush(ctx))
	copy(data[11<<20:], "patched")
	mem.Set("p/f", []byte("theirs"), nil)
	err = b.drainSoon()
	x := b.Status().Conflicts
	if len(x) != 1 {
		t.Fatalf("conflicts %+v", x)
	}
	if versioned {
		b.ok(err)
		b.bucket(map[string]string{"p/f": "theirs", x[0].Parked: string(data)})
	} else {
		var left *Unfinished
		if !errors.As(err, &left) {
			t.Errorf("drain: %v", err)
		}
		b.bucket(map[string]string{"p/f": "theirs"})
		p := make([]byte, 7)
		_, err = h.ReadAt(ctx, p, 11<<20)
		b.ok(err)
		if string(p) != "patched" {
			t.Errorf("reads %q", p)
		}
		_, err = h.ReadAt(ctx, p, 2<<20)
		b.is(err, ErrStale)
	}
	h.Release()
}

// A tree is flushed with all that its rows wait for.
func TestFlushOfATreeWithBlockedRows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.mem.Set("p/a/x", []byte("x"), nil)
	b.mem.Set("p/b/y", []byte("y"), nil)
	a, z := b.lookup("a"), b.lookup("b")
	b.ok(b.Rename(ctx, Rename{OldParent: a, OldName: "x", NewParent: z, NewName: "y", Exchange: true}))
	b.ok(b.Rename(ctx, Rename{OldParent: a, OldName: "x", NewParent: Root, NewName: "top"}))
	b.write(Root, "other", []byte("stays queued"))
	short, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	b.ok(b.FlushPath(short, "a", nil))
	b.ok(b.FlushPath(short, "b", nil))
	b.bucket(map[string]string{"p/a/": "", "p/b/y": "x", "p/top": "y"})
}

// What was queued while the bucket could not be reached goes when it can.
func TestOfflineThenOnline(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/old", []byte("old"), nil)
	b.listed(Root, "old")
	b.read(Root, "old")
	faults.Offline(true)
	b.write(Root, "new", []byte("new"))
	b.attempt("p/new")
	b.until("offline", func() bool { return b.Status().Network.State == Offline })
	if got := b.read(Root, "old"); string(got) != "old" {
		t.Errorf("reads %q", got)
	}
	b.listed(Root, "new", "old")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var left *Unfinished
	if err := b.Drain(short, nil); !errors.As(err, &left) || left.Files != 1 {
		t.Errorf("drain: %v", err)
	}
	faults.Offline(false)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/new": "new", "p/old": "old"})
}

// Refused work is tried again when somebody asks, and only then.
func TestRefusedIsTriedOnRequest(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Denied, Forever: true})
	b.write(Root, "f", []byte("one"))
	if err := b.FlushPath(t.Context(), "f", nil); Cause(err) != FailDenied {
		t.Fatalf("flush: %v", err)
	}
	if s := b.Status(); s.Refused != 1 || len(s.Work) != 1 || !strings.HasPrefix(s.Work[0].State, "upload: failed") {
		t.Errorf("status %+v", s)
	}
	b.write(Root, "f", []byte("two"))
	faults.Heal()
	b.ok(b.FlushPath(t.Context(), "f", nil))
	b.bucket(map[string]string{"p/f": "two"})
}

// A partly cached file whose put lost its reply finds its bytes in what that
// put made, under whatever name the file has then.
func TestRenameOfAPartlyCachedFileAfterALostReply(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	ctx := t.Context()
	data := someBytes(12<<20, 6)
	b.mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("patched"), 11<<20)
	b.ok(h.Flush(ctx))
	h.Release()
	copy(data[11<<20:], "patched")
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
	b.attempt("p/f")
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "g"}))
	b.ok(b.drainSoon())
	b.noConflicts()
	b.bucket(map[string]string{"p/g": string(data)})
	if got := b.read(Root, "g"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
}
