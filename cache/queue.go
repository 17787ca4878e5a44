package cache

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// deleteBatch is how many deletions one request takes
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
const deleteBatch = 1000

// A queue knows which keys are not as wanted and when each is due, and hands
// them to workers. One goroutine (run) owns all of it; others put into inbox.
type queue struct {
	ctx     context.Context
	work    func(ctx context.Context, tasks []task) map[string]outcome
	guard   *guard
	slots   int
	workers sync.WaitGroup
	stats   atomic.Pointer[queueStats]
	done    atomic.Int64

	inboxMu sync.Mutex // guards inbox, for the time of an append
	inbox   []func()
	wake    chan struct{}

	// Owned by run.
	items   map[string]*item
	due     dueHeap
	blocked map[string][]string // waiting for the row of a key to settle
	busy    int
	offline bool // nothing is begun
	waiters map[*waiter]struct{}
	clock   int // counts what came out of the inbox
}

// An item is one key that is not as wanted.
type item struct {
	key     string
	due     time.Time
	size    int64
	index   int // in the heap; -1: running or blocked
	deletes bool
	running bool
	again   bool // told of while running
	changed int  // when: after the running job had seen the row for the last time; 0: not
	started int  // when its work began last
	passed  int  // when those that wait for it were told last to look again
	urgent  bool
	refused bool
	network bool   // failed by the network: due when that is well again
	faults  uint32 // how often its work has panicked, one time after the other
	after   string // blocked until the row of this key has settled
	failure string
	next    time.Time
}

// A task is a key to bring into step; asked: somebody waits for it, so that an
// open file is not left to rest first.
type task struct {
	key   string
	asked bool
}

// An outcome says what became of a key that a worker took.
type outcome struct {
	settled bool
	due     time.Time // if not settled: try again then, or at once if somebody waits …
	pause   bool      // … but not before due in any case
	after   string    // if not settled: when the row of this key has settled
	refused bool
	network bool // if it failed: not by what the key wants
	fault   bool // the work panicked
	failure string
}

type queueStats struct {
	queued, running, refused int
	bytes                    int64
	failure                  string
}

func newQueue(ctx context.Context, work func(context.Context, []task) map[string]outcome, slots int) *queue {
	q := &queue{ctx: ctx, work: work, guard: &guard{log: slog.Default()}, slots: max(slots, 1), wake: make(chan struct{}, 1), items: map[string]*item{},
		blocked: map[string][]string{}, waiters: map[*waiter]struct{}{}}
	q.stats.Store(&queueStats{})
	return q
}

// do has fn carried out by the owner, later.
func (q *queue) do(fn func()) {
	q.inboxMu.Lock()
	q.inbox = append(q.inbox, fn)
	q.inboxMu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// tell passes on what a transaction did to rows. It never blocks.
func (q *queue) tell(pokes map[string]poke) {
	q.do(func() {
		for key, p := range pokes {
			q.apply(key, p)
		}
	})
}

// wait returns when no worker is left; run has ended before.
func (q *queue) wait() { q.workers.Wait() }

func (q *queue) completed() int64 { return q.done.Load() }

func (q *queue) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		q.dispatch()
		q.publish()
		timer.Reset(q.untilNext())
		select {
		case <-q.ctx.Done():
			return
		case <-timer.C:
		case <-q.wake:
			q.inboxMu.Lock()
			fns := q.inbox
			q.inbox = nil
			q.inboxMu.Unlock()
			for _, fn := range fns {
				q.clock++
				_ = q.guard.do("queue", fn) // logged; the others are not lost with it
			}
		}
	}
}

func (q *queue) apply(key string, p poke) {
	it := q.items[key]
	if it != nil && it.running {
		it.noteChange(p.settled || p.own, q.clock)
	}
	if p.settled {
		if it != nil && it.running {
			it.again = true
			it.next = time.Time{}
			return
		}
		q.remove(key, it)
		return
	}
	if it == nil {
		it = &item{key: key, index: -1}
		q.items[key] = it
	}
	if p.passed {
		it.passed = q.clock
		q.unblock(key)
	}
	it.deletes, it.refused = p.deletes, p.refused
	if p.size > 0 {
		it.size = p.size
	}
	it.next = ofStamp(p.due)
	if it.running {
		it.again = true
		return
	}
	q.schedule(it, it.next)
}

