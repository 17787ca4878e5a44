package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
	"golang.org/x/sync/errgroup"
)

const (
	// lookRest lies between two looks at directories: what is removed from one
	// name by name is one look, not many.
	lookRest  = 300 * time.Millisecond
	lookAtOne = 8 // requests for directories at a time
)

// looks are directories of which a notification says that they may have gone,
// or that their markers are others. Nobody may ask for them: the kernel believes
// in a directory for long, and to forget one that stays would take the working
// directory from under programs. So they are asked for in the background.
type looks struct {
	lookMu   sync.Mutex // a leaf
	lookDirs map[Ino]struct{}
	lookWake chan struct{}
}

// lookAt has a directory compared with the bucket, soon.
func (l *looks) lookAt(dir Ino) {
	l.lookMu.Lock()
	defer l.lookMu.Unlock()
	if l.lookDirs == nil {
		l.lookDirs = map[Ino]struct{}{}
	}
	l.lookDirs[dir] = struct{}{}
	select {
	case l.lookWake <- struct{}{}:
	default:
	}
}

func (l *looks) takeLooks() map[Ino]struct{} {
	l.lookMu.Lock()
	defer l.lookMu.Unlock()
	dirs := l.lookDirs
	l.lookDirs = nil
	return dirs
}

func (c *Cache) lookLoop() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.lookWake:
		}
		rest := lookRest
		if !c.lookAtAll(c.takeLooks()) {
			rest = probeMost
		}
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// lookAtAll reports whether the bucket has answered for all; those for which it
// has not stay.
func (c *Cache) lookAtAll(dirs map[Ino]struct{}) bool {
	var g errgroup.Group
	g.SetLimit(lookAtOne)
	for dir := range dirs {
		g.Go(func() error {
			err := c.guard.try("look", func() error { return c.look(dir) })
			if err == nil || errors.Is(err, ErrStale) || errors.Is(err, ErrNotExist) || c.ctx.Err() != nil {
				return nil
			}
			if c.serveStale(err) || errors.Is(err, errMoved) {
				c.lookAt(dir)
				return err
			}
			c.cfg.Log.Warn("cache: comparing a directory with the bucket", "path", c.pathOf(dir), "error", err)
			return nil
		})
	}
	return g.Wait() == nil
}

// look compares a directory with the bucket: whether it is there, and what its
// marker says.
func (c *Cache) look(dir Ino) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.listTimeout())
	defer cancel()
	if err := c.lookAtMarker(ctx, dir); err != nil {
		return err
	}
	rec, err := c.record(dir)
	if err != nil || dir == Root || rec.Parent == 0 || rec.Base.ETag != "" {
		return err
	}
	parent, name := rec.Parent, rec.Name
	v, err := c.known(parent, name)
	if err != nil || v.ino != dir {
		return err
	}
	if err := c.probeName(ctx, parent, name, v); err != nil {
		return err
	}
	if v, err = c.known(parent, name); err != nil || v.ino == dir {
		return err
	}
	return c.viewLocked(func(tx *journal.Tx) error {
		above, err := c.perhapsGone(tx, parent, nil)
		if above != 0 {
			c.lookAt(above)
		}
		return err
	})
}

// lookAtMarker learns anew what a directory's marker says.
func (c *Cache) lookAtMarker(ctx context.Context, dir Ino) error {
	rec, err := c.record(dir)
	if err != nil {
		return err
	}
	key := markerKey(rec)
	if key == "" || !hasObject(rec) || isAside(key) {
		return nil
	}
	began, done := c.listings.ask()
	defer done()
	o, err := c.remote().Head(ctx, key)
	if err != nil && s3backend.KindOf(err) != s3backend.NotFound {
		return fmt.Errorf("marker: %w", err)
	}
	changed := false
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.update("learnt", func(ch *change) error {
		now, found, err := ch.Inode(dir)
		if err != nil || !found || now.Base != rec.Base || now.State != journal.Clean {
			return err
		}
		if local, err := ch.local(key, dir, &journal.Inode{Kind: File, State: now.State}, began); err != nil || local {
			return err
		}
		if now.Base.ETag == o.ETag && !rewritten(now.Base, o.Modified) {
			return nil
		}
		changed = true
		now.Base, now.AttrsKnown = baseOf(o), o.ETag == ""
		return ch.PutInode(dir, now)
	})
	if err == nil && changed {
		c.kernel.ContentChanged(dir)
	}
	return err
}
