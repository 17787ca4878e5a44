package s3backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How a gate narrows and widens.
const (
	gatePauseFirst = 100 * time.Millisecond // after a congestion that met a single request
	gatePauseMost  = 2 * time.Second
	questionsMost  = 64 // requests at a time that only ask: HEAD, LIST
)

// A gate limits how many requests of one kind are under way at a time,
// repetitions by whomever included: additive increase, multiplicative decrease.
// It halves when S3 is busy or does not answer, once for all requests that were
// then under way; at one it pauses between requests, with jitter, twice as long
// each time. Every answer widens it, by about one for as many answers as are
// let through at a time. So however many want something of a busy bucket, it
// sees few requests.
type gate struct {
	most int

	mu     sync.Mutex // a leaf
	limit  float64
	inside int
	line   []chan struct{} // who waits, in their order; closed: go
	cut    time.Time       // the last decrease
	why    Kind            // of the last decrease: Busy or Offline
	pause  time.Duration
	opens  time.Time // nobody goes before
	alarm  *time.Timer
}

func newGate(most int) *gate { return &gate{most: most, limit: float64(most)} }

// A held is the end of a request that was waiting for a gate.
type held struct{ why Kind }

func (h *held) Error() string {
	return "waited too long: the bucket did not answer, requests go out one by one"
}

// enter waits for a place; every nil must be followed by one leave.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ch := make(chan struct{})
	g.mu.Lock()
	g.line = append(g.line, ch)
	g.admit()
	g.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.line, ch)
	if i < 0 {
		return nil // it was let in this moment
	}
	g.line = slices.Delete(g.line, i, i+1)
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return ctx.Err()
	}
	return &held{g.why}
}

// admit lets in as many as there is room for. The lock is held.
func (g *gate) admit() {
	for len(g.line) > 0 && g.inside < int(g.limit) {
		if wait := time.Until(g.opens); wait > 0 {
			if g.alarm == nil {
				g.alarm = time.AfterFunc(wait, g.open)
			}
			return
		}
		close(g.line[0])
		g.line = g.line[1:]
		g.inside++
	}
}

// open ends a pause.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alarm = nil
	g.admit()
}

// A verdict is what a request said of the bucket's load.
type verdict int

const (
	loadUnknown verdict = iota // we ended it
	loadFine
	loadBusy
	loadMute // no answer
)

// verdictOf judges one attempt.
func verdictOf(ctx context.Context, resp *http.Response, err error) verdict {
	switch {
	case err == nil && (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests):
		return loadBusy
	case err == nil:
		return loadFine
	case ctx.Err() != nil && !errors.As(context.Cause(ctx), new(stalled)):
		return loadUnknown
	}
	return loadMute
}

// leave gives the place back that was taken at began.
func (g *gate) leave(began time.Time, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	switch v {
	case loadFine:
		g.pause = 0
		g.limit = min(float64(g.most), g.limit+1/g.limit)
	case loadBusy, loadMute:
		g.narrow(began, v)
	}
	g.admit()
}

// narrow halves what goes through. The lock is held.
func (g *gate) narrow(began time.Time, v verdict) {
	if !began.After(g.cut) {
		return
	}
	if g.why = Busy; v == loadMute {
		g.why = Offline
	}
	g.cut = time.Now()
	if g.limit = max(1, g.limit/2); g.limit < 2 {
		g.pause = min(max(2*g.pause, gatePauseFirst), gatePauseMost)
		g.opens = g.cut.Add(g.pause/2 + rand.N(g.pause/2))
	}
}

// width returns how many may be under way now.
func (g *gate) width() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.limit)
}

// gates are those of a client: what is slow must not keep back what is not.
type gates struct{ downloads, questions, writes *gate }

func newGates(o Options) gates {
	return gates{newGate(o.MaxDownloads), newGate(questionsMost), newGate(o.MaxUploads + parallelDeletes)}
}

// of returns the gate of an operation.
func (g gates) of(op string) *gate {
	switch op {
	case "GetObject":
		return g.downloads
	case "HeadObject", "ListObjectsV2", "HeadBucket", "GetObjectTagging", "ListParts", "ListMultipartUploads", "ListObjectVersions":
		return g.questions
	}
	return g.writes
}

// Parallelism returns how many requests of each kind may be under way at the
// moment; fewer than was asked for where the bucket was busy.
func (c *Client) Parallelism() map[string]int {
	return map[string]int{"downloads": c.gates.downloads.width(), "questions": c.gates.questions.width(), "writes": c.gates.writes.width()}
}
