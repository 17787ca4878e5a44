package cache

import (
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// atimeAge is after how long a read is noted even of what did not change.
const atimeAge = 24 * time.Hour

// accessDue reports whether a read now shall be noted: as the mount option
// relatime has it, if the access time does not say yet that somebody has read
// what is there, or is a day old.
func accessDue(t fileTimes) bool {
	return t.atime <= max(t.mtime, t.ctime) || time.Now().UnixNano()-t.atime >= int64(atimeAge)
}

func timesOf(rec *journal.Inode) fileTimes {
	return fileTimes{atime: rec.Atime, mtime: rec.Mtime, ctime: rec.Ctime}
}

// AccessDue reports whether the next read through this handle changes the
// access time. Only a read that is asked of the handle does: where this is
// true, what others keep of the file's content should not answer it.
func (h *Handle) AccessDue() bool {
	if h.mode.NoAtime || h.f.c.cfg.ReadOnly {
		return false
	}
	h.f.mu.RLock()
	defer h.f.mu.RUnlock()
	return accessDue(h.f.times)
}

// accessed notes a read. Access times stay here until something else of the
// file is sent: a bucket is not written to because it is read.
func (h *Handle) accessed() {
	if !h.AccessDue() {
		return
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	h.f.times.atime, h.f.times.accessed = time.Now().UnixNano(), true
}

// Accessed notes that a directory was read or a symbolic link followed.
func (c *Cache) Accessed(ino Ino) error {
	rec, err := c.record(ino)
	if err != nil || c.cfg.ReadOnly || !accessDue(timesOf(rec)) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("accessed", func(ch *change) error {
		rec, found, err := ch.Inode(ino)
		if err != nil || !found {
			return err
		}
		rec.Atime = ch.now
		return ch.PutInode(ino, rec)
	})
}
