package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// mergeBatch is how many lines of a listing one transaction takes.
const mergeBatch = 500

// listings are the listings under way, one a directory.
type listings struct {
	mu      sync.Mutex
	running map[Ino]*listing
	asking  int // listings, probes and HEADs under way
	// settled holds keys that were settled while a listing ran, and when:
	// a listing that began earlier may show them as they were before.
	settled map[string]time.Time
}

// A listing is one LIST of a directory being merged.
type listing struct {
	dir      Ino
	prefix   string
	chunks   []string // names of the synthetic directories that dir ends in
	begun    time.Time
	done     chan struct{}
	err      error
	complete bool
	seed     maphash.Seed
	hidden   []s3backend.Entry          // objects that a directory of the same name leaves no name for
	swept    bool                       // the names that were not shown are gone
	beside   map[string]s3backend.Entry // objects, by key, that show only if a directory comes
	seen     map[uint64]struct{}        // hashes of names; a collision shows a deleted name one listing longer
	again    bool                       // the directory's names were all known before
	changed  int                        // names that mean something else than before, where all were known
	left     map[string]struct{}        // names of files that somebody writes to, and that so stay what they are
}

// errMoved says that a directory's keys went elsewhere while they were listed.
var errMoved = errors.New("the directory was renamed meanwhile")

// speaksOf reports whether what is listed are the keys of a directory as it is
// now.
func (ls *listing) speaksOf(dir *journal.Inode) bool {
	return dir.Prefix == ls.prefix && dir.Next == ""
}

// noteSettled is told of each key whose row settled.
func (l *listings) noteSettled(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking == 0 {
		return
	}
	if l.settled == nil {
		l.settled = map[string]time.Time{}
	}
	now := time.Now()
	l.settled[key] = now
	// What a listing shows of the directories above may be the key itself.
	for i := len(key) - 1; i > 0; i-- {
		if key[i-1] == '/' {
			l.settled[key[:i]] = now
		}
	}
}

// settledSince reports whether key settled at or after t.
func (l *listings) settledSince(key string, t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.settled[key]
	return ok && !at.Before(t)
}

// join returns the listing of dir under way, or a new one to be run by the
// caller.
func (l *listings) join(dir Ino, prefix string, chunks []string) (ls *listing, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ls, ok := l.running[dir]; ok {
		return ls, false
	}
	ls = &listing{dir: dir, prefix: prefix, chunks: chunks, begun: time.Now(), done: make(chan struct{}), seed: maphash.MakeSeed(),
		seen: map[uint64]struct{}{}}
	l.running[dir] = ls
	l.asking++
	return ls, true
}

// ask begins a question about single names, whose answer may be older than
// what happens here meanwhile; done ends it.
func (l *listings) ask() (began time.Time, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking++
	return time.Now(), l.answered
}

func (l *listings) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking--; l.asking == 0 {
		l.settled = nil
	}
}

func (l *listings) leave(ls *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, ls.dir)
	if l.asking--; l.asking == 0 {
		l.settled = nil
	}
	close(ls.done)
}

// list brings the dirents of dir into step with the bucket: all of it, or
// (firstPage) one page only, which suffices for small directories. Concurrent
// callers share one listing, unless it began longer than ListTTL before.
func (c *Cache) list(ctx context.Context, dir Ino, firstPage bool) error {
	return c.listAsOf(ctx, dir, firstPage, time.Now().Add(-c.cfg.ListTTL))
}

