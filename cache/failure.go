package cache

import (
	"errors"

	"github.com/moorfs/moorfs/s3backend"
)

// A Failure says how the bucket failed an operation, in the words that package
// fs turns into errnos.
type Failure int

// The failures. FailNone: the bucket had no part in the error.
const (
	FailNone Failure = iota
	FailNotFound
	FailDenied
	FailBusy
	FailOffline
	FailArchived
	FailNeedsKey
	FailWrongKey
	FailLocked
	FailTooBig
	FailCorrupt
	FailChanged
	FailOther
)

// failures maps the backend's kinds; kinds that are missing here are
// FailOther. A vanished bucket is not FailNotFound: its files are not gone,
// they cannot be reached.
var failures = map[s3backend.Kind]Failure{
	s3backend.NotFound: FailNotFound,
	s3backend.Denied:   FailDenied,
	s3backend.Expired:  FailDenied,
	s3backend.Skewed:   FailDenied,
	s3backend.Busy:     FailBusy,
	s3backend.Offline:  FailOffline,
	s3backend.Archived: FailArchived,
	s3backend.NeedsKey: FailNeedsKey,
	s3backend.WrongKey: FailWrongKey,
	s3backend.Locked:   FailLocked,
	s3backend.TooBig:   FailTooBig,
	s3backend.Corrupt:  FailCorrupt,
	s3backend.Changed:  FailChanged,
}

// Cause returns how the bucket failed err's operation; FailNone if no request
// to the bucket is in err's chain.
func Cause(err error) Failure {
	var e *s3backend.Error
	if !errors.As(err, &e) {
		return FailNone
	}
	if f, ok := failures[e.Kind]; ok {
		return f
	}
	return FailOther
}
