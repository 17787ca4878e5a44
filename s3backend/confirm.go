package s3backend

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// written is an object that a request has just made.
type written struct {
	call
	object Object
	cond   Condition // under which it was made
}

// confirm makes sure that an object is encrypted as asked. Amazon says so in
// the answer to every write; MinIO does not for copies and multipart uploads,
// but to a HEAD. An object that is not encrypted is withdrawn.
func (c *Client) confirm(ctx context.Context, w written, answered http.Header) error {
	if c.enc.sealed(answered) == nil {
		return nil
	}
	err := c.enc.contradicts(answered)
	if err == nil {
		in := &s3.HeadObjectInput{Bucket: &c.opts.Bucket, Key: &w.key, VersionId: realVersion(w.object.Version)}
		out, headErr := c.api.HeadObject(ctx, in, c.enc.part().option)
		if headErr != nil && statusOf(headErr) != http.StatusBadRequest {
			return fail(ctx, call{"HeadObject", w.key}, headErr)
		}
		if headErr == nil {
			err = c.enc.sealed(answerOf(out.ResultMetadata).header)
		} else {
			err = fmt.Errorf("the object does not know its SSE-C key: %w", brief(headErr))
		}
	}
	if err == nil {
		return nil
	}
	return c.unsealed(ctx, w, err)
}

// unsealed is the error for an object that was stored with less encryption
// than was asked, for the reason why.
func (c *Client) unsealed(ctx context.Context, w written, why error) error {
	return &Error{Op: w.op, Key: w.key, Kind: Unsealed, Err: c.withdraw(ctx, w.object, w.cond, why)}
}

// withdraw removes an object that was stored unsealed, if that uncovers or
// leaves what was there before. It returns why, with what went wrong.
func (c *Client) withdraw(ctx context.Context, o Object, cond Condition, why error) error {
	in := &s3.DeleteObjectInput{Bucket: &c.opts.Bucket, Key: &o.Key, VersionId: realVersion(o.Version)}
	if in.VersionId == nil && !cond.Absent {
		return fmt.Errorf("%w; it replaced an object and stays", why)
	}
	if _, err := c.api.DeleteObject(context.WithoutCancel(ctx), in); err != nil {
		return fmt.Errorf("%w; it could not be deleted again: %w", why, brief(err))
	}
	return why
}