// listAsOf is list with a listing that began at a time or later.
func (c *Cache) listAsOf(ctx context.Context, dir Ino, firstPage bool, since time.Time) error {
	prefix, chunks, err := c.prefixOf(dir)
	if err != nil {
		return err
	}
	ls, mine := c.listings.join(dir, prefix, chunks)
	if !mine {
		select {
		case <-ls.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		gaveUp := errors.Is(ls.err, context.Canceled)
		if !gaveUp && (ls.err != nil || !ls.begun.Before(since) && (ls.complete || firstPage)) {
			return ls.err
		}
		return c.listAsOf(ctx, dir, firstPage, since) // older, the first page only, or given up by its caller
	}
	defer c.listings.leave(ls)
	ctx, cancel := context.WithTimeout(ctx, c.listTimeout())
	defer cancel()
	if firstPage {
		ls.err = c.runPage(ctx, ls)
	} else {
		ls.err = c.runList(ctx, ls)
	}
	return ls.err
}

// listTimeout bounds one listing; a page that does not come ends it earlier
// by the backend's own time-outs.
func (c *Cache) listTimeout() time.Duration { return 20 * max(c.cfg.ReadTimeout, time.Second) }

func (c *Cache) runPage(ctx context.Context, ls *listing) error {
	entries, more, err := c.remote().ListPage(ctx, ls.prefix, "", 1000)
	if err != nil {
		return err
	}
	for len(entries) > 0 {
		n := min(len(entries), mergeBatch)
		if err := c.merge(ls, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return c.listed(ls, !more)
}

func (c *Cache) runList(ctx context.Context, ls *listing) error {
	batch := make([]s3backend.Entry, 0, mergeBatch)
	for e, err := range c.remote().List(ctx, ls.prefix, "") {
		if err != nil {
			return err
		}
		if batch = append(batch, e); len(batch) == mergeBatch {
			if err := c.merge(ls, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := c.merge(ls, batch); err != nil {
		return err
	}
	return c.listed(ls, true)
}

func (c *Cache) remote() Remote { return watched{c.cfg.Remote, c.net} }

// listed records the end of a listing; a complete one takes away the names
// that it did not show and nobody changed here.
func (c *Cache) listed(ls *listing, complete bool) error {
	ls.complete = complete
	if complete {
		if err := c.showHidden(ls); err != nil {
			return err
		}
		if err := c.sweep(ls); err != nil {
			return err
		}
		ls.swept = true
		if err := c.showHidden(ls); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("listed", func(ch *change) error {
		dir, found, err := ch.Inode(ls.dir)
		if err != nil || !found || !ls.speaksOf(dir) {
			return errors.Join(err, errMoved)
		}
		l, _, err := ch.Listing(ls.dir)
		if err != nil {
			return err
		}
		if !complete {
			l.Big = true
			return ch.PutListing(ls.dir, l)
		}
		l = journal.Listing{Begun: stampOf(ls.begun), Ended: ch.at, Complete: true, Big: len(ls.seen) > 1000}
		ch.committed(func() { c.listedAt(ls) })
		return ch.PutListing(ls.dir, l)
	})
}

// showHidden merges again what could not be shown, as more is known by now of
// the directory that has its name.
func (c *Cache) showHidden(ls *listing) error {
	hidden := ls.hidden
	ls.hidden = nil
	return c.merge(ls, hidden)
}

// sweep drops names that a complete listing did not show.
func (c *Cache) sweep(ls *listing) error {
	after := ""
	for {
		var gone []string
		n := 0
		err := c.view(func(tx *journal.Tx) error {
			return tx.Dirents(ls.dir, after, func(name string, _ journal.Dirent) error {
				after = name
				if _, ok := ls.seen[maphash.String(ls.seed, name)]; !ok {
					gone = append(gone, name)
				}
				if n++; n == 10*mergeBatch {
					return journal.Stop
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		for len(gone) > 0 {
			k := min(len(gone), mergeBatch)
			if err := c.sweepNames(ls, gone[:k]); err != nil {
				return err
			}
			gone = gone[k:]
		}
		if n < 10*mergeBatch {
			return nil
		}
	}
}

func (c *Cache) sweepNames(ls *listing, gone []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var forget []string
	err := c.update("swept", func(ch *change) error {
		dir, found, err := ch.Inode(ls.dir)
		if err != nil || !found || !ls.speaksOf(dir) {
			return errors.Join(err, errMoved)
		}
		forget = forget[:0]
		for _, name := range gone {
			dropped, err := ch.dropIfRemote(ls, name)
			if err != nil {
				return err
			}
			if dropped {
				forget = append(forget, name)
			}
		}
		return nil
	})
	ls.changed += len(forget)
	for _, name := range forget {
		c.kernel.EntryGone(ls.dir, name)
	}
	return err
}

// dropIfRemote takes a name away that is no longer in the bucket, unless it
// has something local to it.
func (ch *change) dropIfRemote(ls *listing, name string) (bool, error) {
	d, found, err := ch.Dirent(ls.dir, name)
	if err != nil || !found {
		return false, err
	}
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return false, err
	}
	key, err := childKey(ls.prefix, name, rec.Kind)
	if err != nil {
		return false, err
	}
	if local, err := ch.local(key, d.Ino, rec, ls.begun); err != nil || local {
		ch.leave(ls, name, d.Ino)
		return false, err
	}
	if ch.c.fresh.seen(d.Ino).After(ls.begun) {
		return false, nil // a later answer knew better
	}
	if err := ch.orphan(d.Ino, rec, remoteChanged); err != nil || rec.Kind != Dir {
		return err == nil, err
	}
	return true, ch.unescape(ls.dir, name)
}

// leave notes a name that could not be brought into step because somebody has
// the file open for writing: news of it stays news.
func (ch *change) leave(ls *listing, name string, ino Ino) {
	if f := ch.c.files[ino]; f == nil || !f.isWritten() {
		return
	}
	if ls.left == nil {
		ls.left = map[string]struct{}{}
	}
	ls.left[name] = struct{}{}
}

// local reports whether the key, or (directories) one below it, has a change
// that a listing begun at t cannot know, or may get one from an open writer.
func (ch *change) local(key string, ino Ino, rec *journal.Inode, t time.Time) (bool, error) {
	if f := ch.c.files[ino]; f != nil && f.isWritten() {
		return true, nil
	}
	if _, found, err := ch.Row(key); err != nil || found {
		return found, err
	}
	if ch.c.listings.settledSince(key, t) || rec.State != journal.Clean && rec.State != journal.Armed {
		return true, nil
	}
	if rec.Kind != Dir {
		return false, nil
	}
	if pending, err := ch.moving(ino); err != nil || pending {
		return pending, err
	}
	return ch.anyRow(rec.Prefix)
}

// anyRow reports whether there is a row of a key that begins so.
func (ch *change) anyRow(prefix string) (found bool, err error) {
	err = ch.Rows(prefix, func(string, *journal.Row) error {
		found = true
		return journal.Stop
	})
	return found, err
}
