package cache

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

const (
	spaceTick = 250 * time.Millisecond
	// stallLimit is how long a writer waits for space while nothing is on its
	// way to the bucket although that can be reached.
	stallLimit = 30 * time.Second
	// openStall is how long a writer waits for space while nothing that is
	// closed is on its way, before other files that are still being written are
	// sent as they are.
	openStall = 2 * time.Second
	blockSize = 4096
)

// space counts the disk that data files take and orders those nobody uses by
// age.
type space struct {
	limit int64
	low   atomic.Bool  // the disk has less than MinFree left
	waits atomic.Int32 // writers that wait for space
	used  atomic.Int64

	mu    sync.Mutex // a leaf
	order *list.List // of Ino, oldest first
	at    map[Ino]*list.Element
}

func newSpace(limit int64) *space {
	return &space{limit: limit, order: list.New(), at: map[Ino]*list.Element{}}
}

func (s *space) add(n int64) { s.used.Add(n) }

// room reports whether n more bytes fit.
func (s *space) room(n int64) bool { return s.used.Load()+n <= s.limit && !s.low.Load() }

// use takes ino out of the order: it is open.
func (s *space) use(ino Ino) { s.forget(ino) }

func (s *space) forget(ino Ino) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.at[ino]; e != nil {
		s.order.Remove(e)
		delete(s.at, ino)
	}
}

// idle makes ino the youngest that may be evicted.
func (s *space) idle(ino Ino, bytes int64) {
	if bytes == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[ino] == nil {
		s.at[ino] = s.order.PushBack(ino)
	}
}

// oldest takes the longest unused inode out of the order.
func (s *space) oldest() (Ino, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.order.Front()
	if e == nil {
		return 0, false
	}
	ino := s.order.Remove(e).(Ino)
	delete(s.at, ino)
	return ino, true
}

// spaceLoop watches the disk and evicts ahead of need.
func (c *Cache) spaceLoop() {
	tick := time.NewTicker(spaceTick)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
			c.checkDisk()
			if !c.space.room(0) {
				c.makeRoom(c.space.limit / 50)
			}
		}
	}
}

func (c *Cache) checkDisk() {
	free, err := freeSpace(c.cfg.Dir)
	if err != nil {
		c.cfg.Log.Error("cache: disk", "error", err)
		return
	}
	c.space.low.Store(free < c.cfg.MinFree)
}

// makeRoom evicts until n bytes fit, and reports whether they do.
func (c *Cache) makeRoom(n int64) bool {
	for !c.space.room(n) {
		if !c.evictOldest() && !c.punchOpen(n) && !c.removeCondemned() && !c.buryLingering() {
			return false
		}
		if c.space.low.Load() {
			c.checkDisk()
		}
	}
	return true
}

// evictOldest gives up the bytes of the clean file that was not used for the
// longest time. Dirty files are passed over: their flush puts them back.
func (c *Cache) evictOldest() bool {
	for {
		ino, ok := c.space.oldest()
		if !ok {
			return false
		}
		if done, err := c.evict(ino); err != nil {
			c.cfg.Log.Error("cache: evict", "inode", ino, "error", err)
		} else if done {
			return true
		}
	}
}

func (c *Cache) evict(ino Ino) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[ino] != nil {
		return false, nil
	}
	err = c.commit(c.db.Free, "evicted", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || found && (rec.State != journal.Clean || rec.Base.ETag == "") {
			return err
		}
		done = true
		ch.evicted = append(ch.evicted, ino)
		return ch.DeleteExtents(ino)
	})
	return done && err == nil, err
}

// punchOpen gives up clean ranges of open files, away from where they are
// being read.
func (c *Cache) punchOpen(n int64) bool {
	c.mu.RLock()
	files := make([]*file, 0, len(c.files))
	for _, f := range c.files {
		files = append(files, f)
	}
	c.mu.RUnlock()
	freed := int64(0)
	for _, f := range files {
		got, err := f.punchClean(n - freed)
		if err != nil {
			c.cfg.Log.Error("cache: evict", "inode", f.ino, "error", err)
		}
		if freed += got; freed >= n && n > 0 {
			break
		}
	}
	return freed > 0
}

