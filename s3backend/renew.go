package s3backend

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// renewGap is how long credentials that were just had anew are not asked for
// again.
const renewGap = 10 * time.Second

// renewable are credentials of the SDK's chain. When S3 says that they have
// expired, though their own time is not up, they are had anew, once, from
// wherever they come: files are read again, services asked.
type renewable struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	mu    sync.Mutex // held while loading: others wait for what that gives
	now   aws.CredentialsProvider
	asked time.Time
}

// Retrieve returns the credentials in use.
func (r *renewable) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	now := r.now
	r.mu.Unlock()
	return now.Retrieve(ctx)
}

// middleware has a request that met expired credentials repeated with newer
// ones.
func (r *renewable) middleware(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("moorfs:renew", func(ctx context.Context, in middleware.FinalizeInput,
		next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, md, err := next.HandleFinalize(ctx, in)
		req, ok := in.Request.(*smithyhttp.Request)
		if err != nil && ok && isExpired(err) && r.renew(ctx, req) {
			err = &renewed{err}
		}
		return out, md, err
	}), "Signing", middleware.After)
}

// renew reports whether there are other credentials now than those that req was
// signed with.
func (r *renewable) renew(ctx context.Context, req *smithyhttp.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.differ(ctx, r.now, req) {
		return true // somebody was quicker
	}
	if time.Since(r.asked) < renewGap {
		return false
	}
	r.asked = time.Now()
	p, err := r.load(ctx)
	if err != nil || p == nil || !r.differ(ctx, p, req) {
		return false // the request's own error says what is the matter
	}
	r.now = p
	return true
}

func (r *renewable) differ(ctx context.Context, p aws.CredentialsProvider, req *smithyhttp.Request) bool {
	c, err := p.Retrieve(ctx)
	return err == nil && (c.SessionToken != req.Header.Get("X-Amz-Security-Token") ||
		!strings.Contains(req.Header.Get("Authorization"), "Credential="+c.AccessKeyID+"/"))
}

func isExpired(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && kindOfCode[api.ErrorCode()] == Expired
}

// renewed is an error that newer credentials may mend.
type renewed struct{ error }

func (r *renewed) Unwrap() error        { return r.error }
func (r *renewed) RetryableError() bool { return true }
