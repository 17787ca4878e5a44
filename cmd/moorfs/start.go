package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/fs"
	"github.com/moorfs/moorfs/s3backend"
)

// A mountRequest is a mount that somebody asked for.
type mountRequest struct {
	src   source
	dir   string
	set   settings
	flags mountFlags
}

// A mounting is a mount that comes about: each step adds what it made and
// how to take it back.
type mounting struct {
	req    mountRequest
	ready  *readiness
	log    *slog.Logger
	reg    registration
	client *s3backend.Client
	probed s3backend.Options
	cache  *cache.Cache
	server *fs.Server
	events eventSource  // nil: none
	web    net.Listener // of --http; nil: none
	undo   undoStack

	unreachable    error // why the bucket could not be reached; nil: it was
	limit, minFree int64 // of the cache
}

// startMount does everything until the mount answers. When it fails nothing
// is left behind.
func startMount(ctx context.Context, req mountRequest, ready *readiness) (*live, error) {
	m := &mounting{req: req, ready: ready}
	l, err := m.start(ctx)
	if err != nil {
		return nil, errors.Join(err, m.undo.run(true))
	}
	return l, nil
}

func (m *mounting) start(ctx context.Context) (*live, error) {
	unix.Umask(0o077)
	if err := m.place(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{m.openCacheDir, m.reachBucket, m.openCache, m.knowBucket, m.selfCheck, m.probe,
		m.openEvents, m.listenHTTP, m.mount, m.followEvents} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	l := newLive(m)
	if err := m.announce(l); err != nil {
		return nil, err
	}
	m.warnOfIdleCaches()
	return l, nil
}

// place finds out where the mount and its cache are to be, and whether they
// can be there.
func (m *mounting) place() error {
	dir, err := resolveDir(m.req.dir)
	if err != nil {
		return fmt.Errorf("mountpoint: %w", err)
	}
	if err := endUndead(func(m registration) bool { return m.Mountpoint == dir }); err != nil {
		return fmt.Errorf("mountpoint: %w", err)
	}
	if err := fs.CheckMountpoint(m.fsOptions(dir)); err != nil {
		return err
	}
	cacheDir, err := cacheDirOf(m.req.src, m.req.set)
	if err != nil {
		return err
	}
	if within(cacheDir, dir) || within(dir, cacheDir) {
		return fmt.Errorf("the cache %s and the mountpoint %s must not lie within each other", cacheDir, dir)
	}
	if log := logName(m.req.set, cacheDir); log != "" && within(log, dir) {
		return fmt.Errorf("the log %s and the mountpoint %s must not lie within each other: the mount would hide it", log, dir)
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return err
	}
	m.reg = registration{
		Pid: os.Getpid(), Start: start, Since: time.Now().Truncate(time.Second), Mountpoint: dir, Source: m.req.src.String(),
		Endpoint: endpointOf(m.req.set), CacheDir: cacheDir, Socket: socketName(cacheDir),
		ReadOnly: m.req.set.on("read-only"), Version: version(),
	}
	return nil
}

// openCacheDir makes the cache directory and opens the log in it.
func (m *mounting) openCacheDir(context.Context) error {
	dir := m.reg.CacheDir
	top, err := makeDir(dir)
	if err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	if top != "" {
		m.undo.push(onFailure, func() error { return removeMade(dir, top) })
	}
	out := os.Stderr
	if name := logName(m.req.set, dir); name != "" {
		if out, err = openLog(name); err != nil {
			return err
		}
		m.undo.push(always, out.Close)
	}
	m.log = newLogger(out, m.req.set)
	m.log.Info("starting", "version", version(), "source", m.reg.Source, "mountpoint", m.reg.Mountpoint, "cache", dir)
	if !isSameFile(out, os.Stderr) && m.ready.pipe != nil {
		return redirectOutput(out)
	}
	return nil
}

// redirectOutput lets everything that is written to stdout and stderr, as a
// crash, go to the log: the parent's terminal is not ours for long.
func redirectOutput(log *os.File) error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return fmt.Errorf("log file: %w", err)
		}
	}
	return os.Chdir("/") // keep no directory of the caller busy
}

func isSameFile(a, b *os.File) bool { return a.Fd() == b.Fd() }

