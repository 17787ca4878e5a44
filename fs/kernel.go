package fs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// A notifier tells the kernel; *fuse.Server is one. Both calls may wait for
// locks that the kernel holds while it waits for a request of ours.
type notifier interface {
	EntryNotify(parent uint64, name string) fuse.Status
	InodeNotify(ino uint64, off, length int64) fuse.Status
}

// What the kernel shall forget.
type forget uint8

const (
	forgetEntry forget = iota
	forgetContent
	forgetAttrs
	forgotten // nothing: all before it has been told
)

// A note is one thing that the kernel shall forget. Equal notes that wait are
// one.
type note struct {
	what forget
	ino  cache.Ino // of an entry, its parent
	name string
	told chan struct{} // of forgotten: closed then
}

// A notification waits in the kernel for the lock of a directory, or of a page,
// that is held while a request of it is answered. While it waits no signal ends
// the daemon, so it is put off as long as such a request is seen to take long.
const (
	longRequest = 10 * time.Millisecond
	lookAgain   = 10 * time.Millisecond
	putOffMost  = 30 * time.Second // a directory can have one slow request after the other
)

// A pending note waits to be told.
type pending struct {
	note
	since time.Time
}

// A kernel implements cache.Kernel: notes go into a queue, and one goroutine
// tells the kernel. No lock is held while it does, and nobody waits for it, so
// a request that the kernel waits for always ends and the notification after
// it. Node ids are inode numbers (Options.ExternalNodeID).
type kernel struct {
	log   *slog.Logger
	under *inflight

	mu      sync.Mutex // held for the fields below alone
	waiting map[note]struct{}
	order   []pending
	closed  bool

	wake chan struct{} // one token: there is something to look at
	done chan struct{} // closed when run has returned
}

func newKernel(log *slog.Logger) *kernel {
	return &kernel{log: log, under: &inflight{}, waiting: map[note]struct{}{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// EntryGone makes the kernel look name up again. It returns at once and may be
// called with locks held and from inside a request.
func (k *kernel) EntryGone(parent cache.Ino, name string) {
	k.add(note{what: forgetEntry, ino: parent, name: name})
}

// ContentChanged makes the kernel drop its pages and attributes of ino. It
// returns at once and may be called with locks held and from inside a request.
func (k *kernel) ContentChanged(ino cache.Ino) { k.add(note{what: forgetContent, ino: ino}) }

// attrsChanged makes the kernel ask for the attributes of ino again.
func (k *kernel) attrsChanged(ino cache.Ino) { k.add(note{what: forgetAttrs, ino: ino}) }

// settled waits until the kernel was told all that it shall forget by now. Not
// to be called from inside a request.
func (k *kernel) settled(ctx context.Context) error {
	n := note{what: forgotten, told: make(chan struct{})}
	k.add(n)
	select {
	case <-n.told:
		return nil
	case <-k.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *kernel) add(n note) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.waiting[n]; there || k.closed {
		return
	}
	k.waiting[n] = struct{}{}
	k.order = append(k.order, pending{n, time.Now()})
	k.poke()
}

func (k *kernel) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run tells to until stop.
func (k *kernel) run(to notifier) {
	defer close(k.done)
	var off []pending // put off
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.wake:
		case <-timer.C:
		}
		notes, closed := k.take()
		if closed {
			return
		}
		if off = k.tellAll(to, append(off, notes...)); len(off) > 0 {
			timer.Reset(lookAgain)
		}
	}
}

// tellAll tells what would not wait for a request, and returns the rest.
func (k *kernel) tellAll(to notifier, notes []pending) (off []pending) {
	for _, n := range notes {
		waits := n.what == forgotten && len(off) > 0 || k.wouldWait(n)
		if waits && time.Since(n.since) < putOffMost {
			off = append(off, n)
			continue
		}
		k.tell(to, n.note)
	}
	return off
}

func (k *kernel) wouldWait(n pending) bool {
	return (n.what == forgetEntry || n.what == forgetContent) && k.under.busy(uint64(n.ino), longRequest)
}

// take returns what waits. From then on an equal note is a new one: what it
// tells of may have happened after the kernel was told.
func (k *kernel) take() (notes []pending, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	notes, k.order = k.order, nil
	k.waiting = map[note]struct{}{}
	return notes, k.closed
}

func (k *kernel) tell(to notifier, n note) {
	defer func() {
		if v := recover(); v != nil {
			k.log.Error("panic in a notification; the kernel may believe a name for longer", "inode", n.ino, "name", n.name,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	var status fuse.Status
	switch n.what {
	case forgotten:
		close(n.told)
	case forgetEntry:
		status = to.EntryNotify(uint64(n.ino), n.name)
	case forgetContent:
		status = to.InodeNotify(uint64(n.ino), 0, 0)
	case forgetAttrs:
		status = to.InodeNotify(uint64(n.ino), -1, 0)
	}
	switch syscall.Errno(status) {
	case 0, syscall.ENOENT, syscall.ENOTDIR, syscall.ENODEV, syscall.EBADF:
		// Told; or the kernel knows no such thing; or nothing is mounted.
	default:
		k.log.Warn("kernel notification failed", "inode", n.ino, "name", n.name, "error", syscall.Errno(status).Error())
	}
}

// stop ends run, after the notification that is under way, and waits for that
// until ctx ends. It reports whether run has ended.
func (k *kernel) stop(ctx context.Context) bool {
	k.mu.Lock()
	k.closed = true
	k.poke()
	k.mu.Unlock()
	select {
	case <-k.done:
		return true
	case <-ctx.Done():
		return false
	}
}
