package cache

import (
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

func TestPollIntervals(t *testing.T) {
	t.Parallel()
	const shortest = time.Minute
	for _, tc := range []struct {
		last time.Duration
		p    pollResult
		want time.Duration
	}{
		{shortest, pollResult{requests: 1}, 2 * shortest},
		{2 * shortest, pollResult{requests: 1}, 4 * shortest},
		{pollCalm * shortest, pollResult{requests: 1}, pollCalm * shortest},
		{pollCalm * shortest, pollResult{requests: 1, changed: true}, pollCalm * shortest / 2},
		{shortest, pollResult{requests: 1, changed: true}, shortest},
		{shortest, pollResult{requests: 5, changed: true}, 5 * shortest},
		{shortest, pollResult{requests: 100}, 100 * shortest},
		{shortest, pollResult{changed: true}, shortest},
	} {
		if got := nextInterval(tc.last, shortest, tc.p); got != tc.want {
			t.Errorf("after %v and %+v comes %v, want %v", tc.last, tc.p, got, tc.want)
		}
	}
}

func TestWatchedDirectoriesAreListedAgain(t *testing.T) {
	t.Parallel()
	b, k := newTold(t, func(c *Config) { c.Poll, c.ListTTL = 20*time.Millisecond, 20*time.Millisecond })
	for _, key := range []string{"p/d/changed", "p/d/removed", "p/d/stays", "p/other/f"} {
		b.foreign(key, "one")
	}
	d := b.lookup("d")
	b.listed(d, "changed", "removed", "stays")
	b.foreign("p/d/changed", "two")
	b.foreign("p/d/new", "new")
	b.foreignRemoval("p/d/removed")
	b.soon("the kernel to be told", func() bool {
		b.use(d, b.pollInterval()) // somebody still looks
		return k.forgot(d, "changed") && k.forgot(d, "new") && k.forgot(d, "removed")
	})
	if k.forgot(d, "stays") || k.forgot(Root, "d") {
		t.Error("the kernel was told to forget what stays")
	}
	b.soon("an end of looking", func() bool {
		b.watchMu.Lock()
		defer b.watchMu.Unlock()
		return len(b.watched) == 0
	})
}

func TestPollingIsBounded(t *testing.T) {
	t.Parallel()
	var faults *remotetest.Faults
	b, _ := newTold(t, func(c *Config) {
		faults = remotetest.NewFaults(c.Remote)
		c.Remote = faults
	})
	b.foreign("p/d/f", "one")
	d := b.lookup("d")
	b.listed(d, "f")
	due := func(dir Ino) {
		b.use(dir, slow)
		b.watchMu.Lock()
		defer b.watchMu.Unlock()
		b.watched[dir].due = time.Time{}
		b.watched[dir].interval = time.Nanosecond // the listing is old by now
	}
	due(d)
	if n := b.requests(func() { b.pollNext(slow) }); n != 1 {
		t.Errorf("a directory that is due makes %d requests", n)
	}
	if n := b.requests(func() {
		if wait := b.pollNext(slow); wait < slow/2 {
			t.Errorf("the next is due in %v", wait)
		}
	}); n > 0 {
		t.Errorf("one that is not makes %d", n)
	}
	due(d)
	faults.Offline(true)
	b.net.take(silent, &s3backend.Error{Kind: s3backend.Offline})
	if n := b.requests(func() {
		if wait := b.pollNext(slow); wait < probeMost {
			t.Errorf("offline the next is due in %v", wait)
		}
	}); n > 0 {
		t.Errorf("offline it makes %d", n)
	}
	faults.Offline(false)
	b.net.take(answered, nil)
	for dir := Ino(1000); dir < 1000+2*pollMost; dir++ {
		b.use(dir, slow)
	}
	b.watchMu.Lock()
	defer b.watchMu.Unlock()
	if _, there := b.watched[d]; len(b.watched) != pollMost || there {
		t.Errorf("%d directories are watched, the oldest: %v", len(b.watched), there)
	}
}
