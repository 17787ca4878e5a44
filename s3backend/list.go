package s3backend

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxPage is what S3 returns at most in one answer.
const maxPage = 1000

// A page is one answer to a LIST.
type page struct {
	entries []Entry
	next    string // continuation token
	last    bool
	err     error
}

// List yields what is directly below prefix and behind after, in the order of
// the keys' bytes: objects, and common prefixes up to the next "/". An object
// whose key equals prefix is among them. The page behind the one being
// consumed is fetched meanwhile. An error ends the sequence.
func (c *Client) List(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		fetch, cancel := context.WithCancel(ctx)
		pages, done := make(chan page), make(chan struct{})
		go func() {
			defer close(done)
			defer close(pages)
			c.fetchPages(fetch, listing{prefix: prefix, after: after, max: maxPage}, pages)
		}()
		defer func() { cancel(); <-done }()
		for p := range pages {
			for _, e := range p.entries {
				if !yield(e, nil) {
					return
				}
			}
			if p.err != nil {
				yield(Entry{}, p.err)
			}
			if p.err != nil || p.last {
				return
			}
		}
		yield(Entry{}, fail(ctx, call{"ListObjectsV2", prefix}, ctx.Err()))
	}
}

// fetchPages sends one page after the other, until the last, an error or the
// context's end.
func (c *Client) fetchPages(ctx context.Context, l listing, pages chan<- page) {
	for {
		var p page
		err := c.guarded(call{"ListObjectsV2", l.prefix}, func() error {
			p = c.page(ctx, l)
			return p.err
		})
		p.err = err
		select {
		case pages <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil || p.last {
			return
		}
		l.token = p.next
	}
}

// ListPage returns at most max entries behind after, as List orders them, and
// whether there are more. Unless there are none, it returns at least one.
func (c *Client) ListPage(ctx context.Context, prefix, after string, max int) ([]Entry, bool, error) {
	l := listing{prefix: prefix, after: after, max: min(max, maxPage)}
	for {
		p := c.page(ctx, l)
		if p.err != nil {
			return nil, false, p.err
		}
		if len(p.entries) > 0 || p.last {
			return p.entries, !p.last, nil
		}
		l.token = p.next
	}
}

type listing struct {
	prefix, after, token string
	max                  int
}

// page makes one request.
func (c *Client) page(ctx context.Context, l listing) page {
	cl := call{"ListObjectsV2", l.prefix}
	ctx, cancel := c.patience(ctx)
	defer cancel()
	in := &s3.ListObjectsV2Input{Bucket: &c.opts.Bucket, Prefix: &l.prefix, Delimiter: aws.String("/"),
		EncodingType: types.EncodingTypeUrl, MaxKeys: aws.Int32(int32(l.max))}
	if l.token != "" {
		in.ContinuationToken = &l.token
	} else {
		in.StartAfter = optional(l.after)
	}
	out, err := c.api.ListObjectsV2(ctx, in)
	if err != nil {
		return page{err: fail(ctx, cl, err)}
	}
	entries, err := entriesOf(cl, out)
	if err != nil {
		return page{err: err}
	}
	p := page{last: !aws.ToBool(out.IsTruncated), entries: slices.DeleteFunc(entries, func(e Entry) bool { return e.Key <= l.after && l.after != "" })}
	if err := c.markersOf(ctx, p.entries); err != nil {
		return page{err: err}
	}
	if !p.last {
		p.next = aws.ToString(out.NextContinuationToken)
		if p.next == "" || p.next == l.token {
			return page{err: cl.corrupt("the listing says that there is more, but not where")}
		}
	}
	return p
}

// markersOf gives markers in a listing, of which there is at most the prefix
// itself, the ETag by which the server will know them.
func (c *Client) markersOf(ctx context.Context, entries []Entry) error {
	for i, e := range entries {
		if e.Prefix {
			continue
		}
		o := Object{Key: e.Key, Size: e.Size, ETag: e.ETag, Modified: e.Modified}
		if err := c.markerETag(ctx, &o); err != nil && KindOf(err) != NotFound {
			return err
		}
		entries[i].ETag, entries[i].Modified = o.ETag, o.Modified
	}
	return nil
}

// entriesOf reads an answer, objects and common prefixes in one order. An
// answer that does not name the bucket and the prefix is not a listing: taken
// for an empty one, it would make every file vanish.
func entriesOf(cl call, out *s3.ListObjectsV2Output) ([]Entry, error) {
	decode := func(s *string) (string, error) {
		if out.EncodingType != types.EncodingTypeUrl {
			return aws.ToString(s), nil
		}
		key, err := url.QueryUnescape(aws.ToString(s))
		if err != nil {
			return "", cl.corrupt("the listing has a key that is not url-encoded: %w", err)
		}
		return key, nil
	}
	prefix, err := decode(out.Prefix)
	if err != nil || aws.ToString(out.Name) == "" || (prefix != cl.key && aws.ToString(out.Prefix) != cl.key) {
		return nil, cl.corrupt("the answer is not the listing asked for (bucket %q, prefix %q)",
			aws.ToString(out.Name), aws.ToString(out.Prefix))
	}
	entries := make([]Entry, 0, len(out.Contents)+len(out.CommonPrefixes))
	for _, o := range out.Contents {
		key, err := decode(o.Key)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Key: key, Size: aws.ToInt64(o.Size), ETag: unquote(o.ETag),
			Modified: seconds(o.LastModified), StorageClass: string(o.StorageClass)})
	}
	for _, p := range out.CommonPrefixes {
		key, err := decode(p.Prefix)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Key: key, Prefix: true})
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Key, cl.key) {
			return nil, cl.corrupt("the listing has the key %q", e.Key)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return entries, nil
}