// noteChange notes at which time a running item was told of, after its job's
// own last word.
func (it *item) noteChange(own bool, now int) {
	switch {
	case own:
		it.changed = 0
	case it.changed == 0:
		it.changed = now
	}
}

func (q *queue) schedule(it *item, at time.Time) {
	it.after = ""
	if it.urgent && !it.refused {
		at = time.Time{}
	}
	it.due = at
	if it.index >= 0 {
		heap.Fix(&q.due, it.index)
		return
	}
	heap.Push(&q.due, it)
}

// remove forgets a key that is as wanted, and lets go what waited for it.
func (q *queue) remove(key string, it *item) {
	if it != nil {
		if it.index >= 0 {
			heap.Remove(&q.due, it.index)
		}
		delete(q.items, key)
		q.done.Add(1)
	}
	q.unblock(key)
	for w := range q.waiters {
		q.leave(w, key, "")
	}
}

func (q *queue) unblock(key string) {
	keys := q.blocked[key]
	delete(q.blocked, key)
	for _, k := range keys {
		if it := q.items[k]; it != nil && !it.running && it.after == key {
			it.after = ""
			q.schedule(it, time.Time{})
		}
	}
}

// dispatch starts workers for what is due.
func (q *queue) dispatch() {
	now := time.Now()
	for !q.offline && len(q.due) > 0 && q.busy < q.slots && !q.due[0].due.After(now) {
		first := heap.Pop(&q.due).(*item)
		batch := []*item{first}
		if first.deletes {
			batch = q.moreDeletes(batch, now)
		}
		q.start(batch)
	}
}

// moreDeletes adds deletions that are due to a first one.
func (q *queue) moreDeletes(batch []*item, now time.Time) []*item {
	var back []*item
	for len(q.due) > 0 && len(batch) < deleteBatch && len(back) < deleteBatch && !q.due[0].due.After(now) {
		it := heap.Pop(&q.due).(*item)
		if it.deletes {
			batch = append(batch, it)
		} else {
			back = append(back, it)
		}
	}
	for _, it := range back {
		heap.Push(&q.due, it)
	}
	return batch
}

func (q *queue) start(batch []*item) {
	tasks := make([]task, len(batch))
	for i, it := range batch {
		it.running, it.again, it.changed, it.started = true, false, 0, q.clock
		tasks[i] = task{it.key, it.urgent}
	}
	q.busy++
	q.workers.Add(1)
	go func() {
		defer q.workers.Done()
		var out map[string]outcome
		if err := q.guard.do("flush", func() { out = q.work(q.ctx, tasks) }); err != nil {
			out = make(map[string]outcome, len(tasks))
			for _, t := range tasks {
				out[t.key] = faulted(err)
			}
		}
		q.do(func() { q.finish(tasks, out) })
	}()
}

func (q *queue) finish(tasks []task, out map[string]outcome) {
	q.busy--
	for _, t := range tasks {
		key := t.key
		it, o := q.items[key], out[key]
		if it == nil {
			continue
		}
		it.running = false
		it.failure, it.refused, it.network = o.failure, o.refused, o.network
		if !o.fault {
			it.faults = 0
		} else {
			o.due = time.Now().Add(backoff(it.faults))
			it.faults++
		}
		if it.again && !o.settled && o.after == "" && it.next.Before(o.due) { // changed since: what was found no longer counts
			it.refused, it.failure = false, ""
			q.schedule(it, it.next)
			continue
		}
		switch {
		case o.settled && !it.again:
			q.remove(key, it)
		case o.settled && it.next.IsZero():
			q.remove(key, it)
		case o.after != "":
			q.block(it, o.after)
		default:
			q.reschedule(it, o)
		}
	}
}

