package s3backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// kindOfCode maps S3's error codes
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html) that
// say more than their status.
var kindOfCode = map[string]Kind{
	"NoSuchBucket":                  NoBucket,
	"NoSuchKey":                     NotFound,
	"NoSuchUpload":                  NotFound,
	"NoSuchVersion":                 NotFound,
	"NotFound":                      NotFound,
	"PreconditionFailed":            Changed,
	"ConditionalRequestConflict":    Busy, // others were at the key at the same time; says nothing of the condition
	"InvalidRange":                  Changed,
	"OperationAborted":              Busy,
	"SlowDown":                      Busy,
	"RequestTimeout":                Busy,
	"InternalError":                 Busy,
	"ServiceUnavailable":            Busy,
	"ThrottlingException":           Busy,
	"Throttling":                    Busy,
	"KMS.ThrottlingException":       Busy,
	"XMinioStorageFull":             Busy,
	"InvalidObjectState":            Archived,
	"AccessDenied":                  Denied,
	"Forbidden":                     Denied,
	"InvalidAccessKeyId":            Denied,
	"XAdminUserNotFound":            Denied, // versitygw's, with 404
	"SignatureDoesNotMatch":         Denied,
	"ExpiredToken":                  Expired,
	"ExpiredTokenException":         Expired,
	"InvalidToken":                  Denied,
	"TokenRefreshRequired":          Expired,
	"RequestTimeTooSkewed":          Skewed,
	"AccountProblem":                Denied,
	"AllAccessDisabled":             Denied,
	"XMinioKMSKeyNotFoundException": Denied,
	"ObjectLocked":                  Locked,
	"XMinioObjectLocked":            Locked,
	"EntityTooLarge":                TooBig,
	"MetadataTooLarge":              TooBig,
	"KeyTooLongError":               TooBig,
	"BadDigest":                     Corrupt,
	"XAmzContentChecksumMismatch":   Corrupt,
	"XAmzContentSHA256Mismatch":     Corrupt,
	"IncompleteBody":                Corrupt,
	"ObjectParentIsFile":            Blocked,
	"ExistingObjectIsDirectory":     Blocked,
	"XMinioObjectExistsAsDirectory": Blocked,
	"XMinioParentIsObject":          Blocked,

	// SQS's, and its gateway's.
	"QueueDoesNotExist":                       NotFound,
	"AWS.SimpleQueueService.NonExistentQueue": NotFound,
	"AccessDeniedException":                   Denied,
	"InvalidClientTokenId":                    Denied,
	"RequestThrottled":                        Busy,
}

// kindOfMessage tells apart what S3 puts under one code. Lower case.
var kindOfMessage = []struct {
	part string
	kind Kind
}{
	{"stored using a form of server side encryption", NeedsKey},
	{"protected by object lock", Locked},
	{"worm protected", Locked},
	{"mfa authentication", Locked},
}

// actionOf names the permission that an operation needs, where it is not
// called like the operation.
var actionOf = map[string]string{
	"HeadObject":              "s3:GetObject",
	"HeadBucket":              "s3:ListBucket",
	"ListObjectsV2":           "s3:ListBucket",
	"ListObjectVersions":      "s3:ListBucketVersions",
	"ListMultipartUploads":    "s3:ListBucketMultipartUploads",
	"DeleteObjects":           "s3:DeleteObject",
	"CopyObject":              "s3:PutObject (and s3:GetObject of the source)",
	"UploadPartCopy":          "s3:PutObject (and s3:GetObject of the source)",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
	"ReceiveMessage":          "sqs:ReceiveMessage",
	"DeleteMessageBatch":      "sqs:DeleteMessage",
}

// action returns the permission that op needs.
func action(op string) string {
	if a := actionOf[op]; a != "" {
		return a
	}
	return "s3:" + op
}

// A call is what an error reports: the operation as S3 calls it, and the key.
type call struct{ op, key string }

// corrupt is the error of an answer that is not what was asked for.
func (cl call) corrupt(format string, args ...any) error {
	return &Error{Op: cl.op, Key: cl.key, Kind: Corrupt, Err: fmt.Errorf(format, args...)}
}

