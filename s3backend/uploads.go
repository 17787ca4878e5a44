package s3backend

import (
	"context"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A PendingUpload is a multipart upload that was neither completed nor
// aborted. Its parts cost money and are in no listing.
type PendingUpload struct {
	Key     string
	ID      string
	Started time.Time
	Empty   bool // it has no part; asked only of uploads at exactly the key that was asked for
}

// Uploads returns the pending uploads below prefix, whoever began them.
func (c *Client) Uploads(ctx context.Context, prefix string) ([]PendingUpload, error) {
	cl := call{"ListMultipartUploads", prefix}
	in := &s3.ListMultipartUploadsInput{Bucket: &c.opts.Bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
	var all []PendingUpload
	for {
		out, err := c.api.ListMultipartUploads(ctx, in)
		if err != nil {
			return nil, fail(ctx, cl, err)
		}
		if aws.ToString(out.Bucket) == "" {
			return nil, cl.corrupt("the answer is no list of uploads")
		}
		decode := func(s *string) (string, error) {
			if out.EncodingType != types.EncodingTypeUrl {
				return aws.ToString(s), nil
			}
			return url.QueryUnescape(aws.ToString(s))
		}
		for _, u := range out.Uploads {
			key, err := decode(u.Key)
			if err != nil {
				return nil, cl.corrupt("a key is not url-encoded: %w", err)
			}
			p := PendingUpload{Key: key, ID: aws.ToString(u.UploadId), Started: aws.ToTime(u.Initiated)}
			if key == prefix {
				if p.Empty, err = c.empty(ctx, p); err != nil {
					return nil, err
				}
			}
			all = append(all, p)
		}
		marker, err := decode(out.NextKeyMarker)
		if err != nil {
			return nil, cl.corrupt("the marker is not url-encoded: %w", err)
		}
		if !aws.ToBool(out.IsTruncated) {
			return all, nil
		}
		if marker == aws.ToString(in.KeyMarker) && aws.ToString(out.NextUploadIdMarker) == aws.ToString(in.UploadIdMarker) {
			return nil, cl.corrupt("the list says that there is more, but not where")
		}
		in.KeyMarker, in.UploadIdMarker = &marker, out.NextUploadIdMarker
	}
}

// empty reports whether an upload has no part. One that is gone has some.
func (c *Client) empty(ctx context.Context, u PendingUpload) (bool, error) {
	out, err := c.api.ListParts(ctx, &s3.ListPartsInput{Bucket: &c.opts.Bucket, Key: &u.Key, UploadId: &u.ID, MaxParts: aws.Int32(1)})
	if err != nil {
		err = fail(ctx, call{"ListParts", u.Key}, err)
		if KindOf(err) == NotFound {
			return false, nil
		}
		return false, err
	}
	return aws.ToString(out.UploadId) == u.ID && len(out.Parts) == 0, nil
}
