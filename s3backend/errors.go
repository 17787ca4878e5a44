package s3backend

import (
	"errors"
	"fmt"
)

// A Kind says what went wrong, in the words the callers act on.
type Kind int

const (
	Other    Kind = iota
	NotFound      // no such key (or upload, or version)
	NoBucket      // no such bucket
	Changed       // a condition did not hold: 412, 409
	Denied        // 403; the wrong credentials or a missing permission
	Busy          // 503, 500, throttled: try again later
	Offline       // no answer: connection refused, reset, timed out, DNS
	Archived      // InvalidObjectState: needs restore
	NeedsKey      // SSE-C object read without a key
	WrongKey      // SSE-C object read with another key
	Locked        // object lock or MFA delete refuses
	TooBig        // EntityTooLarge, metadata too large
	Corrupt       // the answer is not the object: length, range, ETag or checksum differ
	Unsealed      // the server did not encrypt as asked
	Blocked       // the server's keys are paths: others begin with this one, or this one with another
	Expired       // the credentials have expired, and no newer ones could be had
	Skewed        // this machine's clock is wrong, and the SDK could not make up for it
)

var kindNames = [...]string{"other", "not found", "no such bucket", "changed", "access denied", "busy", "offline",
	"archived", "needs its SSE-C key", "wrong SSE-C key", "locked", "too big", "corrupt answer", "not encrypted as asked",
	"in the way of another key", "credentials expired", "clock is wrong"}

func (k Kind) String() string { return kindNames[k] }

// An Error is a failed request: what was asked, of which key, how it failed.
type Error struct {
	Op, Key   string
	Kind      Kind
	RequestID string
	Err       error

	status int // of the HTTP answer; 0: there was none
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %q: %s", e.Op, e.Key, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.RequestID != "" {
		s += " (request id " + e.RequestID + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, Other if there
// is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}
