package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// The thresholds of the way to the bucket.
const (
	suspectAfter = 5 * time.Second        // a reader waits and nothing at all was heard for so long: probe
	convictAfter = 2                      // so many probes unanswered in a row: offline
	calmAfter    = 5 * time.Second        // answers and no trouble for so long: online
	probeTimeout = 3 * time.Second        // a probe that takes longer is unanswered
	probeGap     = 250 * time.Millisecond // at least, between two probes
	probeMost    = 4 * time.Second        // at most, between two probes until online again
)

// NetworkState is what is believed of the way to the bucket.
type NetworkState string

// The states. Requests raise suspicion, only the probe convicts: one request
// at a time that costs next to nothing and is not repeated by the backend.
const (
	// Online: all is asked for as it comes.
	Online NetworkState = "online"
	// Degraded: the bucket answers, but was busy, or some requests got no
	// answer or a wrong one. Still everything is asked for; the backend makes
	// fewer requests at a time.
	Degraded NetworkState = "degraded"
	// Offline: nothing answers. What is known here is served at once, other
	// questions wait for one probe and end; queued work rests. The first
	// answer of any kind ends it.
	Offline NetworkState = "offline"
)

// A sign is what a request or the passing of time says of the way to the
// bucket.
type sign uint8

const (
	answered   sign = iota // by the bucket, be it with a refusal
	troubled               // busy, or an answer that is not the bucket's
	unanswered             // reset, refused, timed out
	silent                 // convictAfter probes in a row, and nothing else was heard
	calm                   // calmAfter without trouble
	signs
)

// meanings says what each sign means in each state.
var meanings = map[NetworkState][signs]NetworkState{
	Online:   {answered: Online, troubled: Degraded, unanswered: Degraded, silent: Offline, calm: Online},
	Degraded: {answered: Degraded, troubled: Degraded, unanswered: Degraded, silent: Offline, calm: Online},
	Offline:  {answered: Online, troubled: Degraded, unanswered: Offline, silent: Offline, calm: Offline},
}

// NetworkStatus is the way to the bucket, for people and metrics. Counters
// begin with the mount.
type NetworkStatus struct {
	State      NetworkState `json:"state"`
	Since      time.Time    `json:"since"`
	Error      string       `json:"error,omitempty"` // the last trouble, until online
	Busy       int64        `json:"busy"`            // requests that ended so, or with a wrong answer
	Unanswered int64        `json:"unanswered"`      // requests that ended so
	Probes     int64        `json:"probes"`
	Changes    int64        `json:"changes"` // of the state
}

// A network follows what requests say of the way to the bucket. All methods
// may be called concurrently.
type network struct {
	ask  func(context.Context) error // the probe
	tell func()                      // that the state has changed; no lock is held
	log  *slog.Logger
	kick chan struct{}

	life atomic.Int64 // when the bucket was last heard of, a stamp

	mu      sync.Mutex // a leaf
	status  NetworkStatus
	cause   error     // the last trouble
	trouble time.Time // when it was
	misses  int       // probes in a row, since the last sign of life
	silence time.Time // when the first of them began
	probed  time.Time // the end of the last probe
	round   chan struct{}
	waiting map[*reading]struct{}
}

func newNetwork(log *slog.Logger, ask func(context.Context) error) *network {
	n := &network{ask: ask, tell: func() {}, log: log, kick: make(chan struct{}, 1), round: make(chan struct{}),
		status: NetworkStatus{State: Online, Since: time.Now()}, waiting: map[*reading]struct{}{}}
	n.heard()
	return n
}

// heard notes a sign of life.
func (n *network) heard() { n.life.Store(stamp()) }

func (n *network) state() NetworkState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status.State
}

// snapshot returns what is shown.
func (n *network) snapshot() NetworkStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// quiet reports whether asking the bucket now would only wait. It has the
// network looked at, for the next who asks.
func (n *network) quiet() bool {
	if n.state() != Offline {
		return false
	}
	n.look()
	return true
}

// look asks for a probe.
func (n *network) look() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// signOf classifies the outcome of a request; not every outcome says anything.
func signOf(err error) (s sign, says bool) {
	var e *s3backend.Error
	switch {
	case err == nil:
		return answered, true
	case errors.As(err, &e):
		switch e.Kind {
		case s3backend.Offline:
			return unanswered, true
		case s3backend.Busy, s3backend.Corrupt:
			return troubled, true
		case s3backend.Other: // perhaps our own disk
			return 0, false
		}
		return answered, true
	case errors.Is(err, context.DeadlineExceeded):
		return unanswered, true
	}
	return 0, false
}

// note takes in the outcome of a request.
func (n *network) note(err error) {
	if errors.Is(err, errWentOffline) {
		return
	}
	if s, says := signOf(err); says {
		n.take(s, err)
	}
}

// hint takes in that one attempt of a request met trouble. The request is
// counted when it has ended.
func (n *network) hint(err error) {
	if n.state() == Online {
		n.note(err)
	}
}

