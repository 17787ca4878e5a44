package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/fs"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	// backgroundDrain bounds how long a daemon sends after its mount was
	// taken away without asking it; the rest waits for the next mount.
	backgroundDrain = 30 * time.Minute
	// lastRequests bounds the wait for the kernel's last requests after an
	// unmount.
	lastRequests = 10 * time.Second
)

// A live is a mount that answers, until it ends: by a client's stop, by a
// signal, or because somebody unmounted it.
type live struct {
	reg    registration
	cache  *cache.Cache
	client *s3backend.Client
	server *fs.Server
	events eventSource // nil: none
	log    *slog.Logger
	undo   *undoStack
	hurry  context.Context // over: no more drains
	rush   context.CancelFunc
	gone   chan struct{} // closed when the kernel has let go of the mount
	ended  chan struct{} // closed when result is set
	dog    watchdog

	mu     sync.Mutex // one stop at a time
	result error      // nil or *leftover; valid once ended is closed
}

func newLive(m *mounting) *live {
	l := &live{dog: watchdog{after: m.req.set.wait("stuck-after")}, reg: m.reg, cache: m.cache, client: m.client, server: m.server, events: m.events, log: m.log, undo: &m.undo,
		gone: make(chan struct{}), ended: make(chan struct{})}
	l.hurry, l.rush = context.WithCancel(context.Background())
	go func() {
		m.server.Wait()
		close(l.gone)
	}()
	return l
}

// run serves until the mount has ended. The first signal unmounts, a second
// one ends the drain.
func (l *live) run(signals <-chan os.Signal) error {
	go l.watch()
	go l.watchStuck()
	stopping := false
	for {
		select {
		case <-l.ended:
			err := l.undo.run(false)
			if l.result != nil {
				err = errors.Join(l.result, err)
			}
			return unfinished(err)
		case s := <-signals:
			l.log.Info("signal", "signal", s.String())
			if stopping {
				l.rush()
			} else {
				go l.terminate()
			}
			stopping = true
		}
	}
}

// watch ends a mount that was taken away without asking us.
func (l *live) watch() {
	<-l.gone
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return
	}
	l.log.Info("the mount was taken away; sending what is left")
	l.finish(l.hurry, backgroundDrain, nil)
}

// terminate unmounts because of a signal: where files are open the mount is
// detached all the same.
func (l *live) terminate() {
	err := l.stop(l.hurry, 0, nil)
	if err == nil || errors.As(err, new(*leftover)) {
		return
	}
	l.log.Warn("signal: detaching the mount", "error", err, "users", describeUsers(l.reg.Mountpoint))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return
	}
	if err := l.unmount(lazily); err != nil {
		l.log.Warn("signal", "error", err)
	}
	l.awaitKernel()
	l.finish(l.hurry, 0, nil)
}

func (l *live) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// status implements operator.
func (l *live) status() mountStatus {
	s := mountStatus{Mount: l.reg, Cache: l.cache.Status(), Requests: l.client.Counts(), Stuck: l.dog.stuck(),
		Faults:    l.cache.Faults() + int64(l.server.Counts().Panics),
		daemonUse: daemonUse{Parallel: l.client.Parallelism(), Goroutines: runtime.NumGoroutine()}}
	if l.events != nil {
		events := l.events.State()
		s.Events = &events
	}
	return s
}

// flush implements operator.
func (l *live) flush(ctx context.Context, path string, tell func(cache.Progress)) error {
	ctx, cancel := l.bounded(ctx, 0)
	defer cancel()
	if path == "" {
		return l.left(l.cache.Drain(ctx, tell))
	}
	return l.left(l.cache.FlushPath(ctx, path, tell))
}

// conflicts implements operator.
func (l *live) conflicts() ([]cache.ConflictInfo, error) { return l.cache.Conflicts() }

// decide implements operator.
func (l *live) decide(ctx context.Context, id string, side winner) error {
	ctx, cancel := l.bounded(ctx, 0)
	defer cancel()
	choose := l.cache.KeepTheirs
	if side == mineWins {
		choose = l.cache.KeepMine
	}
	if err := choose(ctx, id); err != nil {
		return err
	}
	return l.server.Settled(ctx)
}

