package journal

import (
	"errors"
	"fmt"
)

var (
	// ErrDamaged says that the journal on disk cannot be read: a record, or
	// the database itself.
	ErrDamaged = errors.New("the journal is damaged")

	// ErrNone says that there is no journal where one is to be visited.
	ErrNone = errors.New("there is no journal")

	// ErrClosed says that the journal was closed before the call.
	ErrClosed = errors.New("the journal is closed")

	// ErrFull says that the disk has no room left for changes of the journal.
	// Deleting other files on it helps; nothing committed is lost.
	ErrFull = errors.New("the disk of the journal is full")

	// Stop ends a walk early, without an error, when its function returns it.
	Stop = errors.New("stop")
)

// An Identity names what a journal belongs to.
type Identity struct {
	Endpoint string
	Bucket   string
	Prefix   string
}

// String returns endpoint, bucket and prefix in a readable form.
func (i Identity) String() string {
	endpoint := i.Endpoint
	if endpoint == "" {
		endpoint = "AWS"
	}
	return fmt.Sprintf("bucket %q prefix %q at %s", i.Bucket, i.Prefix, endpoint)
}

// An OtherBucketError says that a journal belongs to another bucket, prefix or
// endpoint than the one it was opened for.
type OtherBucketError struct {
	Have Identity // of the journal on disk
	Want Identity // asked for
}

// Error names both.
func (e *OtherBucketError) Error() string {
	return fmt.Sprintf("the cache belongs to %v, not to %v", e.Have, e.Want)
}

// A FormatError says that a journal was written by a newer version of moorfs.
type FormatError struct {
	Have uint64 // format of the journal on disk
	Know uint64 // newest format that this version can read
}

// Error names both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("the cache was written by a newer version of moorfs (format %d, this version knows %d)", e.Have, e.Know)
}
