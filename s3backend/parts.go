package s3backend

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// sender makes parts from the body of a Put, or on the server from its Base.
type sender struct{ p Put }

func (s sender) part(ctx context.Context, m *multipart, n int32) (Part, error) {
	r := m.rangeOf(n)
	if s.p.Base != nil && slices.ContainsFunc(s.p.Unchanged, func(u Range) bool { return u.Off <= r.Off && r.End() <= u.End() }) {
		return m.copyPart(ctx, *s.p.Base, n)
	}
	return m.sendPart(ctx, bodyOf(s.p), n)
}

// sendPart is one UploadPart.
func (m *multipart) sendPart(ctx context.Context, body io.ReaderAt, n int32) (Part, error) {
	c, cl, r := m.c, call{"UploadPart", m.key}, m.rangeOf(n)
	sum, h, err := m.sum(io.NewSectionReader(body, r.Off, r.Len))
	if err != nil {
		return Part{}, fail(ctx, cl, fmt.Errorf("reading the body: %w", err))
	}
	h = c.enc.part().with(h)
	out, err := c.api.UploadPart(ctx, &s3.UploadPartInput{Bucket: &c.opts.Bucket, Key: &m.key, UploadId: &m.state.ID,
		PartNumber: &n, Body: io.NewSectionReader(body, r.Off, r.Len), ContentLength: &r.Len}, h.option, unsigned, fewTimes)
	if err != nil {
		return Part{}, fail(ctx, cl, err)
	}
	if unquote(out.ETag) == "" {
		return Part{}, cl.corrupt("the answer has no ETag")
	}
	if err := c.enc.sealedByKey(answerOf(out.ResultMetadata).header); err != nil {
		return Part{}, &Error{Op: cl.op, Key: cl.key, Kind: Unsealed, Err: err}
	}
	return Part{Number: n, Size: r.Len, ETag: unquote(out.ETag), CRC: sum}, nil
}

// sum returns the checksum of a part, and the header that carries it: an MD5
// in an upload that has no algorithm of its own, unless checksums are off.
func (m *multipart) sum(part io.Reader) (string, headers, error) {
	if !m.sums.off() || m.c.checksum().off() {
		sum, err := m.sums.of(part)
		return sum, m.sums.headers(sum), err
	}
	h := md5.New()
	if _, err := io.Copy(h, part); err != nil {
		return "", nil, err
	}
	return "", headers{"Content-Md5": base64.StdEncoding.EncodeToString(h.Sum(nil))}, nil
}

// copyPart is one UploadPartCopy of the same range of source. Not every server
// echoes the encryption here; complete has the last word.
func (m *multipart) copyPart(ctx context.Context, source Object, n int32) (Part, error) {
	c, cl, r := m.c, call{"UploadPartCopy", m.key}, m.rangeOf(n)
	in := &s3.UploadPartCopyInput{Bucket: &c.opts.Bucket, Key: &m.key, UploadId: &m.state.ID, PartNumber: &n,
		CopySource: c.copySource(source), CopySourceIfMatch: source.ETag.quote(),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", r.Off, r.End()-1))}
	var part Part
	err := c.opening(source.Key, func(k CustomerKey) error {
		h := c.enc.part().with(k.headers(prefixSourceSSEC))
		out, err := c.api.UploadPartCopy(ctx, in, h.option, fewTimes)
		if err != nil {
			return fail(ctx, cl, err)
		}
		if out.CopyPartResult == nil || unquote(out.CopyPartResult.ETag) == "" {
			return cl.corrupt("the answer has no ETag")
		}
		part = Part{Number: n, Size: r.Len, ETag: unquote(out.CopyPartResult.ETag)}
		return nil
	})
	return part, err
}

// copySource names an object to copy from, its version if it has one.
func (c *Client) copySource(o Object) *string {
	path := c.opts.Bucket + "/" + escapeKey(o.Key)
	if strings.HasPrefix(c.opts.Bucket, "arn:") {
		path = c.opts.Bucket + "/object/" + escapeKey(o.Key)
	}
	if v := realVersion(o.Version); v != nil {
		path += "?versionId=" + url.QueryEscape(*v)
	}
	return &path
}

// escapeKey percent-encodes every byte of a key that any server might read as
// something else; "+" too, which some take for a space.
func escapeKey(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		ch := key[i]
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', strings.IndexByte("/-_.~", ch) >= 0:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}
