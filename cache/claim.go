package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// A claim is a key that the bucket gave to this mount alone, by an empty object
// that was put where none was. While it is being asked for, the key's row wants
// absence and knows the nonce: whatever becomes of the request, what it may
// have left is found and removed.
type claim struct {
	key    string
	at     dirName
	rec    *journal.Inode
	nonce  string
	object s3backend.Object
	over   chan struct{} // closed when others may ask for the key
}

// errBusyKey says that a key cannot be claimed yet.
var errBusyKey = errors.New("the key has work queued")

// exclusive reports whether the bucket decides who makes something.
func (c *Cache) exclusive(n New) bool {
	return c.cfg.ExclusiveCreate == ExclusiveBucket && (n.Exclusive && n.Kind == File || n.Kind == Dir)
}

// claim asks the bucket for the key of a new name. ErrExist: somebody else has
// it. Any other error: nothing is left, or will be removed. What it returns is
// given to unclaim.
func (c *Cache) claim(ctx context.Context, at dirName, n New) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ReadTimeout)
	defer cancel()
	if err := c.net.reach(ctx, "create", at.name); err != nil {
		return nil, err
	}
	for {
		if err := c.awaitMoves(ctx, at.dir, nil); err != nil {
			return nil, c.unclaimable(at, err)
		}
		cl, err := c.beginClaim(at, n)
		if errors.Is(err, errBusyKey) {
			if err := c.awaitKey(ctx, cl); err != nil {
				return nil, c.unclaimable(at, err)
			}
			if _, err := c.resolve(ctx, at.dir, at.name); !errors.Is(err, ErrNotExist) {
				return nil, errors.Join(err, ErrExist)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := c.putClaim(ctx, cl); err != nil {
			return nil, errors.Join(err, c.endClaim(cl, err))
		}
		return cl, nil
	}
}

// unclaimable says of a wait for the bucket that ended that it did.
func (c *Cache) unclaimable(at dirName, err error) error {
	if left := new(Unfinished); errors.As(err, &left) {
		return &s3backend.Error{Op: "create", Key: at.name, Kind: s3backend.Offline, Err: err}
	}
	return err
}

// awaitKey waits for what keeps a key busy: another claim, or its row's work.
func (c *Cache) awaitKey(ctx context.Context, cl *claim) error {
	if cl.over != nil {
		select {
		case <-cl.over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w := c.queue.waitFor([]string{cl.key})
	if err := c.await(ctx, w, nil); err != nil {
		return err
	}
	if w.failure != "" {
		return c.refused("create", []string{cl.key}, w.failure)
	}
	return nil
}

// beginClaim journals what is about to be asked. errBusyKey comes with the key,
// and with what to wait for if that is another claim.
func (c *Cache) beginClaim(at dirName, n New) (cl *claim, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.update("claiming", func(ch *change) error {
		dir, found, err := ch.Inode(at.dir)
		if err != nil || !found || dir.State == journal.Orphan {
			return errors.Join(err, ErrNotExist)
		}
		if err := ch.mayName(at.dir, at.name, n.Kind); err != nil {
			return err
		}
		cl = &claim{at: at, rec: ch.newInode(n), nonce: c.newNonce("")}
		if cl.key, err = ch.keyIn(at.dir, dir, at.name, n.Kind); err != nil {
			return err
		}
		if cl.over = c.claims[cl.key]; cl.over != nil {
			return errBusyKey
		}
		if _, found, err := ch.Row(cl.key); err != nil || found {
			return errors.Join(err, errBusyKey)
		}
		return ch.putRow(cl.key, &journal.Row{Want: journal.WantAbsent, Known: journal.KnownAbsent, Nonce: cl.nonce, NonceGen: otherInode,
			Since: ch.at, Due: ch.at + int64(c.cfg.ReadTimeout)})
	})
	if err == nil {
		cl.over = make(chan struct{})
		c.claims[cl.key] = cl.over
	}
	return cl, err
}

// putClaim puts the empty object.
func (c *Cache) putClaim(ctx context.Context, cl *claim) (err error) {
	if err := c.syncJournal(); err != nil { // a claim that a power cut makes forgotten would stay
		return err
	}
	meta := encodeMeta(cl.rec)
	meta[metaNonce] = cl.nonce
	cl.object, err = c.remote().Put(ctx, s3backend.Put{Key: cl.key, Body: strings.NewReader(""), If: s3backend.Condition{Absent: true},
		Meta: meta, Headers: headersFor(cl.rec, cl.key)})
	if err == nil {
		return nil
	}
	o, headErr := c.remote().Head(ctx, cl.key) // our own, whose reply was lost?
	switch {
	case headErr == nil && ownWrite(cl.nonce, o):
		cl.object = o
		return nil
	case headErr == nil && s3backend.KindOf(err) == s3backend.Changed:
		return ErrExist
	}
	return err
}

// endClaim gives a claim up that did not come about.
func (c *Cache) endClaim(cl *claim, cause error) error {
	defer c.unclaim(cl)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteDoubt(cl.key, cause)
	if !errors.Is(cause, ErrExist) {
		return nil // the row finds out what is left
	}
	c.kernel.EntryGone(cl.at.dir, cl.at.name)
	return c.update("lost", func(ch *change) error {
		r, found, err := ch.Row(cl.key)
		if err != nil || !found || r.Want != journal.WantAbsent {
			return err
		}
		return errors.Join(ch.relist(cl.key), ch.dropRow(cl.key))
	})
}

// unclaim lets others ask for the key.
func (c *Cache) unclaim(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.claims, cl.key)
	close(cl.over)
}

// claimed has an inode that was just made build on the object that claimed its
// key.
func (ch *change) claimed(cl *claim, ino Ino, rec *journal.Inode) error {
	key, err := ch.keyOf(rec)
	if err != nil {
		return err
	}
	r, found, err := ch.Row(cl.key)
	if err != nil || !found || key != cl.key || r.Want != journal.WantInode || r.Ino != ino {
		return errors.Join(err, ErrStale) // renamed meanwhile
	}
	base := baseOf(cl.object)
	setKnown(r, base)
	r.Nonce, r.NonceGen = "", 0
	if rec.Kind != Dir {
		return ch.putRow(key, r)
	}
	rec.State, rec.Changed, rec.Base = journal.Clean, 0, base
	ch.clean = append(ch.clean, ino)
	ch.committed(func() { ch.c.listings.noteSettled(key) })
	return errors.Join(ch.PutInode(ino, rec), ch.dropRow(key))
}

// claiming reports how long the work of a key must wait for a claim to end.
func (c *Cache) claiming(key string) (until time.Time, yes bool) {
	_, yes = c.claims[key]
	return time.Now().Add(sameInodeWait), yes
}
