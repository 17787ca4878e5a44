package s3backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// corruptAttempts is how often an answer that is not the object is asked for
// again.
const corruptAttempts = 3

// Get returns the bytes of g.Range. The reader yields exactly that many and
// then io.EOF, or an error: a connection that breaks is taken up where it
// stood, at the same ETag. If the range is the whole object of g.Size bytes
// and S3 has a checksum of it, Corrupt takes the place of io.EOF when the
// bytes do not match.
func (c *Client) Get(ctx context.Context, g Get) (io.ReadCloser, error) {
	if g.Range.Len <= 0 || g.Range.Off < 0 {
		return nil, &Error{Op: "GetObject", Key: g.Key, Kind: Other, Err: fmt.Errorf("no range: %+v", g.Range)}
	}
	if g.Past && g.Version == "" {
		var err error
		if g.Version, err = c.versionOf(ctx, g.Key, g.At); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancelCause(listening(ctx))
	d := &download{c: c, ctx: ctx, cancel: cancel, g: g, moved: time.Now()}
	if err := d.open(); err != nil {
		cancel(nil)
		return nil, err
	}
	return d, nil
}

// A download is a Get under way. It is not for concurrent use.
type download struct {
	c      *Client
	ctx    context.Context
	cancel context.CancelCauseFunc
	g      Get

	pos   int64 // bytes yielded
	tries int   // failures since a byte moved
	moved time.Time
	body  io.ReadCloser
	proof *proof
	err   error // sticky
}

func (d *download) call() call { return call{"GetObject", d.g.Key} }

func (d *download) whole() bool {
	return d.g.Range.Off == 0 && d.g.Size > 0 && d.g.Range.Len == d.g.Size
}

// open requests what is still to come, until an answer is the object asked
// for or there is no hope.
func (d *download) open() error {
	wait := time.AfterFunc(time.Until(d.moved.Add(d.c.opts.ReadTimeout)), func() { d.cancel(stalled{}) })
	defer wait.Stop()
	var wrong error
	for {
		err := d.c.opening(d.g.Key, d.request)
		if err == nil {
			return nil
		}
		if wrong != nil && d.ctx.Err() != nil {
			return wrong // the time is up; this says more than that
		}
		d.tries++
		if KindOf(err) != Corrupt || d.tries >= corruptAttempts {
			return err
		}
		if sleep(d.ctx, backoff(d.tries)) != nil {
			return err
		}
		wrong = err
	}
}

func (d *download) request(k CustomerKey) error {
	off, end := d.g.Range.Off+d.pos, d.g.Range.End()
	in := &s3.GetObjectInput{Bucket: &d.c.opts.Bucket, Key: &d.g.Key, VersionId: realVersion(d.g.Version)}
	h := k.headers(prefixSSEC).with(nil)
	if d.g.At != "" {
		in.IfMatch = d.g.At.quote()
	}
	if d.whole() && d.pos == 0 {
		h["X-Amz-Checksum-Mode"] = "ENABLED" // by header: the SDK would verify it a second time
	} else {
		r := fmt.Sprintf("bytes=%d-%d", off, end-1)
		in.Range = &r
	}
	out, err := d.c.api.GetObject(d.ctx, in, h.option)
	if err != nil {
		return fail(d.ctx, d.call(), err)
	}
	a := answerOf(out.ResultMetadata)
	if err := d.check(a, out, off); err != nil {
		return errors.Join(err, out.Body.Close())
	}
	if d.g.At == "" {
		d.g.At = unquote(out.ETag)
	}
	if in.Range == nil {
		d.proof = proofOf(a.header, d.c.Capabilities().MD5ETag)
	}
	d.body = out.Body
	return nil
}

// check compares an answer with the question, as far as headers tell.
func (d *download) check(a answer, out *s3.GetObjectOutput, off int64) error {
	left, want := d.g.Range.Len-d.pos, http.StatusPartialContent
	if d.whole() && d.pos == 0 {
		want = http.StatusOK
	}
	etag := unquote(out.ETag)
	switch {
	case a.status != want:
		return d.call().corrupt("status %d instead of %d", a.status, want)
	case etag == "":
		return d.call().corrupt("the answer has no ETag")
	case d.g.At != "" && etag != d.g.At:
		return d.call().corrupt("ETag %s instead of %s", etag, d.g.At)
	case out.ContentLength == nil || *out.ContentLength != left:
		return d.call().corrupt("%s bytes instead of %d", a.header.Get("Content-Length"), left)
	}
	if want == http.StatusOK {
		return nil
	}
	return d.checkRange(a.header.Get("Content-Range"), off)
}

func (d *download) checkRange(got string, off int64) error {
	want := fmt.Sprintf("bytes %d-%d/", off, d.g.Range.End()-1)
	size, ok := strings.CutPrefix(got, want)
	if !ok || (d.g.Size > 0 && size != "*" && size != fmt.Sprint(d.g.Size)) {
		return d.call().corrupt("range %q instead of %q of %d bytes", got, want, d.g.Size)
	}
	return nil
}

// Read yields the next bytes.
func (d *download) Read(p []byte) (int, error) {
	if d.err != nil || len(p) == 0 {
		return 0, d.err
	}
	if d.tries == 0 {
		d.moved = time.Now() // we may have waited for our own caller until now
	}
	for {
		left := d.g.Range.Len - d.pos
		n, err := d.body.Read(p[:min(int64(len(p)), left)])
		if n > 0 {
			d.took(p[:n])
		}
		switch {
		case d.pos == d.g.Range.Len:
			d.err = d.finish()
		case err != nil:
			d.err = d.resume(err)
		case n == 0:
			continue
		}
		if n > 0 {
			return n, nil // an error is sticky and comes with the next Read
		}
		if d.err != nil {
			return 0, d.err
		}
	}
}

func (d *download) took(p []byte) {
	d.pos += int64(len(p))
	d.tries, d.moved = 0, time.Now()
	if d.proof != nil {
		d.proof.hash.Write(p) // never fails: see package hash
	}
}

func (d *download) finish() error {
	if d.proof != nil {
		if err := d.proof.check(); err != nil {
			return d.call().corrupt("%w", err)
		}
	}
	return io.EOF
}

// resume opens the rest after the connection broke with cause.
func (d *download) resume(cause error) error {
	closed := d.body.Close()
	d.body = http.NoBody
	if d.ctx.Err() != nil {
		return fail(d.ctx, d.call(), d.ctx.Err())
	}
	d.tries++
	late := time.Since(d.moved) >= d.c.opts.ReadTimeout
	if d.tries >= attempts || late {
		return &Error{Op: "GetObject", Key: d.g.Key, Kind: Offline,
			Err: fmt.Errorf("broke off at byte %d of %d: %w", d.pos, d.g.Range.Len, errors.Join(cause, closed))}
	}
	if d.tries > 1 {
		if err := sleep(d.ctx, backoff(d.tries)); err != nil {
			return fail(d.ctx, d.call(), err)
		}
	}
	return d.open()
}

// Close ends the download; nothing can be lost by it.
func (d *download) Close() error {
	defer d.cancel(nil)
	if d.err == nil {
		d.err = fmt.Errorf("GetObject %q: read after close", d.g.Key)
	}
	return d.body.Close()
}
