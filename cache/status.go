package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	drainStall = 60 * time.Second // a drain ends when nothing moved for so long
	tellEvery  = 200 * time.Millisecond
	workShown  = 100
)

// Unfinished says what a drain or flush left: it is queued, and safe in Dir.
type Unfinished struct {
	Progress
	Dir string
}

func (e *Unfinished) Error() string {
	s := fmt.Sprintf("%d files (%d bytes) are not yet in the bucket; they are queued and safe in %s", e.Files, e.Bytes, e.Dir)
	if e.Progress.Error != "" {
		s += ": " + e.Progress.Error
	}
	return s
}

// stateOf says in a few words what must still happen to an inode.
func (c *Cache) stateOf(ino Ino, rec *journal.Inode) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	state, parked := "dirty", ""
	if rec.State == journal.Clean || rec.State == journal.Armed {
		state = "synced"
	}
	err := c.view(func(tx *journal.Tx) error {
		err := tx.Conflicts(func(_ int64, of Ino, x journal.Conflict) error {
			if of == ino {
				parked = fmt.Sprintf("conflict: changed here while others changed %q; ", x.Old)
			}
			return nil
		})
		if err != nil || state == "synced" {
			return err
		}
		key, err := keyOf(tx, rec)
		if err != nil || key == "" {
			return err
		}
		r, found, err := tx.Row(key)
		if err != nil || !found {
			return err
		}
		u, _, uploading, err := tx.Upload(key)
		switch {
		case err != nil:
		case strings.HasPrefix(r.Error, baseLost):
			state = r.Error
		case r.Progress == journal.Refusing:
			state = "failed: " + r.Error
		case r.Progress == journal.Running && uploading && rec.Size > 0:
			var sent int64
			for _, p := range u.Parts {
				sent += p.Size
			}
			state = fmt.Sprintf("uploading %d %%", 100*sent/rec.Size)
		case r.Progress == journal.Running:
			state = "uploading"
		case r.Error != "":
			state = "waiting: " + r.Error
		}
		return err
	})
	if err != nil {
		return "unknown: " + oneLine(err)
	}
	return parked + state
}

// Status returns a snapshot for people and scripts.
func (c *Cache) Status() Status {
	q := c.queue.stats.Load()
	s := Status{Bucket: c.cfg.Bucket, Prefix: c.cfg.Prefix, CacheDir: c.cfg.Dir, CacheBytes: c.space.used.Load(), CacheLimit: c.cfg.Size,
		DirtyBytes: q.bytes, Queued: q.queued, Running: q.running, Refused: q.refused, Uploaded: c.sent.Load(), Network: c.net.snapshot(), LastError: q.failure}
	s.Waiting, s.DiskLow = int(c.space.waits.Load()), c.space.low.Load()
	s.DiskError = c.disk.state()
	s.Scrub.Checked = c.activity.scrubbed.Load()
	s.Scrub.Again, s.Scrub.Lost = c.damage.counts()
	c.mu.RLock()
	defer c.mu.RUnlock()
	err := c.view(func(tx *journal.Tx) (confErr error) {
		err := errors.Join(c.movesAtWork(tx, &s), c.rowsAtWork(tx, &s))
		s.Conflicts, confErr = c.conflictsIn(tx)
		return errors.Join(err, confErr)
	})
	if err != nil {
		s.LastError = oneLine(err)
	}
	return s
}

func (c *Cache) rowsAtWork(tx *journal.Tx, s *Status) error {
	return tx.Rows("", func(key string, r *journal.Row) error {
		if len(s.Work) >= workShown {
			return journal.Stop
		}
		w := WorkInfo{Key: key, State: rowState(r), Since: time.Unix(0, r.Since)}
		rec, found, err := tx.Inode(r.Ino)
		if err != nil {
			return err
		}
		if found {
			w.Size = rec.Size
		}
		if isAside(key) {
			if w.Key, err = c.finalKey(tx, r.Ino, rec); err != nil {
				return err
			}
		}
		s.Work = append(s.Work, w)
		return nil
	})
}

// finalKey is the key that an inode's object will have once all moves have
// ended.
func (c *Cache) finalKey(tx *journal.Tx, ino Ino, rec *journal.Inode) (string, error) {
	if rec == nil {
		return "", nil
	}
	if rec.Kind == Dir {
		return c.finalPrefix(tx, ino, rec)
	}
	dir, found, err := tx.Inode(rec.Parent)
	if err != nil || !found {
		return "", errors.Join(err, ErrStale)
	}
	prefix, err := c.finalPrefix(tx, rec.Parent, dir)
	if err != nil {
		return "", err
	}
	return childKey(prefix, rec.Name, rec.Kind)
}

