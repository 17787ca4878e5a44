package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

// Lookup returns what a name in a directory means, as of at most ListTTL (a
// name that is there) or NegativeTTL (one that is not) ago; names changed here
// are always current.
func (c *Cache) Lookup(ctx context.Context, parent Ino, name string) (Attr, error) {
	for try := 1; ; try++ {
		ino, err := c.resolve(ctx, parent, name)
		if err != nil {
			return Attr{}, &Error{"lookup", name, err}
		}
		a, err := c.Attr(ctx, ino)
		if !errors.Is(err, ErrStale) || try == lookupTries {
			return a, err
		}
	}
}

// lookupTries is how often a name is looked up that has another inode whenever
// its attributes are asked for.
const lookupTries = 10

// resolve finds the inode of a name, asking the bucket where what is known is
// too old.
func (c *Cache) resolve(ctx context.Context, parent Ino, name string) (Ino, error) {
	if len(name) > 255 {
		return 0, ErrNameTooLong
	}
	c.use(parent, c.pollInterval())
	v, err := c.known(parent, name)
	if err != nil || v.settled {
		return v.answer(err)
	}
	err = c.ask(ctx, parent, name, v)
	if errors.Is(err, errMoved) || errors.Is(err, errReplaced) {
		return c.resolve(ctx, parent, name)
	}
	if err != nil && !c.serveStale(err) {
		return 0, err
	}
	v, again := c.known(parent, name)
	if again == nil && v.ino == 0 && err != nil && !v.listing.Complete {
		return 0, err
	}
	return v.answer(again)
}

// serveStale reports whether the bucket's silence leaves what is known to
// answer with.
func (c *Cache) serveStale(err error) bool {
	k := s3backend.KindOf(err)
	return k == s3backend.Offline || k == s3backend.Busy || errors.Is(err, context.DeadlineExceeded)
}

// A verdict is what the journal knows about a name.
type verdict struct {
	ino     Ino
	settled bool // no need to ask the bucket
	key     string
	listing journal.Listing
}

func (v verdict) answer(err error) (Ino, error) {
	if err == nil && v.ino == 0 {
		err = ErrNotExist
	}
	return v.ino, err
}

func (c *Cache) known(parent Ino, name string) (v verdict, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		dir, found, err := tx.Inode(parent)
		if err != nil {
			return err
		}
		if !found {
			return ErrStale
		}
		if dir.Kind != Dir {
			return ErrNotDir
		}
		if v.listing, _, err = tx.Listing(parent); err != nil {
			return err
		}
		d, found, err := tx.Dirent(parent, name)
		if err != nil {
			return err
		}
		if found {
			v.ino = d.Ino
		}
		if v.key, err = childKey(prefixFor(dir, name), name, File); err != nil {
			if errors.Is(err, ErrInvalid) {
				v.settled, err = true, nil // no key has such a name
			}
			return err
		}
		if len(v.key) > maxKey && !found {
			return ErrNameTooLong
		}
		v.settled, err = c.settled(tx, dir, v, dirName{parent, name})
		return err
	})
	return v, err
}

// settled reports whether what the journal says of a name may be answered
// without asking.
func (c *Cache) settled(tx *journal.Tx, dir *journal.Inode, v verdict, at dirName) (bool, error) {
	for _, key := range []string{v.key, v.key + "/"} {
		if _, found, err := tx.Row(key); err != nil || found {
			return found, err
		}
	}
	if own, err := c.localOnly(tx, dir); err != nil || own {
		return own, err
	}
	since := c.since(at)
	if v.ino != 0 {
		return asked{v.listing.Begun, c.fresh.seen(v.ino)}.fresher(c.cfg.ListTTL, since), nil
	}
	seen := c.fresh.seenAbsent(at)
	return v.listing.Complete && asked{v.listing.Begun, seen}.fresher(c.negativeTTL(v.listing), since) || asked{0, seen}.fresher(c.cfg.NegativeTTL, since), nil
}

// negativeTTL is how long a listing speaks for names it did not show: a
// directory whose listing takes long is not listed all the time.
func (c *Cache) negativeTTL(l journal.Listing) time.Duration {
	if c.cfg.NegativeTTL == 0 {
		return 0
	}
	return max(c.cfg.NegativeTTL, 20*time.Duration(l.Ended-l.Begun))
}

// asked says when the bucket was asked for something: with its directory, a
// stamp, and by itself.
type asked struct {
	listed int64
	seen   time.Time
}

// fresher reports whether that was less than ttl ago, and not before the last
// news.
func (a asked) fresher(ttl time.Duration, news time.Time) bool {
	now, listed := time.Now(), ofStamp(a.listed)
	young := func(t time.Time) bool { // the future is what was stamped before the clock was set back
		age := now.Sub(t)
		return age >= 0 && age < ttl && !t.Before(news)
	}
	return ttl > 0 && (young(listed) || young(a.seen))
}

// localOnly reports whether what is known here of the names in a directory is
// all there is: it exists here only, so that nobody else can have put anything
// into it, or it is on its way to other keys.
func (c *Cache) localOnly(tx *journal.Tx, dir *journal.Inode) (bool, error) {
	if dir.Next != "" || isAside(dir.Prefix) {
		return true, nil
	}
	if dir.Base.ETag != "" || dir.Changed&journal.ChangedData == 0 { // made elsewhere, or long ago
		return false, nil
	}
	r, found, err := tx.Row(dir.Prefix)
	return found && r.Want == journal.WantInode && r.Known == journal.KnownAbsent && r.Nonce == "", err
}

