package cache

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

func policy(p ConflictPolicy) func(*Config) { return func(c *Config) { c.OnConflict = p } }

// changedBoth leaves "ours" here and "theirs" in the bucket at p/NAME.
func changedBoth(t *testing.T, p ConflictPolicy, name string) *bench {
	t.Helper()
	b := newBench(t, policy(p))
	b.mem.Set("p/"+name, []byte("base"), nil)
	b.lookup(name)
	b.write(Root, name, []byte("ours"))
	b.mem.Set("p/"+name, []byte("theirs"), nil)
	b.ok(b.drainSoon())
	return b
}

// oneConflict returns the only conflict.
func (b *bench) oneConflict() ConflictInfo {
	b.t.Helper()
	all, err := b.Conflicts()
	b.ok(err)
	if len(all) != 1 {
		b.t.Fatalf("conflicts %+v", all)
	}
	return all[0]
}

func TestMineReplacesTheirs(t *testing.T) {
	t.Parallel()
	b := changedBoth(t, MineWins, "f.txt")
	b.noConflicts()
	b.listed(Root, "f.txt")
	b.bucket(map[string]string{"p/f.txt": "ours"})
}

func TestTheirsKeepsOursForADecision(t *testing.T) {
	t.Parallel()
	for _, mine := range []bool{false, true} {
		b := changedBoth(t, TheirsWins, "f.txt")
		b.listed(Root, "f.txt")
		if got := b.read(Root, "f.txt"); string(got) != "theirs" {
			t.Errorf("reads %q", got)
		}
		b.bucket(map[string]string{"p/f.txt": "theirs"})
		b.reopen()
		b.makeRoom(1 << 40) // evicts what may go
		x := b.oneConflict()
		if x.Path != "p/f.txt" || x.Parked != "" || x.File != "" || x.Size != 4 {
			t.Errorf("conflict %+v", x)
		}
		want := "theirs"
		if mine {
			b.ok(b.KeepMine(t.Context(), x.ID))
			want = "ours"
		} else {
			b.ok(b.KeepTheirs(t.Context(), x.ID))
		}
		b.noConflicts()
		b.ok(b.drainSoon())
		b.reopen()
		b.noConflicts()
		if got := b.read(Root, "f.txt"); string(got) != want {
			t.Errorf("reads %q, want %q", got, want)
		}
		b.bucket(map[string]string{"p/f.txt": want})
		b.is(b.KeepMine(t.Context(), x.ID), ErrNoConflict)
		b.is(b.KeepTheirs(t.Context(), x.ID), ErrNoConflict)
	}
}

// Writers of a file that lost its name go on, and their bytes are kept.
func TestTheirsWithAnOpenWriter(t *testing.T) {
	t.Parallel()
	b := newBench(t, policy(TheirsWins))
	ctx := t.Context()
	b.mem.Set("p/f", []byte("base"), nil)
	h, err := b.Cache.Open(ctx, b.lookup("f"), OpenMode{Write: true, Truncate: true})
	b.ok(err)
	b.put(h, []byte("ours"), 0)
	b.ok(h.Flush(ctx))
	b.mem.Set("p/f", []byte("theirs"), nil)
	b.ok(b.drainSoon())
	b.put(h, []byte(" more"), 4)
	b.ok(h.Flush(ctx))
	h.Release()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "theirs"})
	b.reopen()
	b.ok(b.KeepMine(ctx, b.oneConflict().ID))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "ours more"})
}

// What waits for a decision survives the loss of the journal.
func TestTheirsWithoutAJournal(t *testing.T) {
	t.Parallel()
	b := changedBoth(t, TheirsWins, "f.txt")
	b.ok(b.Cache.Close())
	logs, err := filepath.Glob(filepath.Join(b.cfg.Dir, "db", "*"))
	b.ok(err)
	for _, name := range logs {
		if strings.HasSuffix(name, ".mem") || strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, "MANIFEST") {
			b.ok(os.WriteFile(name, []byte("no journal at all"), 0o600))
		}
	}
	b.open()
	b.listed(Root, "f.txt")
	b.ok(b.KeepMine(t.Context(), b.oneConflict().ID))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f.txt": "ours"})
}

func TestDecisionsOfAParkedFile(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, c := range map[string]struct {
		decide func(b *bench, x ConflictInfo) error
		want   []string
	}{
		"keep-mine":   {func(b *bench, x ConflictInfo) error { return b.KeepMine(ctx, x.ID) }, []string{"ours"}},
		"keep-theirs": {func(b *bench, x ConflictInfo) error { return b.KeepTheirs(ctx, x.ID) }, []string{"theirs"}},
		"unlink":      {func(b *bench, x ConflictInfo) error { return b.Unlink(ctx, Root, x.File) }, []string{"theirs"}},
		"rename": {func(b *bench, x ConflictInfo) error {
			return b.Rename(ctx, Rename{OldParent: Root, OldName: x.File, NewParent: Root, NewName: "other"})
		}, []string{"ours", "theirs"}},
		"exchange": {func(b *bench, x ConflictInfo) error {
			return b.Rename(ctx, Rename{OldParent: Root, OldName: x.File, NewParent: Root, NewName: "f.txt", Exchange: true})
		}, []string{"ours", "theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := changedBoth(t, KeepBoth, "f.txt")
			x := b.oneConflict()
			if !strings.HasPrefix(x.File, "f (conflict host ") || !strings.HasSuffix(x.File, ").txt") || x.Parked != "p/"+x.File {
				t.Errorf("conflict %+v", x)
			}
			b.ok(c.decide(b, x))
			b.noConflicts()
			b.ok(b.drainSoon())
			b.reopen()
			b.noConflicts()
			if got := slices.Sorted(maps.Values(b.all())); !slices.Equal(got, c.want) {
				t.Errorf("bucket %q, want %q", b.all(), c.want)
			}
		})
	}
}