// movesAtWork lists the directories whose objects are still to follow a rename.
func (c *Cache) movesAtWork(tx *journal.Tx, s *Status) error {
	return tx.Moves(func(dir Ino, m journal.Move) error {
		if len(s.Work) >= workShown {
			return journal.Stop
		}
		rec, found, err := tx.Inode(dir)
		if err != nil || !found {
			return err
		}
		w := WorkInfo{State: "rename: queued", Since: time.Unix(0, m.Since)}
		if m.Error != "" {
			w.State = "rename: waiting: " + m.Error
		}
		w.Key, err = c.finalPrefix(tx, dir, rec)
		s.Work = append(s.Work, w)
		return err
	})
}

func rowState(r *journal.Row) string {
	what := "upload"
	if r.Want == journal.WantAbsent {
		what = "delete"
	}
	switch {
	case r.Progress == journal.Running:
		return what + ": running"
	case r.Error != "" && r.Progress == journal.Refusing:
		return what + ": failed: " + r.Error
	case r.Error != "":
		return what + ": waiting: " + r.Error
	}
	return what + ": queued"
}

// Drain brings everything to the bucket now. nil: nothing is queued any more.
// *Unfinished: ctx ended, nothing has moved for 60 s, or only work that S3
// refuses is left; what is left is safe. tell (may be nil) is called now and
// then from the calling goroutine.
func (c *Cache) Drain(ctx context.Context, tell func(Progress)) error {
	if err := c.saveAll(); err != nil {
		return err
	}
	for {
		w := c.queue.waitFor(nil)
		err := c.await(ctx, w, tell)
		if s := c.queue.stats.Load(); err != nil || s.queued == 0 || s.queued == s.refused {
			if err == nil && w.failure != "" {
				err = &Unfinished{c.left(w.failure), c.cfg.Dir}
			}
			return err
		}
	}
}

// FlushPath brings a file, or all below a directory, to the bucket. Errors as
// Drain; a refusal is returned as what S3 said.
func (c *Cache) FlushPath(ctx context.Context, path string, tell func(Progress)) error {
	ino := Root
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		next, err := c.resolve(ctx, ino, name)
		if err != nil {
			return &Error{"flush", path, err}
		}
		ino = next
	}
	rec, err := c.record(ino)
	if err != nil {
		return &Error{"flush", path, err}
	}
	if rec.Kind != Dir {
		return c.flushInode(ctx, ino)
	}
	if err := c.saveAll(); err != nil {
		return err
	}
	if err := c.awaitMoves(ctx, ino, tell); err != nil {
		return err
	}
	if rec, err = c.record(ino); err != nil {
		return err
	}
	var keys []string
	err = c.view(func(tx *journal.Tx) error {
		return tx.Rows(rec.Prefix, func(key string, _ *journal.Row) error {
			keys = append(keys, key)
			return nil
		})
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	w := c.queue.waitFor(keys)
	if err := c.await(ctx, w, tell); err != nil {
		return err
	}
	if w.failure != "" {
		return &Error{"flush", path, errors.New(w.failure)}
	}
	return nil
}

// saveLive is save for a file that is in use.
func (c *Cache) saveLive(ino Ino) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.files[ino]; f != nil {
		return c.saveLocked(f, false)
	}
	return nil
}

// flushInode brings one file to the bucket and returns what S3 said if it
// refused.
func (c *Cache) flushInode(ctx context.Context, ino Ino) error {
	err := c.saveLive(ino)
	if err == nil {
		err = c.awaitMoves(ctx, ino, nil)
	}
	key := c.keyOfInode(ino)
	if err != nil || key == "" {
		return err
	}
	w := c.queue.waitFor([]string{key})
	if err := c.await(ctx, w, nil); err != nil {
		if c.net.state() == Offline {
			return &s3backend.Error{Op: "flush", Key: key, Kind: s3backend.Offline, Err: err}
		}
		return err
	}
	if w.failure == "" {
		return c.syncJournal() // else a power cut brings back that it is to be sent
	}
	return c.refused("flush", []string{key}, w.failure)
}
