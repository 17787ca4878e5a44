package cache

import (
	"errors"
	"fmt"
)

// What the operations of a cache fail with, besides *s3backend.Error and
// errors of the cache's disk; package fs turns them into errnos.
var (
	ErrNotExist    = errors.New("no such file or directory")
	ErrExist       = errors.New("file exists")
	ErrNotDir      = errors.New("not a directory")
	ErrIsDir       = errors.New("is a directory")
	ErrNotEmpty    = errors.New("directory not empty")
	ErrStale       = errors.New("the object was replaced in the bucket and its old version is gone")
	ErrNoSpace     = errors.New("the cache is full of data that is not yet in the bucket")
	ErrNameTooLong = errors.New("name or key too long")
	ErrInvalid     = errors.New("invalid argument")
	ErrNoAttr      = errors.New("no such attribute")
	ErrAttrSpace   = errors.New("attributes do not fit into S3's 2 KiB of metadata")
	ErrReadOnly    = errors.New("read-only mount")
	ErrPermission  = errors.New("operation not permitted")
	ErrClosed      = errors.New("the cache is closed")
)

// An Error says which operation failed on what.
type Error struct {
	Op   string // as "lookup", "rename"
	Path string // path below the mount, name or inode
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// A BusyError says that another process owns the cache.
type BusyError struct {
	Dir string
	Pid int // 0: not known
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("cache %s is in use by process %d", e.Dir, e.Pid)
}
