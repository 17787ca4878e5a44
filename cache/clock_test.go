package cache

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// jumps are what somebody may set a clock by.
var jumps = []time.Duration{-365 * 24 * time.Hour, -time.Hour, time.Hour, 365 * 24 * time.Hour}

// TestClockIsSetWhileMounted has the wall jump after each change: what is due
// is sent, and what is old is asked for again.
func TestClockIsSetWhileMounted(t *testing.T) {
	t.Parallel()
	for _, jump := range jumps {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) {
				c.WriteBack, c.WriteBackMax = 10*time.Millisecond, 50*time.Millisecond
				c.ListTTL, c.NegativeTTL = time.Millisecond, time.Millisecond
				c.wall = func() time.Time { return time.Now().Add(jump) } // set back by so much at once
			})
			b.write(Root, "f", []byte("new"))
			b.arrives("p/f", "new")
			d, err := b.Make(t.Context(), Root, "dir", New{Kind: Dir, Mode: 0o755})
			b.ok(err)
			b.arrives("p/dir/", "")
			b.mem.Set("p/dir/theirs", []byte("x"), nil)
			eventually(t, func() bool {
				_, err := b.Lookup(t.Context(), d.Ino, "theirs")
				return err == nil
			})
			b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f", NewParent: d.Ino, NewName: "g"}))
			b.arrives("p/dir/g", "new")
		})
	}
}

// TestClockIsSetBetweenMounts has the clock jump while nothing is mounted: what
// was listed then is not believed for longer than its TTL, what was due is
// sent, and what was refused or failed is tried again.
func TestClockIsSetBetweenMounts(t *testing.T) {
	t.Parallel()
	for _, jump := range jumps {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) { c.ListTTL, c.NegativeTTL, c.AttrTTL = time.Minute, time.Minute, time.Minute })
			b.mem.Set("p/f", []byte("old"), nil)
			b.read(Root, "f")
			b.write(Root, "dirty", []byte("queued"))
			b.ok(b.db.Update("jump", func(tx *journal.Tx) error { // as an hour ago, or ahead
				l, _, err := tx.Listing(Root)
				if err != nil {
					return err
				}
				l.Begun, l.Ended = l.Begun-int64(jump), l.Ended-int64(jump)
				r, _, err := tx.Row("p/dirty")
				if err != nil {
					return err
				}
				r.Since, r.Due, r.NotBefore = r.Since-int64(jump), r.Due-int64(jump), r.Due-int64(jump)
				if err := tx.PutRow("p/dirty", r); err != nil {
					return err
				}
				return tx.PutListing(Root, l)
			}))
			b.cfg.WriteBack, b.cfg.WriteBackMax = 10*time.Millisecond, time.Second
			b.mem.Set("p/new", []byte("theirs"), nil)
			b.mem.Set("p/f", []byte("newer"), nil)
			b.reopen()
			b.arrives("p/dirty", "queued")
			if got := string(b.read(Root, "new")); got != "theirs" {
				t.Errorf("new: %q", got)
			}
			if got := string(b.read(Root, "f")); got != "newer" {
				t.Errorf("f: %q", got)
			}
		})
	}
}

// arrives waits until a content is in the bucket.
func (b *bench) arrives(key, body string) {
	b.t.Helper()
	eventually(b.t, func() bool {
		got, there := b.mem.Body(key)
		return there && string(got) == body
	})
}

// eventually waits until cond holds.
func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}

// Stamps and times have one order, however long the process waits for a
// processor between them: a listing that began before a deletion ended must not
// bring the name back.
func TestStampsAreInOrder(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for range 20_000 {
				before, now, after := stamp(), time.Now(), stamp()
				if at := stampOf(now); before > at || at > after {
					t.Errorf("%d, then %d, then %d", before, at, after)
					return
				}
				if back := ofStamp(before); back.After(now) {
					t.Errorf("%v is after %v", back, now)
					return
				}
			}
		})
	}
	group.Wait()
}

// What was learnt before the machine slept is asked again.
func TestNaps(t *testing.T) {
	t.Parallel()
	slept := int64(0)
	w := newNapWatch(func() int64 { return slept })
	for _, nap := range []time.Duration{0, time.Second, time.Hour, 0, leastNap} {
		slept += int64(nap)
		if woke := w.woke(); woke != (nap >= leastNap) {
			t.Errorf("after %v: %v", nap, woke)
		}
	}
}
