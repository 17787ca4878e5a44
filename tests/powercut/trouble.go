package powercut

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A Trouble is what is wrong with a disk: nothing, if it is zero.
type Trouble struct {
	Errno syscall.Errno // what calls fail with …
	Calls Calls         // … and which do
	Slow  time.Duration // how long each write and fsync takes
}

// Calls are kinds of calls, added up.
type Calls uint

const (
	Reads   Calls = 1 << iota // of files
	Writes                    // of files, truncate and fallocate too
	Syncs                     // of files and directories
	Changes                   // of names and attributes
)

// Broken fails the calls that reach the medium with EIO.
func Broken(calls Calls) Trouble { return Trouble{Errno: syscall.EIO, Calls: calls} }

// ReadOnly is a disk that the kernel has made read-only under its users, as
// ext4 does after an error. A sync that has nothing to write succeeds.
func ReadOnly() Trouble { return Trouble{Errno: syscall.EROFS, Calls: Writes | Changes} }

// Slow is a disk each of whose writes and syncs takes d.
func Slow(d time.Duration) Trouble { return Trouble{Slow: d} }

func (t Trouble) String() string {
	return fmt.Sprintf("%d %d %d", int(t.Errno), uint(t.Calls), int64(t.Slow))
}

func parseTrouble(fields []string) (t Trouble, err error) {
	_, err = fmt.Sscan(strings.Join(fields, " "), (*uintptr)(&t.Errno), (*uint)(&t.Calls), (*int64)(&t.Slow))
	return t, err
}

// troubles is what a server asks before each call.
type troubles struct {
	trouble atomic.Pointer[Trouble]
	hits    atomic.Int64 // calls that failed or were delayed
}

// meet returns what a call ends with before it has begun. No lock is held.
func (s *troubles) meet(call Calls) fuse.Status {
	t := s.trouble.Load()
	if t == nil {
		return fuse.OK
	}
	if t.Slow > 0 && call&(Writes|Syncs) != 0 {
		s.hits.Add(1)
		time.Sleep(t.Slow)
	}
	if t.Calls&call == 0 {
		return fuse.OK
	}
	s.hits.Add(1)
	return fuse.Status(t.Errno)
}

// set makes t the disk's trouble and returns how many calls the one before has
// hit.
func (s *troubles) set(t Trouble) string {
	s.trouble.Store(&t)
	return strconv.FormatInt(s.hits.Swap(0), 10)
}
