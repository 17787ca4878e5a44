package s3backend

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// versionOf returns the id of the newest version of a key that has an ETag. An
// error of kind Changed says that there is none, or that the bucket does not
// tell.
func (c *Client) versionOf(ctx context.Context, key string, etag ETag) (string, error) {
	cl := call{"ListObjectVersions", key}
	ctx, cancel := c.patience(ctx)
	defer cancel()
	in := &s3.ListObjectVersionsInput{Bucket: &c.opts.Bucket, Prefix: &key, EncodingType: types.EncodingTypeUrl}
	for {
		out, err := c.api.ListObjectVersions(ctx, in)
		if err != nil {
			err = fail(ctx, cl, err)
			if k := KindOf(err); k == Offline || k == Busy || ctx.Err() != nil {
				return "", err
			}
			return "", &Error{Op: cl.op, Key: key, Kind: Changed, Err: fmt.Errorf("its versions are not told: %w", err)}
		}
		other := false // the versions of a key come together, those of the shortest first
		for _, v := range out.Versions {
			name := aws.ToString(v.Key)
			if out.EncodingType == types.EncodingTypeUrl {
				if plain, err := url.QueryUnescape(name); err == nil {
					name = plain
				}
			}
			if other = name != key; !other && unquote(v.ETag) == etag && aws.ToString(v.VersionId) != "" {
				return *v.VersionId, nil
			}
		}
		if other || !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return "", &Error{Op: cl.op, Key: key, Kind: Changed, Err: fmt.Errorf("no version has ETag %s", etag)}
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
}
