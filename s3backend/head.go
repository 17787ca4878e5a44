package s3backend

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Head returns what S3 knows of the object at key. Objects encrypted with
// SSE-C are opened with whichever key of the ring fits.
func (c *Client) Head(ctx context.Context, key string) (Object, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	o, err := c.headOpening(ctx, key)
	if err == nil {
		return o, nil
	}
	err, mended := c.explained(ctx, key, err)
	if mended {
		o, err = c.headOpening(ctx, key)
	}
	if err != nil {
		return Object{}, err
	}
	return o, nil
}

func (c *Client) headOpening(ctx context.Context, key string) (o Object, err error) {
	err = c.opening(key, func(k CustomerKey) error {
		o, err = c.headWith(ctx, key, k)
		return err
	})
	return o, err
}

func (c *Client) headWith(ctx context.Context, key string, k CustomerKey) (Object, error) {
	cl := call{"HeadObject", key}
	out, err := c.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.opts.Bucket, Key: &key}, k.headers(prefixSSEC).option, unrepeated(ctx))
	if err != nil {
		return Object{}, fail(ctx, cl, err)
	}
	if unquote(out.ETag) == "" || out.ContentLength == nil {
		return Object{}, cl.corrupt("the answer has no ETag or no length")
	}
	o := Object{Key: key, Size: *out.ContentLength, ETag: unquote(out.ETag), Version: aws.ToString(out.VersionId),
		Modified: aws.ToTime(out.LastModified), Meta: decodeMeta(out.Metadata), StorageClass: string(out.StorageClass),
		Tags: int(aws.ToInt32(out.TagCount)), Archived: archived(out)}
	o.Headers = Headers{CacheControl: aws.ToString(out.CacheControl), ContentDisposition: aws.ToString(out.ContentDisposition),
		ContentEncoding: aws.ToString(out.ContentEncoding), ContentLanguage: aws.ToString(out.ContentLanguage),
		ContentType: aws.ToString(out.ContentType), Expires: aws.ToString(out.ExpiresString),
		WebsiteRedirect: aws.ToString(out.WebsiteRedirectLocation)}
	return o, nil
}

// archived reports whether an object's bytes must be restored first. The
// class GLACIER_IR is readable at once.
func archived(out *s3.HeadObjectOutput) bool {
	cold := out.StorageClass == types.StorageClassGlacier || out.StorageClass == types.StorageClassDeepArchive ||
		out.ArchiveStatus != ""
	restored := strings.Contains(aws.ToString(out.Restore), `ongoing-request="false"`)
	return cold && !restored
}

// explained finds out what a refused HEAD means: answers to HEAD have no
// body, so that an expired token, a wrong region and a missing SSE-C key look
// the same. A GET of one byte is refused for the same reason, in words; if it
// is answered, as after credentials were renewed, the HEAD will be, too.
func (c *Client) explained(ctx context.Context, key string, err error) (why error, mended bool) {
	var e *Error
	if IsProbing(ctx) || !errors.As(err, &e) || (e.status != http.StatusBadRequest && e.status != http.StatusForbidden) {
		return err, false
	}
	out, getErr := c.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.opts.Bucket, Key: &key, Range: aws.String("bytes=0-0")})
	if getErr == nil {
		err = errors.Join(err, out.Body.Close())
		return err, len(c.enc.ring) == 0
	}
	why = fail(ctx, call{"HeadObject", key}, getErr)
	if len(c.enc.ring) > 0 {
		why = withKeys(why)
	}
	return why, false
}
