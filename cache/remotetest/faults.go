package remotetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/moorfs/moorfs/s3backend"
)

// When says how far a call gets before it fails.
type When int

const (
	Before When = iota // nothing happens
	Midway             // a get breaks off, a list ends early, a put in parts stops after one, half of a batch is deleted
	After              // all of it happens, only the reply is lost
)

// A Fault makes calls fail.
type Fault struct {
	Op      string // list, head, get, put, copy, delete or abort; empty: any
	Key     string // exactly this key (of a list: prefix; of a copy: destination); empty: any
	Nth     int    // the n-th call that fits, from now on; 0: the next
	Forever bool   // and every one after it
	Kind    s3backend.Kind
	When    When

	seen int // of the calls that fit; guarded by Faults.mu
}

// A Call is one call of a method of Remote.
type Call struct {
	Op   string
	Keys []string // one, but of a delete
	N    int      // counts all calls, from 1
}

// Faults stands around a Remote and makes calls fail. The zero fault set lets
// all pass. It may be used concurrently.
type Faults struct {
	remote Remote

	mu      sync.Mutex
	calls   int
	faults  []*Fault
	offline bool
	hook    func(context.Context, Call) error
}

// NewFaults returns a Remote that passes all calls on to r until told
// otherwise.
func NewFaults(r Remote) *Faults { return &Faults{remote: r} }

// Fail adds a fault. Of several that fit one call the first decides.
func (f *Faults) Fail(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Heal removes all faults; Offline and Hook stay as they are.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Offline makes every call fail with kind Offline, or lets them pass again.
func (f *Faults) Offline(offline bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offline = offline
}

// Hook has fn called at the beginning of every call; an error of it is the
// call's, which then does nothing. fn may block, and may call any method but
// those of Remote. Nil: no hook.
func (f *Faults) Hook(fn func(context.Context, Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = fn
}

// Calls returns how many calls there were, those that failed among them.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// A verdict is how a call ends: as the Remote says if err is nil.
type verdict struct {
	err  error
	when When
}

// is reports whether the call fails at that point.
func (v verdict) is(w When) bool { return v.err != nil && v.when == w }

// judge counts a call and says what becomes of it.
func (f *Faults) judge(ctx context.Context, op string, keys ...string) verdict {
	if s3backend.IsProbing(ctx) { // they come when they like: no call of the test's
		return f.judgeProbe(op, keys)
	}
	if err := f.announce(ctx, op, keys); err != nil {
		return verdict{err: err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.Join(keys[:min(1, len(keys))], "")
	if f.offline {
		return verdict{err: fail(op, key, s3backend.Offline)}
	}
	var v verdict
	for _, fault := range f.faults {
		if fault.hits(op, keys) && v.err == nil {
			v = verdict{err: fail(op, key, fault.Kind), when: fault.When}
		}
	}
	return v
}

// judgeProbe lets a probe find out what every call would.
func (f *Faults) judgeProbe(op string, keys []string) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.offline {
		return verdict{err: fail(op, keys[0], s3backend.Offline)}
	}
	for _, fault := range f.faults {
		if fault.Op == "" && fault.Key == "" && fault.Forever && fault.seen >= max(fault.Nth, 1) {
			return verdict{err: fail(op, keys[0], fault.Kind)}
		}
	}
	return verdict{}
}

// announce counts a call and tells the hook of it.
func (f *Faults) announce(ctx context.Context, op string, keys []string) error {
	f.mu.Lock()
	f.calls++
	call, hook := Call{Op: op, Keys: keys, N: f.calls}, f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, call)
}

// hits counts a call if it fits and reports whether it is to fail. The caller
// holds Faults.mu.
func (f *Fault) hits(op string, keys []string) bool {
	if f.Op != "" && f.Op != op || f.Key != "" && !slices.Contains(keys, f.Key) {
		return false
	}
	f.seen++
	nth := max(f.Nth, 1)
	return f.seen == nth || f.Forever && f.seen > nth
}
