package faults

import (
	"syscall"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// A fault is one way in which the network or the bucket fails.
type fault struct {
	name   string
	effect s3test.Effect
	on     []string // operations that it hits; none: all
	times  int      // requests that it hits; 0: all
	sees   []syscall.Errno
	slow   bool // takes minutes
}

// What reads and listings may end with where they do not succeed.
var (
	nothing = []syscall.Errno{}
	failed  = []syscall.Errno{syscall.EIO}
	late    = []syscall.Errno{syscall.EIO, syscall.ETIMEDOUT}
	refused = []syscall.Errno{syscall.EACCES}
)

// Operations by what they do.
var (
	contents = []string{"GetObject"}
	answers  = []string{"GetObject", "ListObjectsV2"}
	bodies   = []string{"PutObject", "UploadPart"}
	uploads  = []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
	changes  = []string{"PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
)

// drip is so slow that no answer comes to its end in time.
const drip = 50 * time.Millisecond

var table = []fault{
	{name: "503 SlowDown", effect: s3test.SlowDown(), sees: failed},
	{name: "503 SlowDown, a few", effect: s3test.SlowDown(), times: 6, sees: failed},
	{name: "500", effect: s3test.InternalError(), sees: failed},
	{name: "reset before the request", effect: s3test.Refuse(), sees: late},
	{name: "reset before a few requests", effect: s3test.Refuse(), times: 6, sees: late},
	{name: "reset inside the request's body", effect: s3test.BreakRequest(1000), on: bodies, sees: nothing},
	{name: "reset before the answer", effect: s3test.LoseAnswer(), on: answers, sees: late},
	{name: "reset inside the answer's body", effect: s3test.BreakAfter(100), on: answers, sees: late},
	{name: "lost replies, all of them", effect: s3test.LoseAnswer(), on: changes, sees: nothing},
	{name: "lost replies, one each", effect: s3test.LoseAnswer(), on: changes, times: 7, sees: nothing},
	{name: "lost reply of complete", effect: s3test.LoseAnswer(), on: []string{"CompleteMultipartUpload"}, sees: nothing},
	{name: "lost reply of create", effect: s3test.LoseAnswer(), on: []string{"CreateMultipartUpload"}, times: 1, sees: nothing},
	{name: "truncated answers", effect: s3test.Truncate(100), on: answers, sees: late},
	{name: "shorter than it is, and says so", effect: s3test.Length(-10), on: answers, sees: late},
	{name: "longer than it is", effect: s3test.Length(10), on: answers, sees: late},
	{name: "flipped bit in content", effect: s3test.FlipByte(500), on: contents, sees: failed},
	{name: "flipped bit in uploads", effect: s3test.FlipSent(500), on: bodies, sees: nothing},
	{name: "a proxy's page", effect: s3test.HTML(), sees: late},
	{name: "a proxy's page for content and listings", effect: s3test.HTML(), on: answers, sees: failed},
	{name: "drip", effect: s3test.Drip(drip), on: answers, sees: late},
	{name: "half-open", effect: s3test.Hang(), sees: late},
	{name: "hang inside the body", effect: s3test.HangAfter(100), on: answers, sees: late},
	{name: "hang of questions", effect: s3test.Hang(), on: []string{"GetObject", "HeadObject", "ListObjectsV2"}, sees: late},
	{name: "hang of changes", effect: s3test.Hang(), on: changes, times: 4, sees: nothing, slow: true},
	{name: "access denied", effect: s3test.Denied(), sees: refused},
	{name: "expired token", effect: s3test.Refusal(400, "ExpiredToken"), sees: refused},
	{name: "clock skew", effect: s3test.Refusal(403, "RequestTimeTooSkewed"), sees: refused},
	{name: "404 NoSuchUpload", effect: s3test.Refusal(404, "NoSuchUpload"), on: uploads[1:], times: 2, sees: nothing},
	{name: "409 ConditionalRequestConflict", effect: s3test.Refusal(409, "ConditionalRequestConflict"), on: changes, times: 8, sees: nothing},
	{name: "412 of nobody", effect: s3test.Refusal(412, "PreconditionFailed"), on: []string{"PutObject", "CompleteMultipartUpload"}, times: 4, sees: nothing},
}