// reachBucket makes the S3 client and asks for the bucket. Without network it
// is left to knowBucket what becomes of the mount.
func (m *mounting) reachBucket(ctx context.Context) error {
	o, err := clientOptions(m.req.src, m.req.set, m.log)
	if err != nil {
		return err
	}
	index, err := ownCacheIndex()
	if err != nil {
		return err
	}
	earlier, err := index.find(m.reg.CacheDir)
	if errors.Is(err, errDamaged) {
		m.log.Warn("what was noted of this cache is lost; the mount notes it anew", "error", err)
	} else if err != nil {
		return err
	}
	o.KnownRegion = earlier.Region
	m.probed = o
	if m.client, err = s3backend.New(ctx, o); err != nil {
		return err
	}
	if earlier.Source != "" { // there may be a cache to go on with
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(s3backend.Probing(ctx), reachLimit)
		defer cancel()
	}
	err = m.client.Check(ctx, m.req.src.prefix) // once: the network's return is noticed later, too
	if s3backend.KindOf(err) == s3backend.Offline || errors.Is(err, context.DeadlineExceeded) {
		m.unreachable = err
		return nil
	}
	return err
}

// reachLimit bounds the wait for the bucket where a cache can do without.
const reachLimit = 10 * time.Second

// reachedNote is what a cache remembers of a bucket that answered.
const reachedNote = "reached"

// knowBucket lets a mount go on without network if its cache has been mounted
// before.
func (m *mounting) knowBucket(context.Context) error {
	if m.unreachable == nil {
		return m.cache.SetNote(reachedNote, []byte(time.Now().Format(time.RFC3339)))
	}
	_, reached, err := m.cache.Note(reachedNote)
	if err != nil {
		return err
	}
	if !reached {
		return m.unreachable
	}
	return m.ready.warn("mounted without network: what is cached can be read, what is written is sent when the bucket answers: " + oneLine(m.unreachable))
}

// openCache takes the cache. A daemon that only sends what is left of a mount
// that was taken away from under it makes room.
func (m *mounting) openCache(ctx context.Context) error {
	cfg, err := cacheConfig(m.req.src, m.req.set, m.reg.CacheDir)
	if err != nil {
		return err
	}
	m.limit, m.minFree = cfg.Size, cfg.MinFree
	cfg.Remote, cfg.Log, cfg.Unreachable = m.client, m.log, m.unreachable
	cfg.Endpoint = strings.TrimSuffix(m.client.Endpoint(), "/") // the profile may name one, too
	m.cache, err = cache.Open(ctx, cfg)
	if busy := new(cache.BusyError); errors.As(err, &busy) {
		if err := takeOver(ctx, busy); err != nil {
			return inUse(err)
		}
		m.cache, err = cache.Open(ctx, cfg)
	}
	if err != nil {
		return err
	}
	m.undo.push(always, m.cache.Close)
	return nil
}

// takeOver ends the daemon that holds a cache, if its mount is gone or it was
// killed.
func takeOver(ctx context.Context, busy *cache.BusyError) error {
	if isDying(busy.Pid) {
		return endUndead(func(m registration) bool { return m.Pid == busy.Pid && m.CacheDir == busy.Dir })
	}
	running, err := mountsHere()
	if err != nil {
		return err
	}
	for _, r := range running {
		if r.Pid != busy.Pid || r.CacheDir != busy.Dir {
			continue
		}
		at, mounted, err := mountAt(r.Mountpoint)
		if err != nil || mounted && at.source == r.Source {
			break
		}
		if _, err := ask(ctx, r.Socket, request{Op: opStop, Timeout: time.Nanosecond}, nil); err != nil && !errors.As(err, new(*leftover)) {
			return errors.Join(busy, err)
		}
		if _, err := waitExit(r.Pid, r.Start, 30*time.Second); err != nil {
			return errors.Join(busy, err)
		}
		return nil
	}
	return busy
}

// makeDir makes dir, mode 0700, and returns the topmost directory it had to
// make, empty if all were there.
func makeDir(dir string) (top string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			break
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		top = d
	}
	return top, os.MkdirAll(dir, 0o700)
}

// removeMade takes back makeDir. The cache in dir was closed; if another
// process has taken it meanwhile it stays.
func removeMade(dir, top string) (err error) {
	lock, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for d := dir; d != top; {
		d = filepath.Dir(d)
		if err := os.Remove(d); err != nil {
			return nil // somebody uses it
		}
	}
	return nil
}
