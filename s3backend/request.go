package s3backend

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// headers are added to a request before it is signed. Encryption, ACL and
// storage class go this way rather than through the fields of each input, so
// that one function decides them for every write path.
type headers map[string]string

// with returns h and more, neither changed.
func (h headers) with(more headers) headers {
	all := maps.Clone(h)
	if all == nil {
		all = headers{}
	}
	maps.Copy(all, more)
	return all
}

func (h headers) middleware(id string) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Build.Add(middleware.BuildMiddlewareFunc(id, func(ctx context.Context, in middleware.BuildInput,
			next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
			if req, ok := in.Request.(*smithyhttp.Request); ok {
				for k, v := range h {
					req.Header.Set(k, v)
				}
			}
			return next.HandleBuild(ctx, in)
		}), middleware.After)
	}
}

// option adds h to one request.
func (h headers) option(o *s3.Options) {
	if len(h) > 0 {
		o.APIOptions = append(o.APIOptions, h.middleware("moorfs:request"))
	}
}

// unsigned leaves the payload out of the signature: our checksum header, which
// is signed, covers it, and the body is read once less.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// An answer is what came over HTTP, behind the SDK's typed output.
type answer struct {
	status int
	header http.Header
}

func answerOf(md middleware.Metadata) answer {
	raw, ok := awsmiddleware.GetRawResponse(md).(*smithyhttp.Response)
	if !ok || raw.Response == nil {
		return answer{header: http.Header{}}
	}
	return answer{status: raw.StatusCode, header: raw.Header}
}

// date returns the server's clock at its answer, zero if it did not tell.
func (a answer) date() time.Time {
	t, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// seconds returns a time as HEAD shows it: some servers list milliseconds, and
// times are compared.
func seconds(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Truncate(time.Second)
}

func unquote(etag *string) ETag {
	if etag == nil {
		return ""
	}
	return ETag(strings.Trim(*etag, `"`))
}

// quote returns the entity tag as HTTP headers spell it.
func (e ETag) quote() *string {
	s := `"` + string(e) + `"`
	return &s
}

// optional returns nil for the empty string, as the SDK wants it.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// realVersion returns a version id that can be asked for; "null" is what
// buckets without versioning call theirs.
func realVersion(v string) *string {
	if v == "null" {
		return nil
	}
	return optional(v)
}