func (f *file) punchClean(n int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noted || f.base.ETag == "" || f.stale || f.frozen != nil || f.orphan.Load() {
		return 0, nil
	}
	drop := f.ext.Present.Clone()
	drop.RemoveSet(f.ext.Dirty)
	at := f.lastRead.Load()
	drop.Remove(max(0, at-fetchUnit), min(at, fetchUnit)+fetchUnit+f.c.cfg.ReadAhead)
	var gone extent.Set
	for _, r := range drop.Ranges() {
		from, to := (r.Off+blockSize-1)/blockSize*blockSize, r.End()/blockSize*blockSize
		to = min(to, from+max(n, fetchUnit)-gone.Len())
		if to = to / blockSize * blockSize; to > from {
			gone.Add(from, to-from)
		}
		if gone.Len() >= max(n, fetchUnit) {
			break
		}
	}
	if gone.Empty() {
		return 0, nil
	}
	loose := f.ext.Loose.Clone()
	f.ext.Present.RemoveSet(gone)
	f.ext.Loose.RemoveSet(gone)
	for _, r := range gone.Ranges() {
		f.sums.drop(r.Off, r.Len)
	}
	if err := f.store(f.c.db.Free, "punched"); err != nil {
		f.ext.Present.AddSet(gone)
		f.ext.Loose = loose
		return 0, err
	}
	f.since.RemoveSet(gone)
	before := f.blocks
	for _, r := range gone.Ranges() {
		if err := punch(f.fd, r.Off, r.Len); err != nil {
			return 0, err
		}
	}
	f.account()
	return before - f.blocks, nil
}

// reserve waits until n more bytes may be written to f. When only unsent data
// fills the cache the writer is slowed to the speed of the uploads, and waits
// while the bucket cannot be reached; ErrNoSpace if there is nothing but this
// file to be sent, or what S3 refuses, or nothing is sent for another reason.
func (c *Cache) reserve(ctx context.Context, f *file, n int64) error {
	if n == 0 || c.space.room(n) {
		return nil
	}
	c.space.waits.Add(1)
	defer c.space.waits.Add(-1)
	sent, since := c.progress(), time.Now()
	tick := time.NewTicker(spaceTick)
	defer tick.Stop()
	for !c.makeRoom(n) {
		var spared map[string]bool
		if time.Since(since) < openStall {
			spared = c.beingWritten()
		}
		if !c.queue.kickOthers(c.keyOfInode(f.ino), spared) {
			if c.makeRoom(n) { // the last of them has arrived meanwhile
				return nil
			}
			return ErrNoSpace
		}
		if now := c.progress(); now != sent || c.isSending() || c.net.state() == Offline {
			sent, since = now, time.Now()
		} else if time.Since(since) > stallLimit {
			return ErrNoSpace
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		case <-tick.C:
		}
	}
	return nil
}

// beingWritten returns the keys of the files that are open for writing: nobody
// is to see half a copy.
func (c *Cache) beingWritten() map[string]bool {
	var inos []Ino
	c.mu.RLock()
	for ino, f := range c.files {
		if f.isWritten() {
			inos = append(inos, ino)
		}
	}
	c.mu.RUnlock()
	keys := make(map[string]bool, len(inos))
	for _, ino := range inos {
		keys[c.keyOfInode(ino)] = true
	}
	return keys
}

// isSending reports whether any content is on its way: over a slow line that
// takes its time before progress shows it.
func (c *Cache) isSending() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.flying) > 0
}

// progress grows whenever something reached the bucket.
func (c *Cache) progress() int64 { return c.sent.Load() + c.queue.completed() + c.moved.Load() }

// keyOfInode returns where an inode's object belongs; empty if nowhere.
func (c *Cache) keyOfInode(ino Ino) (key string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.keyInJournal(ino)
}
