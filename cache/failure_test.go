package cache

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
)

func TestCause(t *testing.T) {
	want := map[s3backend.Kind]Failure{
		s3backend.Other:    FailOther,
		s3backend.NotFound: FailNotFound,
		s3backend.NoBucket: FailOther,
		s3backend.Changed:  FailChanged,
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
		s3backend.Unsealed: FailOther,
		s3backend.Blocked:  FailOther,
	}
	for kind, failure := range want {
		err := fmt.Errorf("read: %w", &Error{"read", "a", &s3backend.Error{Op: "GetObject", Key: "a", Kind: kind}})
		if got := Cause(err); got != failure {
			t.Errorf("%v: got %d, want %d", kind, got, failure)
		}
	}
	if got := Cause(errors.Join(ErrNotExist)); got != FailNone {
		t.Errorf("an error without a request: %d", got)
	}
}
