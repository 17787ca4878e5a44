package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache"
)

func TestErrnos(t *testing.T) {
	for _, c := range []struct {
		err    error
		want   syscall.Errno
		report bool
	}{
		{nil, 0, false},
		{cache.ErrNotExist, syscall.ENOENT, false},
		{cache.ErrExist, syscall.EEXIST, false},
		{cache.ErrNotDir, syscall.ENOTDIR, false},
		{cache.ErrIsDir, syscall.EISDIR, false},
		{cache.ErrNotEmpty, syscall.ENOTEMPTY, false},
		{cache.ErrStale, syscall.ESTALE, false},
		{cache.ErrNoSpace, syscall.ENOSPC, false},
		{cache.ErrNameTooLong, syscall.ENAMETOOLONG, false},
		{cache.ErrInvalid, syscall.EINVAL, false},
		{cache.ErrNoData, syscall.ENXIO, false},
		{cache.ErrNoAttr, syscall.ENODATA, false},
		{cache.ErrAttrSpace, syscall.ENOSPC, false},
		{cache.ErrReadOnly, syscall.EROFS, false},
		{cache.ErrPermission, syscall.EPERM, false},
		{cache.ErrClosed, syscall.EIO, true},
		{context.Canceled, syscall.EINTR, false},
		{context.DeadlineExceeded, syscall.ETIMEDOUT, true},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, syscall.ENOSPC, true},
		{syscall.EDQUOT, syscall.ENOSPC, true},
		{syscall.EMFILE, syscall.EIO, true},
		{errors.New("anything"), syscall.EIO, true},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", &cache.Error{Op: "read", Path: "a/b", Err: err})
		}
		if got, report := toErrno(err); got != c.want || report != c.report {
			t.Errorf("%v: got %v, reported %v; want %v, %v", c.err, got, report, c.want, c.report)
		}
	}
}

func TestEveryFailureHasAnErrno(t *testing.T) {
	want := map[cache.Failure]syscall.Errno{
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
	for f := cache.FailNone + 1; f <= cache.FailOther; f++ {
		if failureErrnos[f] != want[f] || want[f] == 0 {
			t.Errorf("failure %d: %v, want %v", f, failureErrnos[f], want[f])
		}
	}
}

func TestFailuresAreLoggedOnceInAWhile(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{log: slog.New(slog.NewTextHandler(&out, nil))}
	now := time.Unix(1000, 0)
	kind := failureKind{"read", syscall.EIO}
	for range 1000 {
		r.report(kind, errors.New("the bucket said no"), now)
	}
	r.report(failureKind{"write", syscall.EIO}, errors.New("another"), now)
	r.report(kind, errors.New("still no"), now.Add(reportInterval))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	if !strings.Contains(lines[0], "the bucket said no") || !strings.Contains(lines[2], "more=999") {
		t.Errorf("lines:\n%s", out.String())
	}
}

func TestEverydayErrorsAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{log: slog.New(slog.NewTextHandler(&out, nil))}
	if got := r.errno("lookup", cache.ErrNotExist); got != syscall.ENOENT || out.Len() > 0 {
		t.Errorf("%v, log: %s", got, out.String())
	}
	if got := r.errno("read", io.ErrUnexpectedEOF); got != syscall.EIO || out.Len() == 0 {
		t.Errorf("%v, log: %s", got, out.String())
	}
}