// The conflicts of all mounts of a machine are decided by ID.
func TestConflictsOfTwoCachesHaveTwoIDs(t *testing.T) {
	t.Parallel()
	a, b := changedBoth(t, KeepBoth, "f.txt").oneConflict(), changedBoth(t, KeepBoth, "f.txt").oneConflict()
	if a.ID == b.ID {
		t.Errorf("both are called %s", a.ID)
	}
}

// Ours replaces only the version of theirs that was seen when it was chosen.
func TestKeepMineMeetsALaterChange(t *testing.T) {
	t.Parallel()
	for _, p := range []ConflictPolicy{KeepBoth, TheirsWins} {
		b := changedBoth(t, p, "f.txt")
		b.ok(b.KeepMine(t.Context(), b.oneConflict().ID))
		b.mem.Set("p/f.txt", []byte("later"), nil)
		b.ok(b.drainSoon())
		if body, _ := b.mem.Body("p/f.txt"); string(body) != "later" {
			t.Errorf("%s: the bucket has %q", p, body)
		}
		x := b.oneConflict()
		b.ok(b.KeepMine(t.Context(), x.ID))
		b.ok(b.drainSoon())
		b.bucket(map[string]string{"p/f.txt": "ours"})
	}
}

// A parked file that meets another conflict keeps one mark and its original.
func TestParkedOnce(t *testing.T) {
	t.Parallel()
	b := changedBoth(t, KeepBoth, "f.txt")
	first := b.oneConflict()
	b.write(Root, first.File, []byte("again"))
	b.mem.Set(first.Parked, []byte("theirs too"), nil)
	b.ok(b.drainSoon())
	x := b.oneConflict()
	if strings.Count(x.File, "(conflict") != 1 || !strings.HasSuffix(x.File, ").txt") || x.Path != "p/f.txt" || x.File == first.File {
		t.Errorf("conflict %+v after %+v", x, first)
	}
	b.bucket(map[string]string{"p/f.txt": "theirs", first.Parked: "theirs too", x.Parked: "again"})
}

func TestDecisionsOfOddNames(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"p/..", "p/a\x00b", "p/d//x", "p/" + strings.Repeat("l", 300), "p/new\nline \xff(conflict).txt", "p/.bashrc"} {
		for _, pol := range []ConflictPolicy{KeepBoth, TheirsWins} {
			b := newBench(t, policy(pol))
			b.mem.Set(key, []byte("base"), nil)
			var path string
			for path = range b.files(Root, "") {
			}
			dir, name := b.where(path)
			b.write(dir, name, []byte("ours"))
			b.mem.Set(key, []byte("theirs"), nil)
			b.ok(b.drainSoon())
			x := b.oneConflict()
			if x.Path != key {
				t.Errorf("%q: conflict %+v", key, x)
			}
			b.ok(b.KeepMine(t.Context(), x.ID))
			b.ok(b.drainSoon())
			b.noConflicts()
			if body, _ := b.mem.Body(key); string(body) != "ours" {
				t.Errorf("%q, %s: bucket %q", key, pol, b.all())
			}
			if got := b.files(Root, ""); len(got) != 1 || got[path] != "ours" {
				t.Errorf("%q, %s: shows %q", key, pol, got)
			}
		}
	}
}

// Content wins over absence, whatever the policy.
func TestDeletedAgainstChanged(t *testing.T) {
	t.Parallel()
	for _, p := range []ConflictPolicy{KeepBoth, MineWins, TheirsWins} {
		b := newBench(t, policy(p))
		b.mem.Set("p/here", []byte("base"), nil)
		b.mem.Set("p/there", []byte("base"), nil)
		b.listed(Root, "here", "there")
		b.ok(b.Unlink(t.Context(), Root, "here"))
		b.mem.Set("p/here", []byte("theirs"), nil)
		b.write(Root, "there", []byte("ours"))
		b.mem.Remove("p/there")
		b.ok(b.drainSoon())
		b.noConflicts()
		b.bucket(map[string]string{"p/here": "theirs", "p/there": "ours"})
		b.listed(Root, "here", "there")
	}
}

