package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// runLocalize fetches what an inode has only at a key that is wanted for
// something else. If it cannot be fetched for good, readers get ErrStale.
func (c *Cache) runLocalize(ctx context.Context, j *job) outcome {
	if j.f == nil {
		return c.runLocalizeDir(ctx, j)
	}
	err := c.guard.try("fetch of "+j.key, func() error {
		if err := c.learnBeforeEdit(ctx, j.rec); err != nil {
			return err
		}
		return c.localize(ctx, j.f)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		j.f.users.Add(-1)
		if err := c.drop(j.f); err != nil {
			c.cfg.Log.Error("cache: closing a data file", "inode", j.f.ino, "error", err)
		}
	}()
	lost := errors.Is(err, ErrStale) || errors.Is(err, ErrNoSpace) && j.f.orphan.Load()
	if lost {
		err = nil
	}
	j.f.mu.Lock()
	defer j.f.mu.Unlock()
	return c.endLocalize(j, err, func(ch *change) error { return ch.localized(j, j.key) })
}

// endLocalize records what came of a job that fetches: by record if it did not
// fail, else why it did.
func (c *Cache) endLocalize(j *job, cause error, record func(*change) error) (out outcome) {
	err := c.update("localized", func(ch *change) error {
		ch.own = j.key
		r, found, err := ch.Row(j.key)
		if err != nil || !found {
			return err
		}
		if cause != nil {
			out, err = ch.putOff(j.key, r, cause, "cache: what another file is to replace cannot be fetched yet; queued")
			return err
		}
		out = outcome{due: time.Now()}
		return record(ch)
	})
	if err != nil {
		out = outcome{due: time.Now().Add(retryFirst), failure: oneLine(err)}
	}
	return out
}

// getAway makes a file's content independent of the object at the key that it
// had before: where keys are paths that object may be in the way of the names
// that hold up the file's own.
func (c *Cache) getAway(ctx context.Context, j *job) error {
	if err := errors.Join(c.learnBeforeEdit(ctx, j.rec), c.localize(ctx, j.f)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	j.f.mu.Lock()
	defer j.f.mu.Unlock()
	return c.update("localized", func(ch *change) error { return ch.localized(j, j.rec.At) })
}

// localized records that the content of the job's file, whose object is at
// key, is all here and dirty. The file's lock is held.
func (ch *change) localized(j *job, key string) error {
	f, ino := j.f, j.f.ino
	rec, found, err := ch.Inode(ino)
	if err != nil || !found {
		return err
	}
	if rec.At != key { // it found its own key meanwhile
		return ch.release(key, ino)
	}
	e := f.extents()
	if f.whole() {
		if !rec.AttrsKnown && j.rec.AttrsKnown {
			keepLearnt(rec, j.rec)
		}
		e.Dirty = extent.New(extent.Range{Off: 0, Len: f.size})
		rec.Base, rec.At = journal.Base{}, ""
		rec.Changed |= journal.ChangedData
		ch.committed(func() {
			f.ext.Dirty = e.Dirty
			f.base, f.at = journal.Base{}, ""
		})
	}
	err = ch.putExtents(f, e)
	if err := errors.Join(err, ch.PutInode(ino, rec), ch.release(key, ino)); err != nil {
		return fmt.Errorf("localize inode %d: %w", ino, err)
	}
	return nil
}

// markerMost bounds the body of a marker that is kept here for a while.
const markerMost = 256 << 10

// runLocalizeDir is runLocalize of a directory's marker, with the attributes
// and the body that others may have given it.
func (c *Cache) runLocalizeDir(ctx context.Context, j *job) outcome {
	body, err := c.fetchMarker(ctx, j.rec)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endLocalize(j, err, func(ch *change) error { return ch.localizedDir(j, body) })
}

// fetchMarker completes rec with what its marker says, and returns the body of
// one that has any; what has vanished is of no interest.
func (c *Cache) fetchMarker(ctx context.Context, rec *journal.Inode) (string, error) {
	if err := c.learnBeforeEdit(ctx, rec); err != nil || rec.Base.Size == 0 {
		return "", err
	}
	if rec.Base.Size > markerMost {
		return "", fmt.Errorf("the marker %q holds %d bytes; move it by hand", rec.At, rec.Base.Size)
	}
	body := make([]byte, rec.Base.Size)
	_, err := c.readBaseContext(ctx, wanted{p: body}, objectAt{rec.Base, rec.At})
	if errors.Is(err, ErrStale) {
		return "", nil
	}
	return string(body), err
}

func (ch *change) localizedDir(j *job, body string) error {
	ino := j.row.Holder
	rec, found, err := ch.Inode(ino)
	if err != nil || !found {
		return err
	}
	if rec.At != j.key {
		return ch.release(j.key, ino)
	}
	if !rec.AttrsKnown && j.rec.AttrsKnown {
		keepLearnt(rec, j.rec)
	}
	rec.Base, rec.At, rec.Target = journal.Base{}, "", body
	rec.Changed |= journal.ChangedData
	return errors.Join(ch.PutInode(ino, rec), ch.release(j.key, ino))
}
