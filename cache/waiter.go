package cache

import (
	"context"
	"errors"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// A waiter waits for a set of keys to settle or be refused.
type waiter struct {
	keys    map[string]struct{}
	joined  int
	failure string
	done    chan struct{}
}

// waitFor makes keys (nil: all) urgent and returns a waiter for them. Refused
// ones are tried again.
func (q *queue) waitFor(keys []string) *waiter {
	w := &waiter{keys: map[string]struct{}{}, done: make(chan struct{})}
	q.do(func() {
		if keys == nil {
			for key := range q.items {
				keys = append(keys, key)
			}
		}
		for _, key := range keys {
			it := q.items[key]
			if it == nil {
				continue
			}
			w.joined = q.clock
			w.keys[key] = struct{}{}
			it.refused = false
			it.urgent = false
		}
		for key := range w.keys {
			q.hurry(q.items[key])
		}
		if len(w.keys) == 0 {
			close(w.done)
			return
		}
		q.waiters[w] = struct{}{}
	})
	return w
}

func (q *queue) leave(w *waiter, key, failure string) {
	if _, ok := w.keys[key]; !ok {
		return
	}
	delete(w.keys, key)
	if failure != "" && w.failure == "" {
		w.failure = failure
	}
	if len(w.keys) == 0 {
		delete(q.waiters, w)
		close(w.done)
	}
}

// served lets go who waited for what a job has done; those who came after the
// change that it did not see wait on.
func (q *queue) served(it *item) {
	it.urgent = false
	for w := range q.waiters {
		if _, waits := w.keys[it.key]; waits && it.changed != 0 && w.joined > it.changed {
			it.urgent = true
			continue
		}
		q.leave(w, it.key, "")
	}
}

// giveUp tells those who wait for a key that S3 refuses, or for one that waits
// for it.
func (q *queue) giveUp(it *item, failure string, depth int) {
	for w := range q.waiters {
		q.leave(w, it.key, failure)
	}
	if depth > len(q.items) {
		return
	}
	for _, k := range q.blocked[it.key] {
		if other := q.items[k]; other != nil && other.after == it.key {
			other.urgent = false
			q.giveUp(other, failure, depth+1)
		}
	}
}

// await waits for a waiter, as long as something moves.
func (c *Cache) await(ctx context.Context, w *waiter, tell func(Progress)) error {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	c.net.quiet() // somebody wants to know now
	moved, since := c.progress(), time.Now()
	for {
		select {
		case <-w.done:
			if tell != nil {
				tell(c.left(w.failure))
			}
			return nil
		case <-ctx.Done():
			return &Unfinished{c.left(""), c.cfg.Dir}
		case <-c.ctx.Done():
			return ErrClosed
		case <-tick.C:
		}
		if tell != nil {
			tell(c.left(""))
		}
		if now := c.progress(); now != moved {
			moved, since = now, time.Now()
		} else if time.Since(since) > drainStall {
			return &Unfinished{c.left(""), c.cfg.Dir}
		}
	}
}

func (c *Cache) left(failure string) Progress {
	s := c.queue.stats.Load()
	if failure == "" {
		failure = s.failure
	}
	return Progress{Files: s.queued, Bytes: s.bytes, Uploaded: c.sent.Load(), Refused: s.refused, Error: failure}
}

// awaitMoves waits until the keys of an inode, and of all below it, go with
// their names.
func (c *Cache) awaitMoves(ctx context.Context, ino Ino, tell func(Progress)) error {
	for {
		tasks, err := c.movesOf(ino)
		if err != nil || len(tasks) == 0 {
			return err
		}
		w := c.queue.waitFor(tasks)
		if err := c.await(ctx, w, tell); err != nil {
			return err
		}
		if w.failure != "" {
			return &Error{"rename", c.pathOf(ino), errors.New(w.failure)}
		}
	}
}

// movesOf returns the moves of the directories that an inode is in and of those
// below it.
func (c *Cache) movesOf(ino Ino) (tasks []string, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		for dir := range c.moves.sources {
			above, err := within(tx, ino, dir)
			below, belowErr := within(tx, dir, ino)
			if err = errors.Join(err, belowErr); err != nil {
				return err
			}
			if above || below {
				tasks = append(tasks, moveTask(dir))
			}
		}
		return nil
	})
	return tasks, err
}
