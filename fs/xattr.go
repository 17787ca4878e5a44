package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	"github.com/moorfs/moorfs/cache"
)

// userPrefix is the only namespace that is kept: objects have no place for
// the others.
const userPrefix = "user."

// Flags of setxattr(2).
const (
	xattrCreate  = 1
	xattrReplace = 2
)

// checkXattr refuses names that no file here can have an attribute of.
func checkXattr(name string) syscall.Errno {
	switch {
	case !strings.HasPrefix(name, userPrefix):
		return syscall.ENOTSUP
	case name == userPrefix:
		return syscall.EINVAL
	}
	return 0
}

// Getxattr copies an attribute's value into dest and returns its length;
// ERANGE, with the length, if it does not fit.
func (n *node) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	if errno := checkXattr(name); errno != 0 {
		return 0, errno
	}
	value, err := n.xattr(ctx, name)
	if err != nil {
		return 0, n.errno("getxattr", err)
	}
	if len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}

// computed are the attributes that only tell something. They are read by name
// and not listed: rsync and tar copy what is listed, and would fail where it
// cannot be set. Setting one is ENOTSUP.
var computed = [...]string{cache.XattrState, cache.XattrETag, cache.XattrVersion}

// Listxattr copies the names, each ended by a zero byte, into dest.
func (n *node) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	ctx, over := patient(ctx)
	defer over()
	names, err := n.xattrs(ctx)
	if err != nil {
		return 0, n.errno("listxattr", err)
	}
	size := 0
	for _, name := range names {
		size += len(name) + 1
	}
	if size > len(dest) {
		return uint32(size), syscall.ERANGE
	}
	for _, name := range names {
		dest = dest[copy(dest, name):]
		dest[0] = 0
		dest = dest[1:]
	}
	return uint32(size), 0
}

// Setxattr keeps an attribute. value is copied.
func (n *node) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	if errno := checkXattr(name); errno != 0 {
		return errno
	}
	if slices.Contains(computed[:], name) {
		return syscall.ENOTSUP
	}
	var mode cache.XattrMode
	switch flags {
	case 0:
		mode = cache.XattrEither
	case xattrCreate:
		mode = cache.XattrCreate
	case xattrReplace:
		mode = cache.XattrReplace
	case xattrCreate | xattrReplace:
		mode = cache.XattrNever
	default:
		return syscall.EINVAL
	}
	kept := append([]byte(nil), value...)
	return n.errno("setxattr", n.setXattr(ctx, name, kept, mode))
}

// Removexattr removes an attribute.
func (n *node) Removexattr(ctx context.Context, name string) syscall.Errno {
	ctx, over := patient(ctx)
	defer over()
	if errno := checkXattr(name); errno != 0 {
		return errno
	}
	return n.errno("removexattr", n.removeXattr(ctx, name))
}