func (q *queue) reschedule(it *item, o outcome) {
	if o.settled { // done, but wanted anew meanwhile
		q.served(it)
		q.unblock(it.key)
		q.schedule(it, it.next)
		return
	}
	if o.refused {
		it.urgent = false
		q.giveUp(it, o.failure, 0)
	}
	urgent := it.urgent
	if o.pause || o.failure != "" {
		it.urgent = false // nobody's asking makes it earlier
	}
	q.schedule(it, o.due)
	it.urgent = urgent
}

// stuck reports whether nothing can become of a key until a person acts.
func (q *queue) stuck(it *item) bool {
	for range len(q.items) {
		if it == nil || it.refused {
			return it != nil
		}
		if it.after == "" {
			return false
		}
		it = q.items[it.after]
	}
	return false
}

// block parks a key until the row of another has settled, and hurries that. What
// a worker found before either changed no longer counts: two keys could wait for
// each other.
func (q *queue) block(it *item, after string) {
	other := q.items[after]
	if other == nil || it.changed != 0 || other.passed > it.started {
		q.schedule(it, time.Time{})
		return
	}
	it.after = after
	q.blocked[after] = append(q.blocked[after], it.key)
	if q.stuck(other) && !other.urgent {
		q.giveUp(it, other.failure, 0)
		return
	}
	q.hurry(other)
}

func (q *queue) hurry(it *item) {
	if it.urgent {
		return
	}
	it.urgent = true
	if it.index >= 0 {
		q.schedule(it, time.Time{})
	} else if other := q.items[it.after]; it.after != "" && other != nil {
		q.hurry(other)
	}
}

func (q *queue) untilNext() time.Duration {
	if q.offline || len(q.due) == 0 || q.busy >= q.slots {
		return time.Hour
	}
	return max(time.Until(q.due[0].due), 0)
}

// reachable says whether the bucket can be reached. When it can again, what
// failed for the network's sake is due at once.
func (q *queue) reachable(yes bool) {
	q.offline = !yes
	if q.offline {
		return
	}
	for _, it := range q.items {
		if it.network && it.index >= 0 && !it.refused {
			q.schedule(it, time.Time{})
		}
	}
}

// retryAll makes due at once what has failed and is not refused.
func (q *queue) retryAll() {
	for _, it := range q.items {
		if it.failure != "" && it.index >= 0 && !it.refused {
			q.schedule(it, time.Time{})
		}
	}
}

func (q *queue) publish() {
	s := &queueStats{queued: len(q.items), running: q.busy}
	if old := q.stats.Load(); len(q.items) > 2000 && q.done.Load()%64 != 0 {
		*s = queueStats{len(q.items), q.busy, old.refused, old.bytes, old.failure}
		q.stats.Store(s)
		return
	}
	for _, it := range q.items {
		s.bytes += it.size
		if q.stuck(it) {
			s.refused++
		}
		if it.failure != "" {
			s.failure = it.failure
		}
	}
	q.stats.Store(s)
}

// kick makes keys urgent.
func (q *queue) kick(keys []string) {
	q.do(func() {
		for _, key := range keys {
			if it := q.items[key]; it != nil && !it.refused {
				q.hurry(it)
			}
		}
	})
}

// kickOthers makes everything but one key urgent, and but those to be spared; it
// reports whether there is anything that could move.
func (q *queue) kickOthers(own string, spared map[string]bool) bool {
	found := make(chan bool, 1)
	q.do(func() {
		others := false
		for _, it := range q.items {
			if it.key == own || it.refused {
				continue
			}
			if others = true; !spared[it.key] {
				q.hurry(it)
			}
		}
		found <- others
	})
	select {
	case others := <-found:
		return others
	case <-q.ctx.Done():
		return true // the cache is being closed, which the caller sees
	}
}

// A dueHeap is a heap of items by due time (container/heap).
type dueHeap []*item

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	it.index = -1
	*h = old[:len(old)-1]
	return it
}
