package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	fetchUnit     = 4 << 20   // of sequential readers, and whole small files
	fetchUnitRand = 256 << 10 // of readers that jump
)

// A fetch is one ranged GET under way; readers of the range wait for done.
type fetch struct {
	extent.Range
	began time.Time
	done  chan struct{}
	err   error
}

// A fetchSpan is what a reader wants: a range now, one ahead later, asked for
// in units.
type fetchSpan struct {
	off, n int64
	unit   int64
	ahead  extent.Range
}

// readAhead follows one handle's reads. Guarded by its own lock: reads of one
// handle may be concurrent.
type readAhead struct {
	mu     sync.Mutex
	expect int64 // where a sequential reader would go on
	window int64
	limit  int64
	seq    bool
}

func (r *readAhead) init(limit int64) { r.limit, r.seq = limit, true }

// next notes a read and returns what to fetch ahead of it.
func (r *readAhead) next(off, n int64) extent.Range {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The kernel's own read-ahead may deliver neighbours out of order.
	if d := off - r.expect; d >= -fetchUnit && d <= fetchUnit {
		r.seq = true
		r.window = min(max(2*r.window, fetchUnitRand), r.limit)
		r.expect = max(r.expect, off+n)
	} else {
		r.seq, r.window, r.expect = false, 0, off+n
	}
	if off == 0 && n >= r.expect {
		return extent.Range{} // a first read may be the only one
	}
	return extent.Range{Off: off + n, Len: r.window}
}

func (r *readAhead) unit() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq {
		return fetchUnit
	}
	return fetchUnitRand
}

// A lateFetch is a fetch that took all its time and brought nothing. The kernel
// asks a second time for what it could not read ahead; that must not take as
// long again.
type lateFetch struct {
	extent.Range
	until time.Time
	err   error
}

// lateFor is how long a lateFetch answers for its range.
const lateFor = time.Second

// isLate returns the error of a fetch of a range that has just timed out.
func (f *file) isLate(off, n int64) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if l := f.late; l.Off < off+n && l.End() > off && time.Now().Before(l.until) {
		return l.err
	}
	return nil
}

