package s3backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Check finds out whether the bucket is there and may be listed below prefix;
// its error is one line that says what is wrong and what would help.
func (c *Client) Check(ctx context.Context, prefix string) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	cl := call{"ListObjectsV2", prefix}
	if err := c.checkCredentials(ctx); err != nil {
		return err
	}
	out, err := c.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &c.opts.Bucket, Prefix: &prefix, MaxKeys: aws.Int32(1)}, unrepeated(ctx))
	if err != nil {
		return c.diagnose(prefix, fail(ctx, cl, err), err)
	}
	if aws.ToString(out.Name) == "" {
		return fmt.Errorf("%s does not answer as S3 does: %w", c.where(), cl.corrupt("the answer is no listing"))
	}
	return nil
}

func (c *Client) checkCredentials(ctx context.Context) error {
	if c.creds == nil || c.opts.NoSignRequest {
		return nil
	}
	_, err := c.creds.Retrieve(ctx)
	if err == nil {
		return nil
	}
	e := &Error{Op: "credentials", Key: c.opts.Bucket, Kind: Denied, Err: brief(err)}
	if strings.Contains(err.Error(), "EC2 IMDS") {
		e.Err = errors.New("none in the environment, in ~/.aws or from the instance")
		return fmt.Errorf("no credentials found: %w", e)
	}
	if isNetwork(err) {
		e.Kind = Offline
		return fmt.Errorf("credentials could not be fetched, their source is offline: %w", e)
	}
	return fmt.Errorf("credentials could not be had: %w", e)
}

// diagnose says in the words of the person who mounts what e means.
func (c *Client) diagnose(prefix string, e, raw error) error {
	bucket := c.opts.Bucket
	if region := regionOf(raw); region != "" && region != c.Region() {
		return fmt.Errorf("wrong region: bucket %s is in %s, not in %s: %w", bucket, region, c.Region(), e)
	}
	text := e.Error()
	switch KindOf(e) {
	case NoBucket, NotFound:
		return fmt.Errorf("no such bucket: %s: %w", bucket, e)
	case Denied:
		for _, code := range []string{"SignatureDoesNotMatch", "InvalidAccessKeyId", "XAdminUserNotFound", "InvalidToken"} {
			if strings.Contains(text, code) {
				return fmt.Errorf("bad credentials for bucket %s: %w", bucket, e)
			}
		}
		if prefix != "" {
			return fmt.Errorf("access denied to %s below %q, s3:ListBucket is needed: %w", bucket, prefix, e)
		}
		return fmt.Errorf("access denied to bucket %s, s3:ListBucket is needed: %w", bucket, e)
	case Expired:
		return fmt.Errorf("expired credentials for bucket %s: %w", bucket, e)
	case Skewed:
		return fmt.Errorf("this machine's clock is wrong: %w", e)
	case Offline:
		if isTLS(raw) {
			return fmt.Errorf("TLS: the certificate of %s is not trusted or not its own: %w", c.where(), e)
		}
		return fmt.Errorf("offline: %s cannot be reached: %w", c.where(), e)
	case Corrupt:
		return fmt.Errorf("%s does not answer as S3 does: %w", c.where(), e)
	}
	return fmt.Errorf("bucket %s: %w", bucket, e)
}

// where names the server in messages.
func (c *Client) where() string {
	if e := c.Endpoint(); e != "" {
		return e
	}
	return "Amazon S3 in " + c.Region()
}
