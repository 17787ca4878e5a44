package s3backend

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Put writes one object and returns it as S3 confirmed it; Modified is the
// server's clock, zero where that says nothing. Above Options.PartSize it
// goes up in parts, in parallel. A put that fails because of the network or
// the context leaves its upload to be resumed; one that can never succeed
// (Changed, Denied, an error of Ready, …) is aborted.
//
// A request that was applied while its answer got lost is repeated and may
// come back as Changed by ourselves: the caller knows its own mark.
func (c *Client) Put(ctx context.Context, p Put) (Object, error) {
	a := attributes{meta: p.Meta, stored: p.Headers, storageClass: p.StorageClass}
	tags := 0
	if p.Keep != nil && p.Keep.Tags > 0 {
		var err error
		if a.tagging, tags, err = c.tagging(ctx, *p.Keep); err != nil {
			return Object{}, err
		}
	}
	var o Object
	var err error
	if p.Size <= c.opts.PartSize && p.Resume.ID == "" {
		o, err = c.putWhole(ctx, p, a)
	} else {
		o, err = c.putParts(ctx, p, a)
	}
	if err != nil {
		return Object{}, err
	}
	c.keys.note(p.Key, 0)
	o.Size, o.Tags = p.Size, tags
	return o, c.markerETag(ctx, &o)
}

// markerETag corrects the ETag of a marker just written to the one by which the
// server will know it.
func (c *Client) markerETag(ctx context.Context, o *Object) error {
	if !c.Capabilities().OddMarkers || o.Size > 0 || !strings.HasSuffix(o.Key, "/") {
		return nil
	}
	seen, err := c.Head(ctx, o.Key)
	if err != nil {
		return err
	}
	o.ETag, o.Modified = seen.ETag, seen.Modified
	return nil
}

// putWhole is a single PutObject.
func (c *Client) putWhole(ctx context.Context, p Put, a attributes) (Object, error) {
	cl := call{"PutObject", p.Key}
	if err := c.acquire(ctx); err != nil {
		return Object{}, fail(ctx, cl, err)
	}
	defer c.release()
	body := io.NewSectionReader(bodyOf(p), 0, p.Size)
	sum, err := c.checksum().of(body)
	if err != nil {
		return Object{}, fail(ctx, cl, fmt.Errorf("reading the body: %w", err))
	}
	cond, err := c.before(ctx, p.Key, p.If, c.Capabilities().PutIf)
	if err != nil {
		return Object{}, err
	}
	h := c.create(a).with(c.checksum().headers(sum))
	out, err := unlessDeleted(ctx, c, conditional{cl, cond, p.Ready}, func(cond Condition) (*s3.PutObjectOutput, error) {
		body := io.NewSectionReader(bodyOf(p), 0, p.Size)
		return c.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.opts.Bucket, Key: &p.Key, Body: body,
			ContentLength: &p.Size, IfMatch: cond.match(), IfNoneMatch: cond.noneMatch()}, h.option, unsigned, fewTimes)
	})
	if err != nil {
		return Object{}, err
	}
	ans := answerOf(out.ResultMetadata)
	o := c.object(p.Key, a)
	o.ETag, o.Version, o.Modified = unquote(out.ETag), aws.ToString(out.VersionId), ans.date()
	if o.ETag == "" {
		return Object{}, cl.corrupt("the answer has no ETag")
	}
	if err := c.enc.sealed(ans.header); err != nil {
		return Object{}, c.unsealed(ctx, written{cl, o, p.If}, err)
	}
	return o, nil
}

// bodyOf returns p's body; an object without bytes needs none.
func bodyOf(p Put) io.ReaderAt {
	if p.Body == nil {
		return strings.NewReader("")
	}
	return p.Body
}

// checksum returns the algorithm of uploads: none where the server is known to
// refuse its headers.
func (c *Client) checksum() checksum {
	if !c.Capabilities().Checksums {
		return checksum{}
	}
	return c.sums
}

// acquire takes an upload slot.
func (c *Client) acquire(ctx context.Context) error {
	select {
	case c.uploads <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) release() { <-c.uploads }

// A conditional is a request that makes an object under a condition.
type conditional struct {
	call
	cond  Condition
	ready func() error // asked before each attempt; may be nil
}

// unlessDeleted sends a conditional request; without its condition if that is
// absence, and the server takes what was deleted there for an object: a HEAD
// just before stands in.
func unlessDeleted[T any](ctx context.Context, c *Client, q conditional, send func(Condition) (T, error)) (out T, err error) {
	attempt := func(cond Condition) error {
		if q.ready != nil {
			if err := q.ready(); err != nil {
				return err
			}
		}
		if out, err = send(cond); err != nil {
			return fail(ctx, q.call, err)
		}
		return nil
	}
	err = attempt(q.cond)
	if q.cond.Absent && c.Capabilities().OddAbsence && KindOf(err) == Changed && c.holds(ctx, q.key, q.cond) == nil {
		err = attempt(Condition{})
	}
	return out, err
}

// before returns the condition that the request itself shall carry. Where the
// server does not check it, a HEAD does so now, and the request goes without.
func (c *Client) before(ctx context.Context, key string, cond Condition, honoured bool) (Condition, error) {
	if cond.None() || honoured {
		return cond, nil
	}
	return Condition{}, c.holds(ctx, key, cond)
}

// holds asks whether cond holds at key: nil, or an error of kind Changed.
func (c *Client) holds(ctx context.Context, key string, cond Condition) error {
	o, err := c.Head(ctx, key)
	missing := KindOf(err) == NotFound
	if err != nil && !missing {
		return err
	}
	if missing == cond.Absent && (missing || o.ETag == cond.Match) {
		return nil
	}
	found := "nothing"
	if !missing {
		found = "ETag " + string(o.ETag)
	}
	return &Error{Op: "HeadObject", Key: key, Kind: Changed, Err: fmt.Errorf("expected %s, found %s", cond, found)}
}

func (c Condition) match() *string {
	if c.Match == "" {
		return nil
	}
	return c.Match.quote()
}

func (c Condition) noneMatch() *string {
	if !c.Absent {
		return nil
	}
	return aws.String("*")
}

// tagging returns an object's tags as a request header carries them.
func (c *Client) tagging(ctx context.Context, o Object) (encoded string, n int, err error) {
	if o.Key == "" {
		return "", 0, nil
	}
	out, err := c.api.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &c.opts.Bucket, Key: &o.Key,
		VersionId: realVersion(o.Version)})
	if err != nil {
		if err = fail(ctx, call{"GetObjectTagging", o.Key}, err); KindOf(err) == NotFound {
			err = nil
		}
		return "", 0, err
	}
	tags := url.Values{}
	for _, t := range out.TagSet {
		tags.Set(aws.ToString(t.Key), aws.ToString(t.Value))
	}
	return tags.Encode(), len(tags), nil
}