// fetch brings a range into the data file. direct: the cache has no room, and
// p was filled without keeping anything. It ends within ReadTimeout.
func (f *file) fetch(ctx context.Context, s fetchSpan, p []byte) (direct bool, err error) {
	if err := f.isLate(s.off, s.n); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.c.cfg.ReadTimeout*9/8) // a fetch says better why it ended
	defer cancel()
	wait, room := f.startInRoom(s)
	if !room {
		return true, f.fetchDirect(ctx, s, p)
	}
	for _, w := range wait {
		select {
		case <-w.done:
			if w.err != nil {
				return false, w.err
			}
		case <-ctx.Done():
			return false, &s3backend.Error{Op: "get", Key: f.at, Kind: s3backend.Offline, Err: ctx.Err()}
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(wait) == 0 && !f.ext.Present.Contains(s.off, min(s.n, f.size-s.off)) {
		return false, fmt.Errorf("%w: nothing says where bytes %d to %d are", ErrStale, s.off, s.off+s.n)
	}
	return false, nil
}

// prefetch starts fetching what a sequential reader will want next.
func (f *file) prefetch(r extent.Range) {
	f.mu.RLock()
	more := r.Off < f.size && !f.ext.Present.Contains(r.Off, min(r.Len, f.size-r.Off))
	f.mu.RUnlock()
	if more {
		f.startFetches(fetchSpan{off: r.Off, n: 0, unit: fetchUnit, ahead: r})
	}
}

// startInRoom is startFetches after clean data of others made room, if need be.
func (f *file) startInRoom(s fetchSpan) (wait []*fetch, room bool) {
	if wait, room = f.startFetches(s); room {
		return wait, true
	}
	f.mu.RLock()
	need := min(s.n+2*s.unit, f.size)
	f.mu.RUnlock()
	if !f.c.makeRoom(need) {
		return nil, false
	}
	return f.startFetches(s)
}

// startFetches starts what is neither here nor under way and returns what the
// wanted range waits for; room is false if the cache cannot take it.
func (f *file) startFetches(s fetchSpan) (wait []*fetch, room bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale {
		w := &fetch{done: make(chan struct{}), err: ErrStale}
		close(w.done)
		return []*fetch{w}, true
	}
	if f.base.Size <= fetchUnit {
		s.unit = fetchUnit // small objects come whole, and verified
	}
	for _, gap := range f.unclaimed(s.off, s.n) {
		from := gap.Off / s.unit * s.unit
		to := min((gap.End()+s.unit-1)/s.unit*s.unit, f.size)
		if !f.c.space.room(to - from) {
			return nil, false
		}
		f.claim(from, to, s.unit)
	}
	for _, w := range f.fetches {
		if w.Off < s.off+s.n && w.End() > s.off {
			wait = append(wait, w)
		}
	}
	if s.ahead.Len > 0 {
		end := min(s.ahead.End(), f.size)
		from := s.ahead.Off / fetchUnit * fetchUnit
		if from < end && f.c.space.room(end-from) {
			f.claim(from, min((end+fetchUnit-1)/fetchUnit*fetchUnit, f.size), fetchUnit)
		}
	}
	return wait, true
}

// unclaimed returns the parts of a range that are neither here nor on their
// way.
func (f *file) unclaimed(off, n int64) []extent.Range {
	n = min(n, f.size-off)
	if n <= 0 {
		return nil
	}
	have := f.ext.Present.Clone()
	for _, w := range f.fetches {
		have.Add(w.Off, w.Len)
	}
	return have.Missing(off, n)
}

// claim starts fetching the unclaimed parts of [from, to), unit by unit.
func (f *file) claim(from, to, unit int64) {
	for _, gap := range f.unclaimed(from, to-from) {
		for off := gap.Off; off < gap.End(); {
			end := min((off/unit+1)*unit, gap.End(), f.base.Size)
			if end <= off { // behind the object's end there is nothing to fetch
				break
			}
			w := &fetch{Range: extent.Range{Off: off, Len: end - off}, began: time.Now(), done: make(chan struct{})}
			f.fetches = append(f.fetches, w)
			f.users.Add(1) // the caller uses the file: it cannot close before this
			f.c.running.Add(1)
			go f.runFetch(w, objectAt{f.base, f.at})
			off = end
		}
	}
}

// runFetch carries out one fetch. It outlives the reader that asked for it:
// what it brings is kept for the next.
func (f *file) runFetch(w *fetch, o objectAt) {
	defer f.c.running.Done()
	f.endFetch(w, f.c.guard.try("fetch", func() error { return f.bring(w.Range, o) }))
	f.c.unpin(f)
}

// bring fetches a range of an object into the data file.
func (f *file) bring(r extent.Range, o objectAt) error {
	ctx, cancel := context.WithTimeout(f.c.ctx, f.c.cfg.ReadTimeout)
	defer cancel()
	release, err := f.c.download(ctx)
	if err != nil {
		return err
	}
	defer release()
	buf := fetchBuffers.Get().(*[]byte)
	p := (*buf)[:r.Len]
	if err = f.readCurrent(ctx, p, r.Off, o); err == nil {
		err = f.keep(r, p)
	}
	fetchBuffers.Put(buf)
	return err
}

func (f *file) endFetch(w *fetch, err error) {
	if errors.Is(err, ErrStale) {
		f.c.fresh.doubt(f.ino)
	}
	f.mu.Lock()
	f.stale = f.stale || errors.Is(err, ErrStale)
	if w.err = err; err != nil && time.Since(w.began) >= f.c.cfg.ReadTimeout/2 {
		f.late = lateFetch{w.Range, time.Now().Add(lateFor), err}
	}
	f.fetches = slices.DeleteFunc(f.fetches, func(v *fetch) bool { return v == w })
	f.mu.Unlock()
	close(w.done)
}

var fetchBuffers = sync.Pool{New: func() any {
	b := make([]byte, fetchUnit)
	return &b
}}

// keep writes fetched bytes where nothing newer is.
func (f *file) keep(r extent.Range, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, gap := range f.ext.Present.Missing(r.Off, min(r.Len, f.size-r.Off)) {
		if _, err := f.fd.WriteAt(p[gap.Off-r.Off:gap.End()-r.Off], gap.Off); err != nil {
			f.sums.drop(gap.Off, gap.Len)
			return fmt.Errorf("cache disk: %w", err)
		}
		f.sums.put(gap.Off, p[gap.Off-r.Off:gap.End()-r.Off])
		f.fill(gap.Off, gap.Len)
		f.unsaved = true
		f.written++
	}
	f.account()
	return nil
}

// unpin ends a use of a file that was counted in users.
func (c *Cache) unpin(f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.users.Add(-1)
	if err := c.drop(f); err != nil {
		c.cfg.Log.Error("cache: closing a data file", "inode", f.ino, "error", err)
	}
}

// download takes one of the places for requests that bring content.
func (c *Cache) download(ctx context.Context) (release func(), err error) {
	select {
	case c.downloads <- struct{}{}:
		return func() { <-c.downloads }, nil
	case <-ctx.Done():
		return nil, &s3backend.Error{Op: "get", Kind: s3backend.Offline, Err: ctx.Err()}
	}
}

// fetchDirect serves a read past a cache that is full of unsent data.
func (f *file) fetchDirect(ctx context.Context, s fetchSpan, p []byte) error {
	gaps, o, err := f.readHere(s, p)
	for _, g := range gaps {
		if err == nil {
			err = f.readCurrent(ctx, p[g.Off-s.off:g.End()-s.off], g.Off, o)
		}
	}
	return err
}

// readHere reads what is in the data file and returns what is missing of s, and
// of which object.
func (f *file) readHere(s fetchSpan, p []byte) ([]extent.Range, objectAt, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := min(s.n, f.size-s.off)
	_, err := readHoles(f.fd, p[:n], s.off)
	return f.ext.Present.Missing(s.off, n), objectAt{f.base, f.at}, err
}

// readCurrent reads missing bytes from the object the file descends from. When
// that is gone because a flush of this very file replaced it, the new object
// has the same bytes there. When others did, and its old version can still be
// read, the next open asks what is there now.
func (f *file) readCurrent(ctx context.Context, p []byte, off int64, o objectAt) error {
	for {
		old, err := f.c.readBaseContext(ctx, p, off, o)
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
	_, err := f.c.readBaseContext(ctx, p, off, o)
	if errors.Is(err, ErrStale) {
		if next, ours := f.c.recognise(ctx, f, o); ours {
			_, err = f.c.readBaseContext(ctx, p, off, next)
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

// readBaseContext fills p with exactly the bytes of one version. If that was
// replaced it is asked for by its version id, and old is true; ErrStale when it
// is gone.
func (c *Cache) readBaseContext(ctx context.Context, p []byte, off int64, o objectAt) (old bool, err error) {
	g := s3backend.Get{Key: o.key, At: o.base.ETag, Range: s3backend.Range{Off: off, Len: int64(len(p))}, Size: o.base.Size}
	err = c.get(ctx, g, p)
	if k := s3backend.KindOf(err); err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
		if o.base.Version != "" && o.base.Version != "null" {
			g.Version, old = o.base.Version, true
			err = c.get(ctx, g, p)
			k = s3backend.KindOf(err)
		}
		if err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
			return old, fmt.Errorf("%w: %w", ErrStale, err)
		}
	}
	if err != nil && ctx.Err() != nil && c.ctx.Err() == nil && s3backend.KindOf(err) == s3backend.Other {
		return old, &s3backend.Error{Op: "get", Key: o.key, Kind: s3backend.Offline, Err: err}
	}
	return old, err
}

// get fills p. Content that turns out not to be the object's only at its end
// is asked for again.
func (c *Cache) get(ctx context.Context, g s3backend.Get, p []byte) error {
	for try := 1; ; try++ {
		r, err := c.remote().Get(ctx, g)
		if err != nil {
			return err
		}
		if err = readAll(r, g, p); try == getTries || s3backend.KindOf(err) != s3backend.Corrupt || ctx.Err() != nil {
			return err
		}
	}
}

func readAll(r io.ReadCloser, g s3backend.Get, p []byte) error {
	_, err := io.ReadFull(r, p)
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

// localize brings all of an inode's content here, so that the object it came
// from may go.
func (c *Cache) localize(ctx context.Context, f *file) error {
	for {
		f.mu.RLock()
		gaps := f.ext.Present.Missing(0, f.size)
		f.mu.RUnlock()
		if len(gaps) == 0 {
			return nil
		}
		g := gaps[0]
		n := min(g.Len, 4*fetchUnit)
		wait, room := f.startInRoom(fetchSpan{off: g.Off, n: n, unit: fetchUnit})
		if !room {
			return ErrNoSpace
		}
		for _, w := range wait {
			select {
			case <-w.done:
				if w.err != nil {
					return w.err
				}
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * c.cfg.ReadTimeout):
				return context.DeadlineExceeded
			}
		}
	}
}
