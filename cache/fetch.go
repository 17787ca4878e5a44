package cache

import (
	"context"
	"errors"
	"fmt"
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

// A fetch is one ranged GET under way; readers of the range wait for what they
// want of it, or for done.
type fetch struct {
	extent.Range
	began time.Time
	more  chan struct{} // closed, and another made, when bytes have been kept; guarded by file.mu
	done  chan struct{}
	err   error
}

func newFetch(r extent.Range) *fetch {
	return &fetch{Range: r, began: time.Now(), more: make(chan struct{}), done: make(chan struct{})}
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
		if err := f.await(ctx, w, extent.Range{Off: s.off, Len: s.n}); err != nil {
			return false, err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(wait) == 0 && !f.ext.Present.Contains(s.off, min(s.n, f.size-s.off)) {
		return false, fmt.Errorf("%w: nothing says where bytes %d to %d are", ErrStale, s.off, s.off+s.n)
	}
	return false, nil
}

// await waits until a fetch has brought what is wanted of it.
func (f *file) await(ctx context.Context, w *fetch, want extent.Range) error {
	for {
		more, here := f.arrived(w, want)
		if here {
			return nil
		}
		select {
		case <-more:
		case <-w.done:
			if _, here = f.arrived(w, want); here {
				return nil
			}
			return w.err
		case <-ctx.Done():
			return &s3backend.Error{Op: "get", Key: f.at, Kind: s3backend.Offline, Err: ctx.Err()}
		}
	}
}

// arrived reports whether all that is wanted of a fetch is here, and what to
// wait for if not.
func (f *file) arrived(w *fetch, want extent.Range) (more <-chan struct{}, here bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	from, to := max(w.Off, want.Off), min(w.End(), want.End(), f.size)
	return w.more, from < to && f.ext.Present.Contains(from, to-from)
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
		w := newFetch(extent.Range{})
		w.err = ErrStale
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
			w := newFetch(extent.Range{Off: off, Len: end - off})
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
	f.endFetch(w, f.c.guard.try("fetch", func() error { return f.bring(w, o) }))
	f.c.unpin(f)
}

// errNothingCame ends a fetch.
var errNothingCame = errors.New("nothing has come for too long")

// leastBrought is what has to come within --read-timeout for a fetch to go on: a
// connection that brings less is given up, as another may be well.
const leastBrought = 256 << 10

// bring fetches a range of an object into the data file, for as long as bytes
// come in earnest. Of an object that comes whole, none is kept before the
// checksum of all was compared.
func (f *file) bring(w *fetch, o objectAt) error {
	ctx, cancel := context.WithCancelCause(f.c.ctx)
	defer cancel(nil)
	patience := time.AfterFunc(f.c.cfg.ReadTimeout, func() { cancel(errNothingCame) })
	defer patience.Stop()
	err := f.bringPatiently(ctx, w, o, func() { patience.Reset(f.c.cfg.ReadTimeout) })
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errNothingCame) {
		err = &s3backend.Error{Op: "get", Key: o.key, Kind: s3backend.Offline, Err: errNothingCame}
	}
	return err
}

func (f *file) bringPatiently(ctx context.Context, w *fetch, o objectAt, moved func()) error {
	release, err := f.c.download(ctx)
	if err != nil {
		return err
	}
	defer release()
	moved()
	buf := fetchBuffers.Get().(*[]byte)
	defer fetchBuffers.Put(buf)
	a := arrival{f: f, w: w, p: (*buf)[:w.Len], whole: w.Off == 0 && w.Len == o.base.Size}
	seen := int64(0)
	err = f.readCurrent(ctx, wanted{a.p, w.Off, func(n int64) {
		if n-seen >= leastBrought {
			seen = n
			moved()
		}
		a.came(n)
	}}, o)
	if err != nil {
		return err
	}
	a.keep(w.Len)
	return a.err
}

// keepPiece is how much a fetch keeps at a time.
const keepPiece = journal.SumBlock

// An arrival is the bytes of a fetch as they come.
type arrival struct {
	f     *file
	w     *fetch
	p     []byte
	whole bool
	kept  int64
	err   error // of the disk
}

// came is told that the first n bytes have come.
func (a *arrival) came(n int64) {
	if !a.whole && n-a.kept >= keepPiece {
		a.keep(n / keepPiece * keepPiece)
	}
}

// keep puts the first n bytes into the data file.
func (a *arrival) keep(n int64) {
	if a.err != nil || n <= a.kept {
		return
	}
	a.err = a.f.keep(extent.Range{Off: a.w.Off + a.kept, Len: n - a.kept}, a.p[a.kept:n], a.w)
	a.kept = n
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
func (f *file) keep(r extent.Range, p []byte, w *fetch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		close(w.more)
		w.more = make(chan struct{})
	}()
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
			err = f.readCurrent(ctx, wanted{p: p[g.Off-s.off : g.End()-s.off], off: g.Off}, o)
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
