package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/moorfs/moorfs/cache/journal"
)

// ErrNeedsRecover says that a cache directory has no index that can be read.
var ErrNeedsRecover = errors.New("the index is damaged or gone; it is rebuilt by \"moorfs cache recover\", and by the next mount")

// An Unmounted is a cache directory that no daemon uses. What it does is the same
// as in a mount, without a bucket: nothing is sent or fetched, and the next
// mount finds what the last one left.
type Unmounted struct {
	*Cache
	start journal.Start
}

// OpenUnmounted takes a cache directory for this process. *BusyError: a daemon
// has it. ErrNeedsRecover: see Recover.
func OpenUnmounted(ctx context.Context, dir string, log *slog.Logger) (*Unmounted, error) {
	c, err := takeUnmounted(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	o := &Unmounted{Cache: c}
	if err = o.visit(); err == nil {
		return o, nil
	}
	if c.db != nil {
		err = errors.Join(err, c.db.Close())
	}
	return nil, errors.Join(err, c.lock.Close())
}

// takeUnmounted locks a directory that is one of a cache.
func takeUnmounted(ctx context.Context, dir string, log *slog.Logger) (*Cache, error) {
	switch _, err := os.Stat(filepath.Join(dir, "data")); {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	case err != nil:
		return nil, fmt.Errorf("%s is no cache directory: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	cfg := Config{Dir: dir, Log: log, Size: math.MaxInt64, DirMode: 0o755, Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	return newCache(ctx, cfg, lock), nil
}

func (o *Unmounted) visit() error {
	c := o.Cache
	cause, err := c.indexMissing()
	if err != nil || cause != nil {
		return errors.Join(err, cause, ErrNeedsRecover)
	}
	c.db, o.start, err = journal.Open(journal.Options{Dir: filepath.Join(c.cfg.Dir, "db"), Log: c.cfg.Log, Ballast: ballast, Visit: true})
	switch {
	case errors.Is(err, journal.ErrNone):
		return fmt.Errorf("%s holds nothing yet: %w", c.cfg.Dir, err)
	case errors.Is(err, journal.ErrDamaged):
		return errors.Join(err, ErrNeedsRecover)
	case err != nil:
		return err
	}
	c.reborn = !o.start.Clean && !o.start.SameBoot
	id := c.db.Identity()
	c.cfg.Endpoint, c.cfg.Bucket, c.cfg.Prefix = id.Endpoint, id.Bucket, id.Prefix
	return c.recoverSidecars()
}

// Close gives the directory up.
func (o *Unmounted) Close() error {
	c := o.Cache
	c.stop()
	errs := []error{c.refreshSidecars()}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		errs = append(errs, f.close())
	}
	errs = append(errs, c.sidecarLog.close(), c.db.Sync(), c.db.Close(), c.lock.Close())
	return errors.Join(errs...)
}

// Verify is Cache.Verify. After a power cut files with changes are not compared
// with their checksums: they may be newer. Without repair nothing is changed.
func (o *Unmounted) Verify(ctx context.Context, repair bool) (Report, error) {
	v := verifier{c: o.Cache, repair: repair, distrust: !o.start.Clean && !o.start.SameBoot}
	return v.run(ctx)
}

// A Recovery says what Recover did.
type Recovery struct {
	Rebuilt bool   `json:"rebuilt"`
	Cause   string `json:"cause,omitempty"` // why it was rebuilt
}

// Recover rebuilds the index of a cache directory that no daemon uses from its
// data files and sidecars, if it is damaged or gone. The old one stays aside.
func Recover(ctx context.Context, dir string, log *slog.Logger) (r Recovery, err error) {
	c, err := takeUnmounted(ctx, dir, log)
	if err != nil {
		return r, err
	}
	defer func() {
		c.stop()
		if c.db != nil {
			err = errors.Join(err, c.sidecarLog.close(), c.db.Close())
		}
		err = errors.Join(err, c.lock.Close())
	}()
	o := Unmounted{Cache: c}
	cause := o.visit()
	if !errors.Is(cause, ErrNeedsRecover) {
		return r, cause
	}
	id, found, err := readIdentity(dir)
	if err != nil {
		return r, err
	}
	if !found {
		return r, fmt.Errorf("nothing in %s says to which bucket it belongs: mount it with --cache-dir %s, which rebuilds the index, too", dir, dir)
	}
	c.cfg.Endpoint, c.cfg.Bucket, c.cfg.Prefix = id.Endpoint, id.Bucket, id.Prefix
	r = Recovery{Rebuilt: true, Cause: oneLine(cause)}
	if _, err := c.rebuild(cause); err != nil {
		return r, err
	}
	return r, errors.Join(c.recoverSidecars(), c.refreshSidecars(), c.db.Sync())
}
