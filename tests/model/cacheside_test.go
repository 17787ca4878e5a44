package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing/synctest"
	"time"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A cacheSide is a machine that uses a cache directly, as package fs does.
type cacheSide struct {
	*cache.Cache
	cfg    cache.Config
	dir    string // where the cache directories of its lives lie
	lives  int
	owner  attr // of what it makes
	faults *remotetest.Faults
	gate   *gate
	open   [handles]*cache.Handle
}

const (
	prefix    = "p/"
	partSize  = 64 << 10
	smallSize = 1 << 20
	slow      = time.Hour
)

// noKernel is told what a kernel would have to forget.
type noKernel struct{}

func (noKernel) EntryGone(cache.Ino, string) {}
func (noKernel) ContentChanged(cache.Ino)    {}

func newCacheSide(s settings, mem *remotetest.Memory, name party, dir string) (*cacheSide, error) {
	side := &cacheSide{dir: filepath.Join(dir, string(name)), owner: s.owner(), faults: remotetest.NewFaults(mem)}
	side.cfg = cache.Config{Endpoint: "memory", Bucket: "bucket", Prefix: prefix, Host: string(name), Log: slog.New(slog.DiscardHandler),
		Size: 1 << 30, WriteBack: slow, WriteBackMax: slow, OpenRest: slow, Durability: cache.DurableLocal,
		AttrTTL: s.ttl, ListTTL: s.ttl, NegativeTTL: s.ttl, Attrs: cache.AttrsExact,
		Uid: others.uid, Gid: others.gid, FileMode: others.mode, DirMode: othersDir, Xattrs: true,
		MaxUploads: 4, MaxDownloads: 4, PartSize: partSize, ReadAhead: 64 << 10, ReadTimeout: 10 * time.Second}
	if s.small {
		side.cfg.Size = smallSize
	}
	if s.one {
		side.cfg.MaxUploads = 1
	}
	if s.list {
		side.cfg.Attrs = cache.AttrsList
	}
	if s.bucket {
		side.cfg.Durability = cache.DurableBucket
	}
	if s.eager {
		side.cfg.WriteBack, side.cfg.WriteBackMax = 0, 0
	}
	if os.Getenv("MODEL_LOG") != "" {
		side.cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("machine", string(name))
	}
	return side, side.start(filepath.Join(side.dir, "0"))
}

func (c *cacheSide) start(dir string) (err error) {
	c.gate = newGate(c.faults)
	c.cfg.Remote, c.cfg.Dir = c.gate, dir
	if c.Cache, err = cache.Open(context.Background(), c.cfg); err != nil {
		return err
	}
	c.Cache.Start(noKernel{})
	return nil
}

// remount closes the cache and opens it again.
func (c *cacheSide) remount() error {
	c.closeHandles()
	if err := c.Cache.Close(); err != nil {
		return err
	}
	return c.start(c.cfg.Dir)
}

// evict gives up all bytes that are in the bucket.
func (c *cacheSide) evict() error {
	size := c.cfg.Size
	c.cfg.Size = 0
	if err := c.remount(); err != nil {
		return err
	}
	time.Sleep(time.Second) // the cache looks at its size now and then
	c.cfg.Size = size
	return c.remount()
}

// crash kills the process and goes on with what it left on its disk.
func (c *cacheSide) crash() error {
	close(c.gate.killed)
	synctest.Wait() // for what is under way between the process and its disk
	c.lives++
	next := filepath.Join(c.dir, fmt.Sprint(c.lives))
	err := copyDir(next, c.cfg.Dir)
	close(c.gate.over)
	if err != nil {
		return err
	}
	dead, old := c.Cache, c.cfg.Dir
	c.closeHandles()
	if err := errors.Join(dead.Close(), os.RemoveAll(old)); err != nil {
		return fmt.Errorf("clearing the dead process away: %w", err)
	}
	return c.start(next)
}

// closeHandles ends the handles as the kernel does when their process ends.
func (c *cacheSide) closeHandles() {
	for i, h := range c.open {
		if h != nil {
			h.Release()
			c.open[i] = nil
		}
	}
}

// flush brings everything to the bucket, as far as that goes now.
func (c *cacheSide) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := c.Cache.Drain(ctx, nil)
	if left := (*cache.Unfinished)(nil); errors.As(err, &left) {
		return nil
	}
	return err
}

func (c *cacheSide) queued() string {
	s := c.Cache.Status()
	if s.Queued == 0 && len(s.Work) == 0 {
		return ""
	}
	return fmt.Sprintf("%d queued, last error %q: %+v", s.Queued, s.LastError, s.Work)
}

// network takes the way to the bucket away and gives it back, heals it, or
// makes the next request of a kind fail or stall.
func (c *cacheSide) network(what string) {
	switch what {
	case "offline", "online":
		c.faults.Offline(what == "offline")
		return
	case "heal":
		c.faults.Heal()
		c.gate.release()
		return
	}
	kind, when, _ := strings.Cut(what, " ")
	whens := map[string]remotetest.When{"before": remotetest.Before, "midway": remotetest.Midway, "after": remotetest.After}
	if w, ok := whens[when]; ok {
		c.faults.Fail(remotetest.Fault{Op: kind, Kind: s3backend.Busy, When: w})
		return
	}
	c.gate.arm(what)
}

func (c *cacheSide) close() error {
	c.network("heal")
	c.closeHandles()
	return c.Cache.Close()
}

// errorNames names what the cache's errors are to a program.
var errorNames = []struct {
	err  error
	name string
}{
	{cache.ErrNotExist, "ENOENT"}, {cache.ErrExist, "EEXIST"}, {cache.ErrNotDir, "ENOTDIR"}, {cache.ErrIsDir, "EISDIR"},
	{cache.ErrNotEmpty, "ENOTEMPTY"}, {cache.ErrStale, "ESTALE"}, {cache.ErrNoSpace, "ENOSPC"},
	{cache.ErrNameTooLong, "ENAMETOOLONG"}, {cache.ErrInvalid, "EINVAL"}, {cache.ErrNoAttr, "ENODATA"}, {cache.ErrPermission, "EPERM"},
	{context.DeadlineExceeded, unreachable},
}

// unreachable is the error of an operation that needs a bucket out of reach.
const unreachable = "ETIMEDOUT"

func nameOf(err error) string {
	if err == nil {
		return ""
	}
	for _, e := range errorNames {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	if k := s3backend.KindOf(err); k == s3backend.Offline || k == s3backend.Busy {
		return unreachable
	}
	if left := (*cache.Unfinished)(nil); errors.As(err, &left) {
		return unreachable
	}
	return err.Error()
}

// copyDir copies a directory as a crash leaves it.
func copyDir(to, from string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || rel == "ballast" || d.Name() == "control.sock" {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return copySparse(filepath.Join(to, rel), path)
	})
}

// copySparse copies a file without the zeros of its holes.
func copySparse(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	const block = 4096
	zeros := make([]byte, block)
	for off := 0; off < len(data) && err == nil; off += block {
		if b := data[off:min(off+block, len(data))]; !bytes.Equal(b, zeros[:len(b)]) {
			_, err = f.WriteAt(b, int64(off))
		}
	}
	return errors.Join(err, f.Truncate(int64(len(data))), f.Close())
}