// ask brings one name into step: by listing its directory where that is one
// request, else by asking for the name alone.
func (c *Cache) ask(ctx context.Context, parent Ino, name string, v verdict) error {
	if c.net.quiet() {
		return &s3backend.Error{Op: "lookup", Key: v.key, Kind: s3backend.Offline}
	}
	if !v.listing.Big && c.cfg.NegativeTTL > 0 && c.cfg.ListTTL > 0 {
		if err := c.list(ctx, parent, true); err != nil {
			return err
		}
		if w, err := c.known(parent, name); err != nil || w.settled {
			return err
		}
	}
	if v.listing.Complete && v.ino == 0 && c.cfg.NegativeTTL > 0 && !c.tells(dirName{parent, name}) {
		return c.list(ctx, parent, false)
	}
	return c.probeName(ctx, parent, name, v)
}

// probeName asks for one name alone: the object, and anything below it.
func (c *Cache) probeName(ctx context.Context, parent Ino, name string, v verdict) error {
	began, done := c.listings.ask()
	defer done()
	prefix, chunks, err := c.prefixOf(parent)
	if err != nil {
		return err
	}
	var entries []s3backend.Entry
	var o s3backend.Object
	if n, bad := names.Parse(name); bad == nil && n.Continues { // part of longer names
		entries, _, err = c.remote().ListPage(ctx, v.key, "", 1000)
	} else {
		entries, o, err = c.probeKey(ctx, v.key)
	}
	if err != nil {
		return err
	}
	ls := &listing{dir: parent, prefix: prefix, chunks: chunks, begun: began, seed: probeSeed, seen: map[uint64]struct{}{}}
	if err := errors.Join(c.merge(ls, entries), c.showHidden(ls)); err != nil {
		return err
	}
	return c.probed(ls, name, entries, o)
}

// probeKey asks, at once, for the object at a key and for one below it.
func (c *Cache) probeKey(ctx context.Context, key string) ([]s3backend.Entry, s3backend.Object, error) {
	var below []s3backend.Entry
	listed := make(chan error, 1)
	go func() {
		listed <- c.guard.try("listing below "+key, func() (err error) {
			below, _, err = c.remote().ListPage(ctx, key+"/", "", 1)
			return err
		})
	}()
	o, headErr := c.remote().Head(ctx, key)
	err := <-listed
	if s3backend.KindOf(headErr) != s3backend.NotFound {
		err = errors.Join(err, headErr)
	}
	if err != nil {
		return nil, o, err
	}
	var entries []s3backend.Entry
	if headErr == nil {
		entries = append(entries, s3backend.Entry{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.Modified, StorageClass: o.StorageClass})
	}
	if len(below) > 0 {
		entries = append(entries, s3backend.Entry{Key: key + "/", Prefix: true})
	}
	return entries, o, nil
}

// errReplaced says that a name got another inode while it was asked for.
var errReplaced = errors.New("the name was given to another file meanwhile")

// probed remembers the outcome of a probe, and takes the name away if nothing
// of its kind was there.
func (c *Cache) probed(ls *listing, name string, entries []s3backend.Entry, o s3backend.Object) error {
	v, err := c.known(ls.dir, name)
	if err != nil {
		return err
	}
	if _, left := ls.left[name]; left {
		c.stays(dirName{ls.dir, name})
		return nil
	}
	c.heard(dirName{ls.dir, name}, ls.begun)
	if v.ino == 0 {
		c.fresh.sawAbsent(dirName{ls.dir, name}, ls.begun)
		return nil
	}
	rec, err := c.record(v.ino)
	if errors.Is(err, ErrStale) {
		return errReplaced
	}
	if err != nil {
		return err
	}
	ofKind := func(e s3backend.Entry) bool { return e.Prefix == (rec.Kind == Dir) || !hasObject(rec) }
	if !slices.ContainsFunc(entries, ofKind) {
		if len(entries) == 0 {
			c.fresh.sawAbsent(dirName{ls.dir, name}, ls.begun)
		}
		err := c.sweepNames(ls, []string{name})
		ls.swept = true
		return errors.Join(err, c.showHidden(ls))
	}
	c.fresh.saw(v.ino, ls.begun)
	if rec.Kind == Dir || o.ETag == "" {
		return nil
	}
	return c.learn(v.ino, o, seenAt{rec.Base.ETag, ls.begun})
}

// prefixOf returns what all keys in a directory begin with and, for one that
// stands for part of a long name, the names of those parts.
func (c *Cache) prefixOf(dir Ino) (prefix string, chunks []string, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		rec, found, err := tx.Inode(dir)
		switch {
		case err != nil:
			return err
		case !found:
			return ErrStale
		case rec.Kind != Dir:
			return ErrNotDir
		}
		prefix = rec.Prefix
		chunks, err = chunksOf(tx, dir)
		return err
	})
	return prefix, chunks, err
}

// chunksOf returns the names of the synthetic directories that a directory's
// path ends in.
func chunksOf(tx *journal.Tx, dir Ino) (chunks []string, err error) {
	for ino := dir; ino != Root; {
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return nil, errors.Join(err, ErrStale)
		}
		if hasObject(rec) {
			break
		}
		chunks = append(chunks, rec.Name)
		ino = rec.Parent
	}
	slices.Reverse(chunks)
	return chunks, nil
}
