package fs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// errnos gives the errno of every error that is known by identity. The first
// match wins, so that a cancelled request is EINTR whatever the bucket said.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{cache.ErrNotExist, syscall.ENOENT},
	{cache.ErrExist, syscall.EEXIST},
	{cache.ErrNotDir, syscall.ENOTDIR},
	{cache.ErrIsDir, syscall.EISDIR},
	{cache.ErrNotEmpty, syscall.ENOTEMPTY},
	{cache.ErrStale, syscall.ESTALE},
	{cache.ErrNoSpace, syscall.ENOSPC},
	{cache.ErrNameTooLong, syscall.ENAMETOOLONG},
	{cache.ErrInvalid, syscall.EINVAL},
	{cache.ErrNoData, syscall.ENXIO},
	{cache.ErrNoAttr, syscall.ENODATA},
	{cache.ErrAttrSpace, syscall.ENOSPC},
	{cache.ErrReadOnly, syscall.EROFS},
	{cache.ErrPermission, syscall.EPERM},
	{syscall.EFBIG, syscall.EFBIG}, // of the cache's disk
	{context.Canceled, syscall.EINTR},
}

// failureErrnos gives the errno of what the bucket answered (SEMANTICS.md
// "When things fail").
var failureErrnos = map[cache.Failure]syscall.Errno{
	cache.FailNotFound: syscall.ENOENT,
	cache.FailDenied:   syscall.EACCES,
	cache.FailBusy:     syscall.EIO,
	cache.FailOffline:  syscall.ETIMEDOUT,
	cache.FailArchived: syscall.ENODATA,
	cache.FailNeedsKey: syscall.ENOKEY,
	cache.FailWrongKey: syscall.EKEYREJECTED,
	cache.FailLocked:   syscall.EPERM,
	cache.FailTooBig:   syscall.EFBIG,
	cache.FailCorrupt:  syscall.EIO,
	cache.FailChanged:  syscall.ESTALE,
	cache.FailOther:    syscall.EIO,
}

// diskErrnos gives the errno of errors that neither the cache nor the bucket
// named: a time-out, or the cache's disk.
var diskErrnos = []struct {
	err   error
	errno syscall.Errno
}{
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
	{syscall.ENOSPC, syscall.ENOSPC},
	{syscall.EDQUOT, syscall.ENOSPC},
	{syscall.EROFS, syscall.EROFS},
}

// toErrno returns what a system call shall end with for err, and whether an
// administrator wants to hear of it: everything that the caller of the system
// call could not have caused.
func toErrno(err error) (errno syscall.Errno, report bool) {
	if err == nil {
		return 0, false
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno, false
		}
	}
	if f := cache.Cause(err); f != cache.FailNone {
		return failureErrnos[f], f != cache.FailNotFound
	}
	for _, e := range diskErrnos {
		if errors.Is(err, e.err) {
			return e.errno, true
		}
	}
	return syscall.EIO, true
}

// reportInterval is how often one kind of failure of one operation is logged:
// a bucket out of reach is one line, not a line for each read.
const reportInterval = 10 * time.Second

// A reporter logs failed operations, at most one line for each operation and
// errno in reportInterval. Methods may be called concurrently.
type reporter struct {
	log  *slog.Logger
	seen sync.Map // failureKind → *failureCount
}

type failureKind struct {
	op    string
	errno syscall.Errno
}

type failureCount struct {
	last   atomic.Pointer[time.Time] // when a line was written
	hidden atomic.Int64              // failures since then
}

// errno turns the error of op into an errno, and logs it if it is not one that
// programs meet every day. err carries the path.
func (r *reporter) errno(op string, err error) syscall.Errno {
	errno, report := toErrno(err)
	if report {
		r.report(failureKind{op, errno}, err, time.Now())
	}
	return errno
}

func (r *reporter) report(k failureKind, err error, now time.Time) {
	v, _ := r.seen.LoadOrStore(k, new(failureCount))
	c := v.(*failureCount)
	last := c.last.Load()
	if last != nil && now.Sub(*last) < reportInterval || !c.last.CompareAndSwap(last, &now) {
		c.hidden.Add(1)
		return
	}
	r.log.Error("operation failed", "op", k.op, "errno", k.errno.Error(), "error", err, "more", c.hidden.Swap(0))
}
