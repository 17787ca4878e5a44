package fs

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// requestLabel is the label that a goroutine has while it serves a request.
const requestLabel = "moorfs-request"

// A request is a place for one that the kernel waits for. Places are used again,
// so that a request costs no allocation.
type request struct {
	labels context.Context // by which its goroutine is found
	label  string

	// Guarded by inflight.mu; op is opNone while the place is free.
	op    operation
	node  uint64
	other uint64 // a second directory
	pid   uint32
	name  string
	began time.Time
	said  bool // it was reported as stuck
}

// An inflight knows the requests under way. Its methods may be called
// concurrently.
type inflight struct {
	mu     sync.Mutex // a leaf, held for memory alone
	free   []*request
	places []*request
}

func (u *inflight) begin(op operation, h *fuse.InHeader, name string) *request {
	now := time.Now()
	u.mu.Lock()
	if len(u.free) == 0 {
		u.add()
	}
	r := u.free[len(u.free)-1]
	u.free = u.free[:len(u.free)-1]
	r.op, r.node, r.other, r.pid, r.name, r.began, r.said = op, h.NodeId, 0, h.Pid, name, now, false
	u.mu.Unlock()
	pprof.SetGoroutineLabels(r.labels)
	return r
}

// add makes a place. Called with mu held.
func (u *inflight) add() {
	r := &request{label: strconv.Itoa(len(u.places))}
	r.labels = pprof.WithLabels(context.Background(), pprof.Labels(requestLabel, r.label))
	u.places = append(u.places, r)
	u.free = append(u.free, r)
}

// also says that r speaks of a second directory.
func (u *inflight) also(r *request, dir uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r.other = dir
}

func (u *inflight) end(r *request) (op operation, took time.Duration) {
	pprof.SetGoroutineLabels(context.Background())
	u.mu.Lock()
	op, took = r.op, time.Since(r.began)
	r.op, r.name = opNone, ""
	u.free = append(u.free, r)
	u.mu.Unlock()
	return op, took
}

// busy reports whether a request of an inode has been under way for longer
// than d, and so may go on for long.
func (u *inflight) busy(node uint64, d time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.places, func(r *request) bool {
		return r.op != opNone && (r.node == node || r.other == node) && time.Since(r.began) > d
	})
}

// A StuckRequest is a request of the kernel that has not been answered for
// long.
type StuckRequest struct {
	Operation string    `json:"operation"`
	Inode     uint64    `json:"inode"`
	Path      string    `json:"path"` // below the mount; "?" if the cache does not tell at once
	Pid       uint32    `json:"pid"`  // of the caller
	Since     time.Time `json:"since"`
	New       bool      `json:"-"` // not returned before
	Stack     string    `json:"-"` // of what serves it, if it is new

	label string
}

// older returns the places of requests that have been under way for longer
// than d, the oldest first. Called with mu held.
func (u *inflight) older(d time.Duration) []*request {
	var out []*request
	for _, r := range u.places {
		if r.op != opNone && time.Since(r.began) > d {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *request) int { return a.began.Compare(b.began) })
	return out
}

// stuck describes the requests that have been under way for longer than d, the
// oldest first. They count as reported.
func (u *inflight) stuck(d time.Duration) []StuckRequest {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []StuckRequest
	for _, r := range u.older(d) {
		out = append(out, r.describe())
		r.said = true
	}
	return out
}

// describe is called with inflight.mu held.
func (r *request) describe() StuckRequest {
	return StuckRequest{Operation: r.op.String(), Inode: r.node, Path: r.name, Pid: r.pid, Since: r.began, New: !r.said, label: r.label}
}

// unanswered returns how many requests have been under way for longer than d,
// and the oldest of them.
func (u *inflight) unanswered(d time.Duration) (n int, oldest StuckRequest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.older(d)
	if len(all) > 0 {
		oldest = all[0].describe()
	}
	return len(all), oldest
}

// Unanswered returns how many requests of the kernel have been waiting for
// longer than d, and the oldest of them, without its stack. It may be asked at
// any time: what Stuck returns does not depend on it.
func (s *Server) Unanswered(d time.Duration) (n int, oldest StuckRequest) {
	if n, oldest = s.front.under.unanswered(d); n > 0 {
		oldest.Path = s.pathOf(cache.Ino(oldest.Inode), oldest.Path)
	}
	return n, oldest
}

// Stuck returns the requests of the kernel that have been waiting for longer
// than d, the oldest first. Those that it returns for the first time have a
// stack.
func (s *Server) Stuck(d time.Duration) []StuckRequest {
	all := s.front.under.stuck(d)
	dump := ""
	for i := range all {
		r := &all[i]
		r.Path = s.pathOf(cache.Ino(r.Inode), r.Path)
		if !r.New {
			continue
		}
		if dump == "" {
			dump = s.stacks()
		}
		r.Stack = stackOf(dump, r.label)
	}
	return all
}

// stacks returns the stacks of all goroutines with their labels.
func (s *Server) stacks() string {
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		s.kernel.log.Warn("stacks of stuck requests", "error", err)
	}
	return b.String()
}

// pathOf returns the path of a name in a directory, or of an inode.
func (s *Server) pathOf(ino cache.Ino, name string) string {
	path := make(chan string, 1)
	err := within(time.Second, func() error { // who is stuck may hold a lock
		path <- s.cache.Path(ino)
		return nil
	})
	if err != nil {
		return strings.TrimSuffix("?/"+name, "/")
	}
	return strings.Trim(<-path+"/"+name, "/")
}

// stackOf finds, in a dump of all goroutines with their labels, the stack of
// the one that serves a request. Goroutines that it has started have its label
// too.
func stackOf(dump, label string) string {
	labels := fmt.Sprintf("# labels: {%q:%q}", requestLabel, label)
	for block := range strings.SplitSeq(dump, "\n\n") {
		if strings.Contains(block, labels) && strings.Contains(block, "fs.(*front).") {
			return block
		}
	}
	return ""
}