// fail turns what the SDK returned into an *Error, or the context's error.
func fail(ctx context.Context, cl call, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if h := (*held)(nil); errors.As(err, &h) {
		return &Error{Op: cl.op, Key: cl.key, Kind: h.why, Err: h}
	}
	if f := (*foreign)(nil); errors.As(err, &f) {
		return &Error{Op: cl.op, Key: cl.key, Kind: Corrupt, Err: f}
	}
	if ctx.Err() != nil && wasBusy(ctx) && !errors.Is(context.Cause(ctx), context.Canceled) {
		return &Error{Op: cl.op, Key: cl.key, Kind: Busy, Err: errors.New("busy until the time was up")}
	}
	if _, ours := context.Cause(ctx).(stalled); ours {
		return &Error{Op: cl.op, Key: cl.key, Kind: Offline, Err: fmt.Errorf("no answer in time: %w", brief(err))}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s %q: %w", cl.op, cl.key, ctx.Err())
	}
	e := &Error{Op: cl.op, Key: cl.key, Err: brief(err)}
	h := http.Header{}
	if re := (*smithyhttp.ResponseError)(nil); errors.As(err, &re) && re.Response != nil {
		e.status, h = re.HTTPStatusCode(), re.Response.Header
	}
	if re := (*awshttp.ResponseError)(nil); errors.As(err, &re) {
		e.RequestID = re.ServiceRequestID()
	}
	e.Kind = kindOf(e.status, h, err)
	if e.Kind == Denied && e.status == http.StatusForbidden {
		e.Err = fmt.Errorf("needs %s: %w", action(cl.op), e.Err)
	}
	return e
}

func kindOf(status int, h http.Header, err error) Kind {
	if status == 0 {
		return kindUnanswered(err)
	}
	if status < 300 && brokeOff(err) {
		return Offline
	}
	if status < 500 && strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		return Corrupt // somebody else's page
	}
	var api smithy.APIError
	if status < 500 && errors.As(err, &api) {
		if kind, ok := kindOfText(api.ErrorCode(), api.ErrorMessage()); ok {
			return kind
		}
	}
	return kindOfStatus(status)
}

// kindOfText maps what S3 says in words, if it says enough.
func kindOfText(code, message string) (Kind, bool) {
	message = strings.ToLower(message)
	for _, m := range kindOfMessage {
		if strings.Contains(message, m.part) {
			return m.kind, true
		}
	}
	if kind, ok := kindOfCode[code]; ok {
		return kind, true
	}
	return Denied, isKMS(code)
}

// isKMS reports whether a code is the key service's: "KMS.…" of Amazon,
// "kms:…" of MinIO.
func isKMS(code string) bool {
	return strings.HasPrefix(code, "KMS.") || strings.HasPrefix(code, "kms:")
}

func kindOfStatus(status int) Kind {
	switch {
	case status < 300:
		return Corrupt // answered, but it could not be read
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusNotModified, status == http.StatusPreconditionFailed, status == http.StatusConflict,
		status == http.StatusRequestedRangeNotSatisfiable:
		return Changed
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return Denied
	case status == http.StatusRequestEntityTooLarge:
		return TooBig
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return Busy
	case status >= 500 && status != http.StatusNotImplemented:
		return Busy
	}
	return Other
}

// kindUnanswered tells the network's failures from our own.
func kindUnanswered(err error) Kind {
	if isCredentials(err) {
		if isNetwork(err) && !strings.Contains(err.Error(), "EC2 IMDS") {
			return Offline
		}
		return Denied
	}
	if isNetwork(err) || isTLS(err) {
		return Offline
	}
	return Other
}

func isNetwork(err error) bool {
	if file := (*fs.PathError)(nil); errors.As(err, &file) { // an errno of our disk is a net.Error, too
		return false
	}
	var sent *smithyhttp.RequestSendError
	var n net.Error
	return errors.As(err, &sent) || errors.As(err, &n) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// brokeOff reports whether an answer that had begun did not come to its end.
func brokeOff(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &record)
}

// isCredentials reports whether no request was made because there was nobody
// to make it as. The SDK has no type for that.
func isCredentials(err error) bool {
	s := err.Error()
	return strings.Contains(s, "get identity:") || strings.Contains(s, "failed to refresh cached credentials") ||
		strings.Contains(s, "failed to retrieve credentials")
}

// brief cuts the SDK's nested text down to the cause. What is left never
// refers to the HTTP exchange, whose headers hold secrets.
func brief(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		msg := strings.Join(strings.Fields(api.ErrorMessage()), " ")
		if msg == "" || msg == api.ErrorCode() {
			return errors.New(api.ErrorCode())
		}
		return fmt.Errorf("%s: %s", api.ErrorCode(), msg)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Err != nil {
		return re.Err
	}
	var op *smithy.OperationError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// statusOf returns the HTTP status of the answer that the SDK reports as err,
// 0 if there was none.
func statusOf(err error) int {
	if re := (*smithyhttp.ResponseError)(nil); errors.As(err, &re) && re.Response != nil {
		return re.HTTPStatusCode()
	}
	return 0
}

// expecting finds the region in the text of AuthorizationHeaderMalformed.
var expecting = regexp.MustCompile(`expecting ['"]([a-z0-9-]+)['"]`)

// regionOf returns the region in which S3 says the bucket is, if it says so.
func regionOf(err error) string {
	if err == nil {
		return ""
	}
	if re := (*smithyhttp.ResponseError)(nil); errors.As(err, &re) && re.Response != nil {
		if region := re.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return region
		}
	}
	if m := expecting.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}
