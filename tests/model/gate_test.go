package model

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A gate is one process' way to the bucket. When the process is killed no
// answer reaches it any more; a request that stalls is one that was under way
// then. Lists, HEADs and GETs pass until the kill.
type gate struct {
	*remotetest.Faults
	killed chan struct{}
	over   chan struct{} // closed when what the process left has been saved

	mu    sync.Mutex
	stall string        // kind of the next request that stalls, and how
	freed chan struct{} // closed when stalled requests may go on
}

func newGate(f *remotetest.Faults) *gate {
	return &gate{Faults: f, killed: make(chan struct{}), over: make(chan struct{}), freed: make(chan struct{})}
}

var errKilled = errors.New("the process is dead")

// lateBy is how long after its process' death a request may take effect.
const lateBy = time.Second

// arm makes the next request of a kind stall: "put stall", "put stall-done",
// "put stall-late".
func (g *gate) arm(fault string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stall = fault
}

// release ends all stalls, as a network that comes back.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stall = ""
	close(g.freed)
	g.freed = make(chan struct{})
}

// A request is one that may stall: do carries it out, late does so when its
// process is dead.
type request struct {
	kind     string
	do, late func()
}

// pass carries out one request. The error says that its process does not hear
// of it.
func (g *gate) pass(ctx context.Context, r request) error {
	g.mu.Lock()
	how, stalls := strings.CutPrefix(g.stall, r.kind+" ")
	if stalls {
		g.stall = ""
	}
	freed := g.freed
	g.mu.Unlock()
	if g.dead() {
		return errKilled
	}
	if !stalls || how == "stall-done" {
		r.do()
	}
	if stalls {
		select {
		case <-freed:
			if how != "stall-done" {
				r.do()
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.killed:
			if how == "stall-late" {
				time.AfterFunc(lateBy, r.late)
			}
		}
	}
	if g.dead() {
		return errKilled
	}
	return nil
}

// dead reports whether the process was killed; from then on its requests have
// no end until nothing depends on it any more.
func (g *gate) dead() bool {
	select {
	case <-g.killed:
		<-g.over
		return true
	default:
		return false
	}
}

// Put is the Remote's.
func (g *gate) Put(ctx context.Context, p s3backend.Put) (o s3backend.Object, err error) {
	body := make([]byte, p.Size) // what is on its way needs no process any more
	if _, err := p.Body.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return g.Faults.Put(ctx, p)
	}
	sent := s3backend.Put{Key: p.Key, Body: bytes.NewReader(body), Size: p.Size, If: p.If, Meta: p.Meta, Headers: p.Headers}
	lost := g.pass(ctx, request{"put", func() { o, err = g.Faults.Put(ctx, p) }, func() {
		_, _ = g.Faults.Put(context.WithoutCancel(ctx), sent) // nobody hears of it
	}})
	if lost != nil {
		return s3backend.Object{}, lost
	}
	return o, err
}

// Copy is the Remote's.
func (g *gate) Copy(ctx context.Context, c s3backend.Copy) (o s3backend.Object, err error) {
	do := func() { o, err = g.Faults.Copy(context.WithoutCancel(ctx), c) }
	if lost := g.pass(ctx, request{"copy", do, do}); lost != nil {
		return s3backend.Object{}, lost
	}
	return o, err
}

// Delete is the Remote's.
func (g *gate) Delete(ctx context.Context, ds ...s3backend.Deletion) (errs []error) {
	do := func() { errs = g.Faults.Delete(context.WithoutCancel(ctx), ds...) }
	if lost := g.pass(ctx, request{"delete", do, do}); lost != nil {
		return slices.Repeat([]error{lost}, len(ds))
	}
	return errs
}

// Head is the Remote's.
func (g *gate) Head(ctx context.Context, key string) (s3backend.Object, error) {
	if g.dead() {
		return s3backend.Object{}, errKilled
	}
	return g.Faults.Head(ctx, key)
}

// Get is the Remote's.
func (g *gate) Get(ctx context.Context, get s3backend.Get) (io.ReadCloser, error) {
	if g.dead() {
		return nil, errKilled
	}
	return g.Faults.Get(ctx, get)
}

// List is the Remote's.
func (g *gate) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	if g.dead() {
		return func(yield func(s3backend.Entry, error) bool) { yield(s3backend.Entry{}, errKilled) }
	}
	return g.Faults.List(ctx, prefix, after)
}

// ListPage is the Remote's.
func (g *gate) ListPage(ctx context.Context, prefix, after string, limit int) ([]s3backend.Entry, bool, error) {
	if g.dead() {
		return nil, false, errKilled
	}
	return g.Faults.ListPage(ctx, prefix, after, limit)
}

// Abort is the Remote's.
func (g *gate) Abort(ctx context.Context, key string, u s3backend.Upload) error {
	if g.dead() {
		return errKilled
	}
	return g.Faults.Abort(ctx, key, u)
}
