package cache

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

func byBucket(c *Config) { c.ExclusiveCreate = ExclusiveBucket }

// makeOne makes a file with O_EXCL, or a directory.
func (b *bench) makeOne(ctx context.Context, name string, kind Kind) error {
	if kind == Dir {
		_, err := b.Make(ctx, Root, name, New{Kind: Dir, Mode: 0o755})
		return err
	}
	_, h, err := b.Create(ctx, Root, name, New{Mode: 0o600, Exclusive: true})
	if err == nil {
		err = h.Flush(ctx)
		h.Release()
	}
	return err
}

var claimed = map[string]Kind{"f": File, "d": Dir}

func TestOneOfTwoMountsMakesIt(t *testing.T) {
	t.Parallel()
	a := newBench(t, byBucket)
	b := newBench(t, byBucket, func(c *Config) { c.Remote = a.mem })
	a.names(Root)
	b.names(Root) // both believe the names to be free
	for name, kind := range claimed {
		for round := range 20 {
			name := name + string(rune('a'+round))
			mounts := []*bench{a, b, a, b}
			errs := make([]error, len(mounts))
			var wg sync.WaitGroup
			for i, m := range mounts {
				wg.Go(func() { errs[i] = m.makeOne(t.Context(), name, kind) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, ErrExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d made it: %v", name, won, errs)
			}
			a.lookup(name)
			b.lookup(name)
		}
	}
	for _, m := range []*bench{a, b} {
		m.ok(m.drainSoon())
		m.noConflicts()
	}
}

// What was made so is written, removed and made again like anything else.
func TestClaimedThenUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t, byBucket)
	ctx := t.Context()
	b.ok(b.makeOne(ctx, "f", File))
	b.ok(b.makeOne(ctx, "d", Dir))
	b.bucket(map[string]string{"p/f": "", "p/d/": ""})
	if _, found := b.row("p/d/"); found {
		t.Error("the marker is sent twice")
	}
	b.is(b.makeOne(ctx, "f", File), ErrExist)
	b.is(b.makeOne(ctx, "d", Dir), ErrExist)
	b.write(Root, "f", []byte("written"))
	b.write(b.lookup("d"), "in", []byte("in"))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "written", "p/d/": "", "p/d/in": "in"})
	b.ok(b.Unlink(ctx, Root, "f"))
	b.ok(b.makeOne(ctx, "f", File)) // the deletion goes first
	b.bucket(map[string]string{"p/f": "", "p/d/": "", "p/d/in": "in"})
	b.ok(b.Rename(ctx, Rename{OldParent: Root, OldName: "d", NewParent: Root, NewName: "e"}))
	b.ok(b.makeOne(ctx, "d", Dir))
	b.ok(b.Unlink(ctx, Root, "f"))
	b.reopen()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/d/": "", "p/e/": "", "p/e/in": "in"})
	b.noConflicts()
}

// Offline nothing is made, and nothing is left when the network is back.
func TestNothingIsClaimedOffline(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, byBucket)
	b.names(Root)
	for name, kind := range claimed {
		faults.Offline(true)
		if err := b.makeOne(t.Context(), name, kind); Cause(err) != FailOffline {
			t.Errorf("%s: %v", name, err)
		}
		b.listed(Root)
		faults.Offline(false)
		b.ok(b.drainSoon())
		b.bucket(map[string]string{})
	}
}

// An object that was put though nobody said so is ours if it can be asked for,
// else it is removed again; never that of another.
func TestClaimWithALostReply(t *testing.T) {
	t.Parallel()
	for name, kind := range claimed {
		b, faults := newFaulty(t, byBucket)
		faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
		b.ok(b.makeOne(t.Context(), name, kind))
		b.lookup(name)

		b, faults = newFaulty(t, byBucket)
		b.names(Root)
		faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline, When: remotetest.After})
		faults.Fail(remotetest.Fault{Op: "head", Kind: s3backend.Offline})
		if err := b.makeOne(t.Context(), name, kind); Cause(err) != FailOffline {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.mem.Keys()) != 1 {
			t.Fatalf("bucket has %q", b.mem.Keys())
		}
		b = b.crash()
		b.listed(Root)
		b.ok(b.drainSoon())
		b.bucket(map[string]string{})
	}
}

func TestClaimLeavesWhatOthersPut(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, byBucket)
	b.names(Root)
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Offline})
	faults.Fail(remotetest.Fault{Op: "head", Kind: s3backend.Offline})
	if err := b.makeOne(t.Context(), "f", File); Cause(err) != FailOffline {
		t.Errorf("got %v", err)
	}
	b.mem.Set("p/f", []byte("theirs"), nil)
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f": "theirs"})
	b.is(b.makeOne(t.Context(), "f", File), ErrExist)
}
