package remotetest

import (
	"context"
	"io"
	"iter"

	"github.com/moorfs/moorfs/s3backend"
)

// List is the Remote's, with faults.
func (f *Faults) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	return func(yield func(s3backend.Entry, error) bool) {
		v := f.judge(ctx, "list", prefix)
		if v.is(Before) {
			yield(s3backend.Entry{}, v.err)
			return
		}
		for e, err := range f.remote.List(ctx, prefix, after) {
			if !yield(e, err) || err != nil {
				return
			}
			if v.is(Midway) {
				break
			}
		}
		if v.err != nil {
			yield(s3backend.Entry{}, v.err)
		}
	}
}

// ListPage is the Remote's, with faults.
func (f *Faults) ListPage(ctx context.Context, prefix, after string, limit int) ([]s3backend.Entry, bool, error) {
	if v := f.judge(ctx, "list", prefix); v.err != nil {
		return nil, false, v.err
	}
	return f.remote.ListPage(ctx, prefix, after, limit)
}

// Head is the Remote's, with faults.
func (f *Faults) Head(ctx context.Context, key string) (s3backend.Object, error) {
	if v := f.judge(ctx, "head", key); v.err != nil {
		return s3backend.Object{}, v.err
	}
	return f.remote.Head(ctx, key)
}

// Get is the Remote's, with faults. One that fails Midway or After breaks off
// in the middle or at the end of the body.
func (f *Faults) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	v := f.judge(ctx, "get", g.Key)
	if v.is(Before) {
		return nil, v.err
	}
	body, err := f.remote.Get(ctx, g)
	if err != nil || v.err == nil {
		return body, err
	}
	left := g.Range.Len
	if v.when == Midway {
		left /= 2
	}
	return &broken{body, left, v.err}, nil
}

// A broken body ends with an error after so many bytes.
type broken struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// Put is the Remote's, with faults.
func (f *Faults) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	v := f.judge(ctx, "put", p.Key)
	if v.is(Before) {
		return s3backend.Object{}, v.err
	}
	if v.is(Midway) {
		return f.putPartly(ctx, p, v.err)
	}
	o, err := f.remote.Put(ctx, p)
	return lose(o, err, v)
}

// putPartly stops the put with cause when a part has gone, or before the
// object becomes visible if it has none.
func (f *Faults) putPartly(ctx context.Context, p s3backend.Put, cause error) (s3backend.Object, error) {
	persist, parts := p.Progress, len(p.Resume.Parts)
	p.Progress = func(u s3backend.Upload) error {
		if persist != nil {
			if err := persist(u); err != nil {
				return err
			}
		}
		if len(u.Parts) > parts {
			return cause
		}
		return nil
	}
	p.Ready = func() error { return cause }
	o, err := f.remote.Put(ctx, p)
	if err != nil {
		return s3backend.Object{}, cause
	}
	return o, nil
}

// Copy is the Remote's, with faults.
func (f *Faults) Copy(ctx context.Context, c s3backend.Copy) (s3backend.Object, error) {
	v := f.judge(ctx, "copy", c.To)
	if v.err != nil && v.when != After {
		return s3backend.Object{}, v.err
	}
	o, err := f.remote.Copy(ctx, c)
	return lose(o, err, v)
}

// lose replaces a reply by the verdict's error, if there is one.
func lose(o s3backend.Object, err error, v verdict) (s3backend.Object, error) {
	if v.err != nil {
		return s3backend.Object{}, v.err
	}
	return o, err
}

// Delete is the Remote's, with faults.
func (f *Faults) Delete(ctx context.Context, ds ...s3backend.Deletion) []error {
	keys := make([]string, len(ds))
	for i, d := range ds {
		keys[i] = d.Key
	}
	v := f.judge(ctx, "delete", keys...)
	applied := len(ds)
	if v.is(Before) {
		applied = 0
	} else if v.is(Midway) {
		applied /= 2
	}
	errs := f.remote.Delete(ctx, ds[:applied]...)
	for len(errs) < len(ds) {
		errs = append(errs, v.err)
	}
	if v.is(After) {
		for i := range errs {
			errs[i] = v.err
		}
	}
	return errs
}

// Abort is the Remote's, with faults.
func (f *Faults) Abort(ctx context.Context, key string, u s3backend.Upload) error {
	v := f.judge(ctx, "abort", key)
	if v.err != nil && v.when != After {
		return v.err
	}
	if err := f.remote.Abort(ctx, key, u); err != nil {
		return err
	}
	return v.err
}

// Uploads is the Remote's, with faults.
func (f *Faults) Uploads(ctx context.Context, prefix string) ([]s3backend.PendingUpload, error) {
	v := f.judge(ctx, "uploads", prefix)
	if v.err != nil && v.when != After {
		return nil, v.err
	}
	pending, err := f.remote.Uploads(ctx, prefix)
	if err != nil {
		return nil, err
	}
	return pending, v.err
}
