package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// syncInterval bounds what a power cut can take from files that were closed
// but not fsynced, as a local filesystem's commit interval does.
const syncInterval = 5 * time.Second

// A Cache is the local side of one mounted prefix. All methods may be called
// concurrently. Times of the caller's context bound every wait for the bucket.
type Cache struct {
	// Set by Open and Start.
	cfg    Config
	db     *journal.DB
	kernel Kernel
	queue  *queue
	space  *space
	fresh  *freshness
	net    *network
	origin
	lifetime

	// Each guards itself.
	reaper
	lingering
	condemned
	ordered
	sidecars
	news
	looks
	watches
	damage    damageCount
	disk      diskHealth
	unwritten sync.Map // of Ino: the last fdatasync of its data file failed
	activity  activity
	listings  listings
	subdirs   subdirs
	sent      atomic.Int64  // bytes uploaded
	moved     atomic.Int64  // steps of moves of directories
	downloads chan struct{} // a place for each request that brings content

	// mu guards names, inode records, rows and files. Order: ordered.turns → mu → file.mu →
	// journal transaction, space, freshness. Never held for a data file's
	// bytes or the network.
	mu     sync.RWMutex
	files  map[Ino]*file
	flying map[Ino]bool // being sent
	moves  moves
	claims map[string]chan struct{} // keys that the bucket is being asked for; closed when it has answered
	parked conflicted               // conflicts that nobody has decided
	doubt  map[string]time.Time     // keys to which a request went that nobody answered, and when
}

// An origin says what a cache was opened from.
type origin struct {
	lock    *os.File // flocked: this process owns the directory
	boot    string   // id of the kernel's boot
	opened  time.Time
	session string   // begins the nonces of this process …
	before  []string // … and of earlier ones on this cache, the newest first
	crashed bool     // the process before this one did not close the cache
	reborn  bool     // and the kernel has gone with it: what the journal says of the bucket may be older than what was done there
}

// A lifetime ends with the cache.
type lifetime struct {
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup // of goroutines
	guard   guard          // of what they do
}

// Open takes the cache directory for this process, recovers what an earlier
// one left and returns the cache; nothing is sent before Start. A directory
// owned by another process gives *BusyError.
func Open(ctx context.Context, cfg Config) (*Cache, error) {
	for _, d := range []string{cfg.Dir, filepath.Join(cfg.Dir, "data"), filepath.Join(cfg.Dir, "snap")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("cache directory: %w", err)
		}
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	c := newCache(ctx, cfg, lock)
	if err := c.recover(); err != nil {
		c.stop()
		if c.db != nil {
			err = errors.Join(err, c.db.Close())
		}
		return nil, errors.Join(err, lock.Close())
	}
	return c, nil
}

// newCache returns a cache without a journal; it owns lock.
func newCache(ctx context.Context, cfg Config, lock *os.File) *Cache {
	c := &Cache{cfg: cfg, kernel: noKernel{}, files: map[Ino]*file{}, flying: map[Ino]bool{}, moves: newMoves(), claims: map[string]chan struct{}{}, parked: conflicted{}, doubt: map[string]time.Time{}}
	c.origin = origin{lock: lock, boot: cmp.Or(cfg.Boot, journal.BootID()), opened: time.Now()}
	c.guard.log, c.disk.log, c.disk.wake = cfg.Log, cfg.Log, make(chan struct{}, 1)
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.space, c.fresh = newSpace(cfg.Size), newFreshness()
	c.net = newNetwork(cfg.Log, c.probe)
	if r, ok := cfg.Remote.(interface{ OnTrouble(func(error)) }); ok {
		r.OnTrouble(c.net.hint)
	}
	c.downloads = make(chan struct{}, max(cfg.MaxDownloads, 1))
	c.reapWake = make(chan struct{}, 1)
	c.lookWake = make(chan struct{}, 1)
	c.sidecarLog.dir = cfg.Dir
	c.listings.running = map[Ino]*listing{}
	c.queue = newQueue(c.ctx, c.flushKeys, cfg.MaxUploads)
	c.queue.guard = &c.guard
	c.net.tell = func() { c.queue.do(func() { c.queue.reachable(c.net.state() != Offline) }) }
	return c
}

// Start attaches the kernel's side and begins to bring the bucket into step.
func (c *Cache) Start(k Kernel) {
	c.kernel = k
	if c.cfg.Unreachable != nil {
		c.net.take(silent, c.cfg.Unreachable)
	}
	loops := map[string]func(){"network": func() { c.net.loop(c.ctx) }, "queue": c.queue.run, "sync": c.syncLoop, "space": c.spaceLoop,
		"reap": c.reapLoop, "linger": c.lingerLoop, "look": c.lookLoop, "poll": c.pollLoop, "scrub": c.scrubLoop}
	for name, loop := range loops {
		c.running.Go(func() { c.keepGoing(name, loop) })
	}
}

// Close stops all work, makes the cache durable and releases it. What is not
// yet in the bucket stays queued on disk.
func (c *Cache) Close() error {
	c.stop()
	c.running.Wait()
	c.queue.wait()
	errs := []error{c.syncData()}
	c.removeCondemned()
	errs = append(errs, c.refreshSidecars())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		errs = append(errs, f.close())
	}
	errs = append(errs, c.sidecarLog.close())
	errs = append(errs, c.db.Sync(), c.db.Close(), c.lock.Close())
	return errors.Join(errs...)
}

// Note returns a small fact that SetNote kept, as the results of a probe.
func (c *Cache) Note(name string) (value []byte, found bool, err error) {
	err = c.db.View(func(tx *journal.Tx) error {
		value, found, err = tx.Note(name)
		return err
	})
	return value, found, err
}

// SetNote keeps a small fact beyond this mount.
func (c *Cache) SetNote(name string, value []byte) error {
	return c.db.Update("noted", func(tx *journal.Tx) error { return tx.PutNote(name, value) })
}

// syncLoop makes durable, every syncInterval, what was closed without fsync.
func (c *Cache) syncLoop() {
	tick, naps := time.NewTicker(syncInterval), newNapWatch(sleptSinceBoot)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.disk.wake:
			tick.Reset(diskLook)
			continue
		case <-tick.C:
		}
		if naps.woke() {
			c.DoubtAll()
		}
		if err := c.keepDurable(); err != nil && !c.disk.failed(err) {
			c.cfg.Log.Error("cache: cannot make changes durable", "error", err)
		}
		if c.disk.state() != "" {
			tick.Reset(diskLook)
		} else {
			tick.Reset(syncInterval)
		}
	}
}

// lockDir takes the directory's LOCK and writes our pid into it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cache directory: %w", err)
	}
	if err := flock(f); err != nil {
		var pid int
		b := make([]byte, 32)
		n, _ := f.ReadAt(b, 0)
		_, _ = fmt.Sscan(strings.TrimSpace(string(b[:n])), &pid)
		return nil, errors.Join(&BusyError{Dir: dir, Pid: pid}, f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cache lock: %w", err), f.Close())
		}
	}
	return f, nil
}

// A reaper holds the directories that vanished with names below them.
type reaper struct {
	reaping  atomic.Int64 // how many are not yet removed
	reapsMu  sync.Mutex   // guards reaps; a leaf
	reaps    []Ino
	reapWake chan struct{}
}

type noKernel struct{}

func (noKernel) EntryGone(Ino, string) {}
func (noKernel) ContentChanged(Ino)    {}
