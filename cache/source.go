package cache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// readCurrent reads missing bytes from the object the file descends from. When
// that is gone because a flush of this very file replaced it, the new object
// has the same bytes there. When others did, and its old version can still be
// read, the next open asks what is there now.
func (f *file) readCurrent(ctx context.Context, want wanted, o objectAt) error {
	for {
		old, err := f.c.readBaseContext(ctx, want, o)
		if old {
			f.c.fresh.doubt(f.ino)
		}
		if !errors.Is(err, ErrStale) {
			return err
		}
		next, ours := f.replacedByUs(ctx, o)
		if !ours {
			return err
		}
		o = next
	}
}

// replacedByUs returns the object that our own flush put in the place of o.
func (f *file) replacedByUs(ctx context.Context, o objectAt) (objectAt, bool) {
	f.mu.RLock()
	landing, now := f.landing, objectAt{f.base, f.at}
	f.mu.RUnlock()
	if now == o && landing != nil {
		select {
		case <-landing:
		case <-ctx.Done():
		}
		f.mu.RLock()
		now = objectAt{f.base, f.at}
		f.mu.RUnlock()
	}
	if now != o && now.base.ETag != "" {
		return now, true
	}
	return f.c.recognise(ctx, f, o)
}

// recognise looks whether the object that replaced o carries the nonce of a
// write of ours whose outcome was never learnt.
func (c *Cache) recognise(ctx context.Context, f *file, o objectAt) (objectAt, bool) {
	nonce := ""
	err := c.view(func(tx *journal.Tx) error {
		r, found, err := tx.Row(o.key)
		if found && (r.Ino == f.ino || r.Holder == f.ino) {
			nonce = r.Nonce
		}
		return err
	})
	if err != nil || nonce == "" {
		return o, false
	}
	there, err := c.remote().Head(ctx, o.key)
	if err != nil || !ownWrite(nonce, there) || there.ETag == o.base.ETag {
		return o, false
	}
	return objectAt{baseOf(there), o.key}, true
}

// readBase reads a range of an object for the flusher.
func (f *file) readBase(p []byte, off int64, o objectAt) (int, error) {
	ctx, cancel := context.WithTimeout(f.c.ctx, f.c.cfg.ReadTimeout)
	defer cancel()
	_, err := f.c.readBaseContext(ctx, wanted{p: p, off: off}, o)
	if errors.Is(err, ErrStale) {
		if next, ours := f.c.recognise(ctx, f, o); ours {
			_, err = f.c.readBaseContext(ctx, wanted{p: p, off: off}, next)
		}
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// An objectAt is one version of an object and the key it lies at.
type objectAt struct {
	base journal.Base
	key  string
}

// wanted are bytes of an object: p from off. came, if set, is told how many of
// them have come, from the beginning again if they are asked for again.
type wanted struct {
	p    []byte
	off  int64
	came func(n int64)
}

// readBaseContext fills want.p with exactly the bytes of one version. If that was
// replaced it is asked for as an old version, and old is true; ErrStale when it
// is gone.
func (c *Cache) readBaseContext(ctx context.Context, want wanted, o objectAt) (old bool, err error) {
	g := s3backend.Get{Key: o.key, At: o.base.ETag, Range: s3backend.Range{Off: want.off, Len: int64(len(want.p))}, Size: o.base.Size}
	err = c.get(ctx, g, want)
	if k := s3backend.KindOf(err); err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
		if g.Past, old = true, true; o.base.Version != "null" {
			g.Version = o.base.Version
		}
		err = c.get(ctx, g, want)
		k = s3backend.KindOf(err)
		if err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
			return old, fmt.Errorf("%w: %w", ErrStale, err)
		}
	}
	if err != nil && ctx.Err() != nil && c.ctx.Err() == nil && s3backend.KindOf(err) == s3backend.Other {
		return old, &s3backend.Error{Op: "get", Key: o.key, Kind: s3backend.Offline, Err: err}
	}
	return old, err
}

// get fills want.p. Content that turns out not to be the object's only at its end
// is asked for again.
func (c *Cache) get(ctx context.Context, g s3backend.Get, want wanted) error {
	for try := 1; ; try++ {
		r, err := c.remote().Get(ctx, g)
		if err != nil {
			return err
		}
		if err = readAll(r, g, want); try == getTries || s3backend.KindOf(err) != s3backend.Corrupt || ctx.Err() != nil {
			return err
		}
	}
}

func readAll(r io.ReadCloser, g s3backend.Get, want wanted) error {
	var err error
	for n := 0; n < len(want.p) && err == nil; {
		var got int
		got, err = r.Read(want.p[n:])
		if n += got; got > 0 && want.came != nil {
			want.came(int64(n))
		}
		switch {
		case n == len(want.p):
			err = nil // what ends it is asked for below
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
	}
	if err == nil { // the checksum of a whole object is checked at its end
		var one [1]byte
		if n, eof := r.Read(one[:]); n > 0 || !errors.Is(eof, io.EOF) {
			err = fmt.Errorf("get %q: %w", g.Key, errors.Join(errLongBody, eof))
		}
	}
	return errors.Join(err, r.Close())
}

// getTries is how often a content is asked for that arrives damaged.
const getTries = 3

var errLongBody = errors.New("the answer does not end where it should")