// take carries out what a sign means.
func (n *network) take(s sign, cause error) {
	n.mu.Lock()
	from := n.status.State
	switch s {
	case answered, troubled:
		n.heard()
		if n.misses > 0 {
			n.endAll(func(r *reading) bool { return r.isWrite() && r.began.Before(n.silence) })
		}
		n.misses = 0
	}
	switch s {
	case troubled:
		n.status.Busy++
	case unanswered:
		n.status.Unanswered++
	}
	if s != answered && s != calm {
		n.trouble, n.cause, n.status.Error = time.Now(), cause, oneLine(cause)
	}
	to, since := meanings[from][s], n.status.Since
	if to != from {
		n.status.State, n.status.Since = to, time.Now()
		n.status.Changes++
	}
	if to == Online {
		n.status.Error = ""
	}
	n.mu.Unlock()
	if to != from {
		n.changed(turn{from, to, since}, cause)
	}
}

// A turn is a change of state, and when the old one began.
type turn struct {
	from, to NetworkState
	since    time.Time
}

// changed tells of a new state: one line in the log, those who wait, and the
// queue.
func (n *network) changed(c turn, cause error) {
	switch c.to {
	case Online:
		n.log.Info("bucket: online", "was", c.from, "for", time.Since(c.since).Round(time.Millisecond))
	case Degraded:
		n.log.Warn("bucket: degraded; retrying with fewer requests", "was", c.from, "error", cause)
	case Offline:
		n.log.Warn("bucket: offline; serving what is cached, writes are queued", "was", c.from, "error", cause)
		n.mu.Lock()
		n.endAll((*reading).isQuestion)
		n.mu.Unlock()
	}
	if c.to != Online {
		n.look()
	}
	n.tell()
}

// loop probes while the network is not known to be well.
func (n *network) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	wait := probeGap
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.kick:
		case <-timer.C:
		}
		if !n.pauseUntil(ctx, n.lastProbe().Add(probeGap)) {
			return
		}
		before := n.state()
		n.probe(ctx)
		after := n.settle()
		if wait = min(2*wait, probeMost); before != after {
			wait = probeGap
		}
		timer.Stop()
		if after != Online || n.missed() {
			timer.Reset(wait/2 + rand.N(wait/2))
		}
	}
}

func (n *network) lastProbe() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.probed
}

func (n *network) missed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.misses > 0
}

func (n *network) pauseUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// probe asks once whether the bucket answers.
func (n *network) probe(ctx context.Context) {
	began := time.Now()
	short, cancel := context.WithTimeout(s3backend.Probing(ctx), probeTimeout)
	err := n.ask(short)
	cancel()
	if ctx.Err() != nil {
		return
	}
	s, says := signOf(err)
	if s3backend.KindOf(err) == s3backend.Corrupt { // somebody else answers, as a captive portal does
		s = unanswered
	}
	n.mu.Lock()
	n.status.Probes++
	n.mu.Unlock()
	if says {
		n.take(s, err)
	}
	if says && s == unanswered {
		n.miss(began, err)
	}
	n.mu.Lock()
	n.probed = time.Now()
	close(n.round)
	n.round = make(chan struct{})
	n.mu.Unlock()
}

// miss counts a probe that nobody answered.
func (n *network) miss(began time.Time, err error) {
	n.mu.Lock()
	if n.life.Load() > stampOf(began) {
		n.misses = 0
	} else if n.misses++; n.misses == 1 {
		n.silence = began
	}
	convicted := n.misses >= convictAfter
	n.mu.Unlock()
	if convicted {
		n.take(silent, err)
	}
}

// settle ends a state of trouble that has passed, and returns the state.
func (n *network) settle() NetworkState {
	n.mu.Lock()
	s, quiet := n.status.State, n.misses == 0 && time.Since(n.trouble) >= calmAfter
	n.mu.Unlock()
	if s == Degraded && quiet {
		n.take(calm, nil)
		return n.state()
	}
	return s
}

// reach returns at once unless offline; then it waits for one probe, and
// returns what that found.
func (n *network) reach(ctx context.Context, op, key string) error {
	n.mu.Lock()
	offline, recent, round := n.status.State == Offline, time.Since(n.probed) < probeGap, n.round
	n.mu.Unlock()
	if !offline {
		return nil
	}
	if !recent {
		n.look()
		select {
		case <-round:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status.State != Offline {
		return nil
	}
	return &s3backend.Error{Op: op, Key: key, Kind: s3backend.Offline, Err: fmt.Errorf("%w since %s: %w", errWentOffline,
		n.status.Since.Format(time.TimeOnly), n.cause)}
}

// probe asks for an object that is not there, as cheaply as can be.
func (c *Cache) probe(ctx context.Context) error {
	_, err := c.cfg.Remote.Head(ctx, c.cfg.Prefix+".moorfs-reach")
	return err
}