// A file and a directory of one name are both there, whoever made which.
func TestDirectoryAgainstFile(t *testing.T) {
	t.Parallel()
	for _, p := range []ConflictPolicy{KeepBoth, MineWins, TheirsWins} {
		b := newBench(t, always, policy(p))
		b.write(Root, "file", []byte("ours"))
		b.mem.Set("p/file/in", []byte("theirs"), nil)
		d, err := b.Make(t.Context(), Root, "dir", New{Kind: Dir, Mode: 0o755})
		b.ok(err)
		b.write(d.Ino, "in", []byte("ours"))
		b.mem.Set("p/dir", []byte("theirs"), nil)
		b.ok(b.drainSoon())
		b.noConflicts()
		b.bucket(map[string]string{"p/file": "ours", "p/file/in": "theirs", "p/dir/": "", "p/dir/in": "ours", "p/dir": "theirs"})
		if got := slices.Sorted(maps.Values(b.files(Root, ""))); !slices.Equal(got, []string{"ours", "ours", "theirs", "theirs"}) {
			t.Errorf("%s: shows %q", p, b.files(Root, ""))
		}
	}
}

func TestRenameIntoAKeyThatAppeared(t *testing.T) {
	t.Parallel()
	for p, want := range map[ConflictPolicy]string{MineWins: "ours", TheirsWins: "theirs"} {
		b := newBench(t, policy(p))
		b.mem.Set("p/a", []byte("ours"), nil)
		b.listed(Root, "a")
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "a", NewParent: Root, NewName: "b"}))
		b.mem.Set("p/b", []byte("theirs"), nil)
		b.ok(b.drainSoon())
		b.bucket(map[string]string{"p/b": want})
		b.listed(Root, "b")
		if p == TheirsWins {
			b.reopen()
			b.ok(b.KeepMine(t.Context(), b.oneConflict().ID))
			b.ok(b.drainSoon())
			b.bucket(map[string]string{"p/b": "ours"})
		}
		b.noConflicts()
	}
}

// A part of a file whose base is gone is kept, and never sent with zeros.
func TestPartOfALostBase(t *testing.T) {
	t.Parallel()
	for _, p := range []ConflictPolicy{KeepBoth, MineWins, TheirsWins} {
		b := newBench(t, policy(p), func(c *Config) { c.ReadAhead = 0 })
		ctx := t.Context()
		b.mem.Set("p/f", someBytes(24<<20, 5), nil)
		ino := b.lookup("f")
		h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
		b.ok(err)
		_, err = h.ReadAt(ctx, make([]byte, 4096), 0) // clean, and nobody can fetch it again
		b.ok(err)
		b.put(h, []byte("patched"), 23<<20)
		b.ok(h.Flush(ctx))
		b.mem.Set("p/f", []byte("theirs"), nil)
		var left *Unfinished
		if err := b.drainSoon(); p != TheirsWins && !errors.As(err, &left) {
			t.Errorf("%s: drain: %v", p, err)
		}
		b.bucket(map[string]string{"p/f": "theirs"})
		if p != TheirsWins {
			state, err := b.Xattr(ctx, ino, XattrState)
			if err != nil || !strings.Contains(string(state), "conflict: base lost") {
				t.Errorf("%s: state %q, %v", p, state, err)
			}
		}
		got := make([]byte, 7)
		_, err = h.ReadAt(ctx, got, 23<<20)
		b.ok(err)
		if string(got) != "patched" {
			t.Errorf("%s: reads %q", p, got)
		}
		_, err = h.ReadAt(ctx, got, 18<<20)
		b.is(err, ErrStale)
		var e *journal.Extents
		b.ok(b.view(func(tx *journal.Tx) (err error) {
			e, _, err = tx.Extents(ino)
			return err
		}))
		if e == nil || !e.Dirty.Equal(e.Present) {
			t.Errorf("%s: not all that is here is kept: %+v", p, e)
		}
		h.Release()
	}
}

// A request that was carried out and whose reply was lost is no conflict.
func TestLostReplyIsNoConflict(t *testing.T) {
	t.Parallel()
	for _, p := range []ConflictPolicy{KeepBoth, MineWins, TheirsWins} {
		b, faults := newFaulty(t, policy(p))
		b.mem.Set("p/old", []byte("old"), nil)
		b.mem.Set("p/gone", []byte("gone"), nil)
		b.listed(Root, "gone", "old")
		large := someBytes(11<<20, 7)
		for _, op := range []string{"put", "copy", "delete"} {
			faults.Fail(remotetest.Fault{Op: op, Kind: s3backend.Offline, When: remotetest.After})
		}
		faults.Fail(remotetest.Fault{Op: "put", Key: "p/large", Kind: s3backend.Offline, When: remotetest.After})
		b.write(Root, "small", []byte("small"))
		b.write(Root, "large", large)
		b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "old", NewParent: Root, NewName: "new"}))
		b.ok(b.Unlink(t.Context(), Root, "gone"))
		b.ok(b.drainSoon())
		b.noConflicts()
		b.listed(Root, "large", "new", "small")
		b.bucket(map[string]string{"p/small": "small", "p/large": string(large), "p/new": "old"})
	}
}
