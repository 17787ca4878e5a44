package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/s3backend"
)

// What a client can ask of a mount's daemon: one request a connection, as a
// line of JSON. The answer is any number of lines with Progress and one with
// Done. A client that hangs up takes its request back.
const (
	opStatus = "status"
	opFlush  = "flush"
	opStop   = "stop" // drain, unmount, end

	opConflicts  = "conflicts"
	opKeepMine   = "keep-mine"
	opKeepTheirs = "keep-theirs"

	opCacheInfo   = "cache-info"
	opCacheVerify = "cache-verify"
	opCachePrune  = "cache-prune"
)

type request struct {
	Op      string        `json:"op"`
	Path    []byte        `json:"path,omitempty"`    // flush: below the mount, whatever bytes it has; empty: everything
	Timeout time.Duration `json:"timeout,omitempty"` // stop: how long to drain; 0: as long as something moves
	ID      string        `json:"id,omitempty"`      // keep-mine, keep-theirs: of a conflict
}

type reply struct {
	Progress  *cache.Progress      `json:"progress,omitempty"`
	Done      bool                 `json:"done,omitempty"`
	Status    *mountStatus         `json:"status,omitempty"`
	Conflicts []cache.ConflictInfo `json:"conflicts,omitempty"`
	Info      *cache.Info          `json:"info,omitempty"`
	Report    *cache.Report        `json:"report,omitempty"`
	Freed     int64                `json:"freed,omitempty"` // bytes that a prune gave up
	Error     string               `json:"error,omitempty"`
	Busy      bool                 `json:"busy,omitempty"` // the error is errBusy
	Left      *leftover            `json:"left,omitempty"` // the error is this
}

// mountStatus is what a mount says of itself.
type mountStatus struct {
	Mount    registration          `json:"mount"`
	Cache    cache.Status          `json:"cache"`
	Requests map[string]int64      `json:"requests"` // sent to S3 since the mount, by operation
	Stuck    stuckRequests         `json:"stuck"`
	Faults   int64                 `json:"faults"`           // panics since the mount
	Events   *s3backend.EventState `json:"events,omitempty"` // how notifications come, if any shall
	daemonUse
}

// report is s as moorfs status shows it.
func (s mountStatus) report() mountReport {
	return mountReport{Mount: s.Mount, Cache: &s.Cache, Requests: s.Requests, Stuck: s.Stuck, Faults: s.Faults, Events: s.Events, daemonUse: s.daemonUse}
}

// A daemonUse is what a daemon uses now.
type daemonUse struct {
	Parallel   map[string]int `json:"parallel,omitempty"` // requests that may be under way at a time, by kind: fewer while the bucket is busy
	Goroutines int            `json:"goroutines,omitempty"`
}

// A leftover says what a drain or flush did not bring to the bucket. It is
// queued and safe.
type leftover struct {
	Progress cache.Progress `json:"progress"`
	CacheDir string         `json:"cache_dir"`
	Source   string         `json:"source"`
}

func (l *leftover) Error() string {
	return fmt.Sprintf("%s: safe in %s, will be sent by the next mount of %s%s",
		describeLeft(l.Progress), l.CacheDir, l.Source, because(l.Progress.Error))
}

// refused reports whether all that is left was refused by S3.
func (l *leftover) refused() bool {
	return l.Progress.Refused > 0 && l.Progress.Refused >= l.Progress.Files
}

// describeLeft says what is still to be sent.
func describeLeft(p cache.Progress) string {
	s := fmt.Sprintf("%s, %s still queued", plural(p.Files, "file"), humanize.IBytes(uint64(max(0, p.Bytes))))
	if p.Refused > 0 {
		s += fmt.Sprintf(" (%d refused by S3)", p.Refused)
	}
	return s
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// socketName is the daemon's socket in a cache directory.
func socketName(cacheDir string) string { return filepath.Join(cacheDir, "control.sock") }

// withShortName calls use with a name of the socket that fits into a socket
// address, whose 108 bytes a cache directory can exceed.
func withShortName(socket string, use func(name string) error) error {
	if len(socket) < 100 {
		return use(socket)
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return err
	}
	err = use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)))
	if closed := dir.Close(); err == nil {
		err = closed
	}
	return err
}
