package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	pollMost  = 64                    // directories watched; those that were used longest ago give way
	pollCalm  = 8                     // a directory without changes is listed this many times more rarely, at the most
	pollWatch = 10                    // a directory is watched for this many intervals after its last use
	pollPause = 10 * time.Millisecond // between two listings
)

// watches are the directories that were listed, or names of which were looked
// up, lately. They are listed again in the background, so that the kernel
// forgets what others have changed in them, and whoever lists them next need
// not wait.
type watches struct {
	watchMu sync.Mutex // a leaf
	watched map[Ino]*watch
}

type watch struct {
	used     time.Time
	due      time.Time
	interval time.Duration
}

// use notes that somebody looks at a directory, which is known as of then.
func (w *watches) use(dir Ino, shortest time.Duration) {
	if shortest == 0 {
		return
	}
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	now := time.Now()
	if d := w.watched[dir]; d != nil {
		d.used = now
		return
	}
	if w.watched == nil {
		w.watched = map[Ino]*watch{}
	}
	if len(w.watched) >= pollMost {
		w.dropOldest()
	}
	w.watched[dir] = &watch{used: now, due: now.Add(shortest), interval: shortest}
}

func (w *watches) dropOldest() {
	var oldest Ino
	for dir, d := range w.watched {
		if oldest == 0 || d.used.Before(w.watched[oldest].used) {
			oldest = dir
		}
	}
	delete(w.watched, oldest)
}

// next returns a directory that is due, or 0 and when one may be. What nobody
// has used for long is not watched any more.
func (w *watches) next(shortest time.Duration) (dir Ino, wait time.Duration) {
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	now := time.Now()
	wait = shortest
	for ino, d := range w.watched {
		if now.Sub(d.used) > pollWatch*shortest {
			delete(w.watched, ino)
			continue
		}
		left := d.due.Sub(now)
		if left <= 0 && (dir == 0 || d.due.Before(w.watched[dir].due)) {
			dir = ino
		}
		wait = min(wait, left)
	}
	return dir, max(wait, 0)
}

// polled notes what a listing of so many requests has shown.
func (w *watches) polled(dir Ino, shortest time.Duration, p pollResult) {
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	d := w.watched[dir]
	if d == nil {
		return
	}
	d.interval = nextInterval(d.interval, shortest, p)
	d.due = time.Now().Add(d.interval)
}

// postpone reports whether a directory is not due after all, as it was listed
// then.
func (w *watches) postpone(dir Ino, listed time.Time) bool {
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	d := w.watched[dir]
	if d == nil {
		return true
	}
	age := time.Since(listed)
	if age < 0 || age >= d.interval/2 {
		return false
	}
	d.due = time.Now().Add(d.interval - age)
	return true
}

func (w *watches) unwatch(dir Ino) {
	w.watchMu.Lock()
	defer w.watchMu.Unlock()
	delete(w.watched, dir)
}

// A pollResult is what a listing found and cost.
type pollResult struct {
	changed  bool
	requests int
}

// nextInterval is half of the last after a change, else double, and such that a
// directory costs no more than a request in the shortest interval.
func nextInterval(last, shortest time.Duration, p pollResult) time.Duration {
	next := min(2*last, pollCalm*shortest)
	if p.changed {
		next = last / 2
	}
	return max(next, shortest*time.Duration(max(p.requests, 1)))
}

// pollInterval is the shortest time between two listings of a directory; 0:
// none are made. A listing younger than ListTTL says nothing new.
func (c *Cache) pollInterval() time.Duration {
	if c.cfg.Poll == 0 {
		return 0
	}
	return max(c.cfg.Poll, c.cfg.ListTTL)
}

// pollLoop lists watched directories, one at a time, while the bucket answers.
func (c *Cache) pollLoop() {
	shortest := c.pollInterval()
	if shortest == 0 {
		return
	}
	timer := time.NewTimer(shortest)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(max(c.pollNext(shortest), pollPause))
	}
}

// pollNext lists a directory that is due, and returns when the next may be.
func (c *Cache) pollNext(shortest time.Duration) (wait time.Duration) {
	dir, wait := c.next(shortest)
	switch {
	case c.net.state() == Offline:
		return max(wait, probeMost)
	case dir != 0:
		c.poll(dir, shortest)
		return 0
	}
	return wait
}

// poll lists one directory, unless somebody has listed it meanwhile.
func (c *Cache) poll(dir Ino, shortest time.Duration) {
	l, own, err := c.listingOf(dir)
	if err != nil || own || !l.Complete {
		c.unwatch(dir)
		return
	}
	if c.postpone(dir, ofStamp(l.Begun)) {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.listTimeout())
	defer cancel()
	r, err := c.listAgain(ctx, dir)
	switch {
	case err == nil || errors.Is(err, errMoved):
	case errors.Is(err, ErrStale), s3backend.KindOf(err) == s3backend.Denied:
		c.unwatch(dir)
		return
	default:
		c.cfg.Log.Debug("cache: listing a watched directory", "path", c.pathOf(dir), "error", err)
	}
	c.polled(dir, shortest, r)
}

// listAgain lists a directory and says what that has changed.
func (c *Cache) listAgain(ctx context.Context, dir Ino) (pollResult, error) {
	prefix, chunks, err := c.prefixOf(dir)
	if err != nil {
		return pollResult{}, err
	}
	ls, mine := c.listings.join(dir, prefix, chunks)
	if !mine {
		return pollResult{}, nil
	}
	defer c.listings.leave(ls)
	ls.err = c.runList(ctx, ls)
	return pollResult{changed: ls.changed > 0, requests: 1 + len(ls.seen)/1000}, ls.err
}

// listingOf returns when a directory was listed, and whether there is nothing to
// list.
func (c *Cache) listingOf(dir Ino) (l journal.Listing, own bool, err error) {
	err = c.viewLocked(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(dir)
		if err != nil {
			return err
		}
		if !found {
			return ErrStale
		}
		if l, _, err = tx.Listing(dir); err != nil {
			return err
		}
		own, err = c.localOnly(tx, rec)
		return err
	})
	return l, own, err
}