// cacheVerb implements operator.
func (l *live) cacheVerb(ctx context.Context, op string) (r reply, err error) {
	ctx, cancel := l.bounded(ctx, 0)
	defer cancel()
	switch op {
	case opCacheInfo:
		var i cache.Info
		i, err = l.cache.Info()
		r.Info = &i
	case opCacheVerify:
		var v cache.Report
		v, err = l.cache.Verify(ctx)
		r.Report = &v
	case opCachePrune:
		r.Freed, err = l.cache.Prune(ctx)
	}
	return r, err
}

// stop implements operator.
func (l *live) stop(ctx context.Context, limit time.Duration, tell func(cache.Progress)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return l.result
	}
	began := time.Now()
	err := l.drain(ctx, limit, tell)
	if err != nil && !errors.As(err, new(*leftover)) {
		return err
	}
	if ctx.Err() != nil && l.hurry.Err() == nil {
		return ctx.Err() // the client took it back
	}
	if unmountErr := l.unmount(whenFree); unmountErr != nil {
		return unmountErr
	}
	l.awaitKernel()
	// What was written between the drain and the unmount.
	rest := limit
	switch {
	case err != nil:
		rest = time.Nanosecond
	case limit > 0:
		rest = max(time.Nanosecond, limit-time.Since(began))
	}
	l.finish(ctx, rest, tell)
	return l.result
}

// unmount takes our mount away, unless it is gone already.
func (l *live) unmount(how detach) error {
	at, mounted, err := mountAt(l.reg.Mountpoint)
	if err != nil {
		return err
	}
	if mounted && at.source == l.reg.Source {
		return unmountDir(l.reg.Mountpoint, how)
	}
	select {
	case <-l.gone:
		return nil
	default:
		return errBusy // detached by somebody, still held by open files
	}
}

// awaitKernel waits for the requests that an unmount leaves behind.
func (l *live) awaitKernel() {
	wait, cancel := l.bounded(context.Background(), lastRequests)
	defer cancel()
	select {
	case <-l.gone:
	case <-wait.Done():
		l.log.Warn("the kernel still holds the mount", "users", describeUsers(l.reg.Mountpoint))
	}
}

// finish does the last drain and ends the mount. Called with mu held, once.
func (l *live) finish(ctx context.Context, limit time.Duration, tell func(cache.Progress)) {
	err := l.drain(ctx, limit, tell)
	if left := new(leftover); err != nil && !errors.As(err, &left) {
		l.log.Error("cannot send what is left", "error", err)
		s := l.cache.Status()
		err = &leftover{CacheDir: l.reg.CacheDir, Source: l.reg.Source,
			Progress: cache.Progress{Files: s.Queued, Bytes: s.DirtyBytes, Refused: s.Refused, Error: err.Error()}}
	}
	l.result = err
	if err != nil {
		l.log.Warn("unmounted, unfinished", "left", err)
	} else {
		l.log.Info("unmounted, everything is in the bucket")
	}
	close(l.ended)
}

// drain brings everything to the bucket, within limit if that is not 0.
func (l *live) drain(ctx context.Context, limit time.Duration, tell func(cache.Progress)) error {
	ctx, cancel := l.bounded(ctx, limit)
	defer cancel()
	said := time.Time{}
	return l.left(l.cache.Drain(ctx, func(p cache.Progress) {
		if tell != nil {
			tell(p)
		}
		if time.Since(said) < 5*time.Second {
			return
		}
		said = time.Now()
		state := fmt.Sprintf("STOPPING=1\nSTATUS=%s\nEXTEND_TIMEOUT_USEC=60000000", describeLeft(p))
		if err := notifySystemd(state); err != nil {
			l.log.Debug("drain", "error", err)
		}
	}))
}

// bounded ends a context when the daemon is in a hurry, and after limit if
// that is not 0.
func (l *live) bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(l.hurry, cancel)
	done := func() { unhook(); cancel() }
	if limit == 0 {
		return ctx, done
	}
	ctx, expire := context.WithTimeout(ctx, limit)
	return ctx, func() { expire(); done() }
}

// left turns what the cache says of unfinished work into a leftover.
func (l *live) left(err error) error {
	if u := new(cache.Unfinished); errors.As(err, &u) {
		return &leftover{Progress: u.Progress, CacheDir: l.reg.CacheDir, Source: l.reg.Source}
	}
	return err
}
