package cache

import (
	"context"
	"errors"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"golang.org/x/sync/errgroup"
)

// ReadDir returns at most max names of a directory that come strictly after
// `after` in byte order; none: the end. With after == "" the directory is
// listed first if what is known is older than ListTTL. A name that exists
// during the whole of a reading is returned once.
func (c *Cache) ReadDir(ctx context.Context, dir Ino, after string, max int) ([]DirEntry, error) {
	if after == "" {
		if err := c.ensureListed(ctx, dir); err != nil {
			return nil, &Error{"read directory", c.pathOf(dir), err}
		}
	}
	entries, unknown, err := c.dirents(dir, after, max)
	if err != nil {
		return nil, &Error{"read directory", c.pathOf(dir), err}
	}
	if len(unknown) == 0 {
		return entries, nil
	}
	if err := c.learnAll(ctx, unknown); err != nil {
		return nil, &Error{"read directory", c.pathOf(dir), err}
	}
	entries, _, err = c.dirents(dir, after, max)
	return entries, err
}

// dirents reads names from the journal, and which of their inodes lack
// attributes.
func (c *Cache) dirents(dir Ino, after string, max int) (entries []DirEntry, unknown []Ino, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	err = c.view(func(tx *journal.Tx) error {
		return tx.Dirents(dir, after, func(name string, d journal.Dirent) error {
			entries = append(entries, DirEntry{Name: name, Ino: d.Ino, Kind: d.Kind})
			if c.cfg.Attrs == AttrsExact {
				if rec, found, err := tx.Inode(d.Ino); err != nil {
					return err
				} else if found && !rec.AttrsKnown {
					unknown = append(unknown, d.Ino)
				}
			}
			if len(entries) == max {
				return journal.Stop
			}
			return nil
		})
	})
	return entries, unknown, err
}

// ensureListed makes the names of a directory complete, as of at most ListTTL
// ago; without the bucket a complete older listing serves.
func (c *Cache) ensureListed(ctx context.Context, dir Ino) error {
	l, own, err := c.listingOf(dir)
	if err != nil || own || l.Complete && c.net.quiet() {
		return err
	}
	c.use(dir, c.pollInterval())
	changed, all, newest := c.in(dir)
	fresh := l.Complete && asked{listed: l.Begun}.fresher(c.cfg.ListTTL, all)
	switch {
	case fresh && len(changed) == 0:
		return nil
	case fresh && l.Big:
		err = c.askAll(ctx, dir, changed)
	default:
		err = c.listAsOf(ctx, dir, false, latest(newest, time.Now().Add(-c.cfg.ListTTL)))
	}
	if errors.Is(err, errMoved) {
		return c.ensureListed(ctx, dir)
	}
	if l.Complete && c.serveStale(err) {
		return nil
	}
	return err
}

// askAll brings single names of a large directory into step.
func (c *Cache) askAll(ctx context.Context, dir Ino, changed []string) error {
	var g errgroup.Group
	g.SetLimit(learnParallel)
	for _, name := range changed {
		g.Go(func() error {
			return c.guard.try("lookup", func() error {
				v, err := c.known(dir, name)
				if err != nil || v.settled {
					return err
				}
				return c.probeName(ctx, dir, name, v)
			})
		})
	}
	return g.Wait()
}

// Parent returns the directory that a directory lies in; the root is its own.
func (c *Cache) Parent(_ context.Context, dir Ino) (Ino, error) {
	rec, err := c.record(dir)
	if err != nil || dir == Root {
		return Root, err
	}
	return rec.Parent, nil
}

// Path returns the path of an inode below the mount, for messages: what is not
// known of it is "…".
func (c *Cache) Path(ino Ino) string { return c.pathOf(ino) }

// pathOf returns an inode's path below the mount, for people.
func (c *Cache) pathOf(ino Ino) string {
	path := ""
	for ino != Root && ino != 0 {
		rec, err := c.record(ino)
		if err != nil {
			return "…/" + path
		}
		if path == "" {
			path = rec.Name
		} else {
			path = rec.Name + "/" + path
		}
		ino = rec.Parent
	}
	return path
}
