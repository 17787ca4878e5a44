package s3backend

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An attempt is a request that is under way, from its start until its answer's
// body is closed.
type attempt struct {
	op, path  string
	began     time.Time
	moved     atomic.Int64 // when the last byte was seen, ns since began
	goroutine string       // that made it
	said      bool         // returned by stuck; guarded by underway.mu
}

func (a *attempt) touch() { a.moved.Store(int64(time.Since(a.began))) }

// An underway knows the requests under way.
type underway struct {
	mu  sync.Mutex // a leaf
	all map[*attempt]struct{}

	skew atomic.Int64 // ns that the server's clock is ahead, at its last answer
}

// noteDate keeps how far the clocks are apart; HTTP tells whole seconds.
func (s *underway) noteDate(date string) {
	if t, err := http.ParseTime(date); err == nil {
		s.skew.Store(int64(time.Until(t)))
	}
}

// Skew returns how far the server's clock is ahead of this machine's, by the
// date of its last answer; 0 if it has not told.
func (c *Client) Skew() time.Duration { return time.Duration(c.running.skew.Load()) }

func newUnderway() *underway { return &underway{all: map[*attempt]struct{}{}} }

func (s *underway) begin(op string, req *http.Request) *attempt {
	a := &attempt{op: op, path: req.URL.Path, began: time.Now(), goroutine: goroutineID()}
	a.touch()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[a] = struct{}{}
	return a
}

func (s *underway) end(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, a)
}

// A StuckRequest is a request to S3 of which nothing has moved for long.
type StuckRequest struct {
	Operation string    `json:"operation"`
	Path      string    `json:"path"` // of its URL, which has the key
	Since     time.Time `json:"since"`
	New       bool      `json:"-"` // not returned before
	Stack     string    `json:"-"` // of the goroutine that made it, if it is new
}

// Stuck returns the requests of which no byte has moved for longer than d, the
// oldest first. Those that it returns for the first time have a stack.
func (c *Client) Stuck(d time.Duration) []StuckRequest { return c.running.stuck(d) }

func (s *underway) stuck(d time.Duration) []StuckRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []StuckRequest
	dump := ""
	for a := range s.all {
		if time.Since(a.began)-time.Duration(a.moved.Load()) <= d {
			continue
		}
		r := StuckRequest{Operation: a.op, Path: a.path, Since: a.began, New: !a.said}
		if r.New {
			if dump == "" {
				dump = allStacks()
			}
			r.Stack = stackOf(dump, a.goroutine)
		}
		a.said = true
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b StuckRequest) int { return a.Since.Compare(b.Since) })
	return out
}

// goroutineID returns what the first line of a stack calls the calling
// goroutine, "goroutine 17 ".
func goroutineID() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	before, _, _ := bytes.Cut(b, []byte("["))
	return string(before)
}

// stacksMost bounds a dump of all goroutines.
const stacksMost = 4 << 20

func allStacks() string {
	for size := 64 << 10; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= stacksMost {
			return string(b[:n])
		}
	}
}

// stackOf finds a goroutine's stack in a dump of all.
func stackOf(dump, goroutine string) string {
	for stack := range strings.SplitSeq(dump, "\n\n") {
		if strings.HasPrefix(stack, goroutine+"[") {
			return stack
		}
	}
	return ""
}
