package cache

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// errWentOffline is the cause of questions that ended because the bucket went,
// or is, offline.
var errWentOffline = errors.New("the bucket is offline")

// A watched is the Remote as seen through what is known of the network: each
// request tells how it went; while offline none is made, and questions that
// are waiting end. Writes that are under way may have been applied and are left
// alone, until the bucket is heard of after a silence: nobody will answer them
// on the connections of before, and their keys have work to do.
type watched struct {
	remote Remote
	net    *network
}

// A reading is a question that somebody waits for, or a write.
type reading struct {
	cancel context.CancelCauseFunc
	began  time.Time
	timer  *time.Timer // nil: a write
}

// question begins a reading; done ends it. Silence while it waits is looked
// into.
func (n *network) question(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reading{cancel: cancel, began: time.Now()}
	n.mu.Lock()
	n.waiting[r] = struct{}{}
	r.timer = time.AfterFunc(suspectAfter, func() { n.suspect(r) })
	if n.status.State == Offline { // since reach
		cancel(errWentOffline)
	}
	n.mu.Unlock()
	return ctx, func() { n.end(r) }
}

func (r *reading) isWrite() bool    { return r.timer == nil }
func (r *reading) isQuestion() bool { return r.timer != nil }

func (n *network) end(r *reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.waiting, r)
	if r.timer != nil {
		r.timer.Stop()
	}
	r.cancel(nil)
}

// writing begins a write; done ends it.
func (n *network) writing(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reading{cancel: cancel, began: time.Now()}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting[r] = struct{}{}
	return ctx, func() { n.end(r) }
}

// suspect has the network looked at if nothing was heard for long.
func (n *network) suspect(r *reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, waits := n.waiting[r]; !waits {
		return
	}
	if time.Since(ofStamp(n.life.Load())) >= suspectAfter {
		n.look()
	}
	r.timer.Reset(suspectAfter)
}

// endAll ends all requests of a kind that are under way. The lock is held.
func (n *network) endAll(of func(*reading) bool) {
	for r := range n.waiting {
		if of(r) {
			r.cancel(errWentOffline)
		}
	}
}

// cut says of a question that was ended by going offline that it was.
func cut(ctx context.Context, op, key string, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errWentOffline) {
		return &s3backend.Error{Op: op, Key: key, Kind: s3backend.Offline, Err: errWentOffline}
	}
	return err
}

// List is the Remote's.
func (w watched) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	return func(yield func(s3backend.Entry, error) bool) {
		if err := w.net.reach(ctx, "list", prefix); err != nil {
			yield(s3backend.Entry{}, err)
			return
		}
		ctx, done := w.net.question(ctx)
		defer done()
		for e, err := range w.remote.List(ctx, prefix, after) {
			if err != nil {
				err = cut(ctx, "list", prefix, err)
				w.net.note(err)
			} else {
				w.net.heard()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		w.net.note(nil)
	}
}

// ListPage is the Remote's.
func (w watched) ListPage(ctx context.Context, prefix, after string, limit int) (entries []s3backend.Entry, more bool, err error) {
	if err := w.net.reach(ctx, "list", prefix); err != nil {
		return nil, false, err
	}
	ctx, done := w.net.question(ctx)
	defer done()
	entries, more, err = w.remote.ListPage(ctx, prefix, after, limit)
	err = cut(ctx, "list", prefix, err)
	w.net.note(err)
	return entries, more, err
}

// Head is the Remote's.
func (w watched) Head(ctx context.Context, key string) (s3backend.Object, error) {
	if err := w.net.reach(ctx, "head", key); err != nil {
		return s3backend.Object{}, err
	}
	ctx, done := w.net.question(ctx)
	defer done()
	o, err := w.remote.Head(ctx, key)
	err = cut(ctx, "head", key, err)
	w.net.note(err)
	return o, err
}

// Get is the Remote's.
func (w watched) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	if err := w.net.reach(ctx, "get", g.Key); err != nil {
		return nil, err
	}
	ctx, done := w.net.question(ctx)
	body, err := w.remote.Get(ctx, g)
	if err != nil {
		defer done()
		err = cut(ctx, "get", g.Key, err)
		w.net.note(err)
		return nil, err
	}
	w.net.heard()
	return &watchedBody{body: body, ctx: ctx, done: done, net: w.net, key: g.Key}, nil
}

// A watchedBody tells of the bytes that come, and how they end.
type watchedBody struct {
	body io.ReadCloser
	ctx  context.Context
	done func()
	net  *network
	key  string
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.net.heard()
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		b.net.note(nil)
		return n, err
	}
	err = cut(b.ctx, "get", b.key, err)
	b.net.note(err)
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.done()
	return b.body.Close()
}

// write carries out a request that changes the bucket.
func (w watched) write(ctx context.Context, op, key string, request func(context.Context) error) error {
	if err := w.net.reach(ctx, op, key); err != nil {
		return err
	}
	ctx, done := w.net.writing(ctx)
	defer done()
	err := cut(ctx, op, key, request(ctx))
	w.net.note(err)
	return err
}

// Put is the Remote's.
func (w watched) Put(ctx context.Context, p s3backend.Put) (o s3backend.Object, err error) {
	if p.Body != nil {
		p.Body = watchedSource{p.Body, w.net}
	}
	err = w.write(ctx, "put", p.Key, func(ctx context.Context) (err error) {
		o, err = w.remote.Put(ctx, p)
		return err
	})
	return o, err
}

// A watchedSource takes it for a sign of life that the network takes bytes.
type watchedSource struct {
	io.ReaderAt
	net *network
}

func (s watchedSource) ReadAt(p []byte, off int64) (int, error) {
	s.net.heard()
	return s.ReaderAt.ReadAt(p, off)
}

// Copy is the Remote's.
func (w watched) Copy(ctx context.Context, c s3backend.Copy) (o s3backend.Object, err error) {
	err = w.write(ctx, "copy", c.To, func(ctx context.Context) (err error) {
		o, err = w.remote.Copy(ctx, c)
		return err
	})
	return o, err
}

// Delete is the Remote's.
func (w watched) Delete(ctx context.Context, ds ...s3backend.Deletion) []error {
	errs := make([]error, len(ds))
	if len(ds) == 0 {
		return errs
	}
	if err := w.net.reach(ctx, "delete", ds[0].Key); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	ctx, done := w.net.writing(ctx)
	defer done()
	errs = w.remote.Delete(ctx, ds...)
	for i, err := range errs {
		errs[i] = cut(ctx, "delete", ds[i].Key, err)
		w.net.note(errs[i])
	}
	return errs
}

// Abort is the Remote's.
func (w watched) Abort(ctx context.Context, key string, u s3backend.Upload) error {
	return w.write(ctx, "abort", key, func(ctx context.Context) error { return w.remote.Abort(ctx, key, u) })
}

// Uploads is the Remote's.
func (w watched) Uploads(ctx context.Context, key string) (pending []s3backend.PendingUpload, err error) {
	err = w.write(ctx, "uploads", key, func(ctx context.Context) (err error) {
		pending, err = w.remote.Uploads(ctx, key)
		return err
	})
	return pending, err
}
