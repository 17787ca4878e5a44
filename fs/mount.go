package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// notifyPatience is how long Wait lets a last notification take before it
// aborts the connection: a kernel that waits for a lock holds the process in
// a state that no signal ends.
const notifyPatience = 30 * time.Second

// A Server is a mounted cache. Its methods may be called concurrently.
type Server struct {
	fuse       *fuse.Server
	kernel     *kernel
	cache      *cache.Cache
	front      *front
	mountpoint string
	connection int
}

// Mount mounts c and returns once the kernel answers. It starts c: the caller
// opens the cache before and closes it after Wait, and does not call Start.
// CheckMountpoint tells beforehand, and in words, what would make it fail.
func Mount(c *cache.Cache, o Options) (*Server, error) {
	dir, err := resolve(o.Mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", o.Mountpoint, err)
	}
	options, err := o.fuse()
	if err != nil {
		return nil, fmt.Errorf("mount on %q: %w", dir, err)
	}
	sys := &filesystem{
		c: c, kernel: newKernel(o.Log), report: &reporter{log: o.Log},
		entryTTL: o.EntryTTL, attrTTL: o.AttrTTL, maxName: maxName,
		noAtime:    slices.Contains(o.FuseOptions, "noatime"),
		noDirAtime: slices.Contains(o.FuseOptions, "noatime") || slices.Contains(o.FuseOptions, "nodiratime"),
	}
	sys.buffers.New = func() any { b := make([]byte, copyBuffer); return &b }
	options.RootStableAttr = &gofuse.StableAttr{Ino: uint64(cache.Root)}
	var raw fuse.RawFileSystem = &dirReader{RawFileSystem: gofuse.NewNodeFS(&node{ino: cache.Root, sys: sys}, options), sys: sys}
	f := &front{RawFileSystem: &killPriv{raw, sys}, under: sys.kernel.under, counts: &counts{}, log: o.Log,
		owner: uint32(os.Geteuid()), closed: o.AllowRoot && !asRoot()}
	server, err := fuse.NewServer(f, dir, &options.MountOptions)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s on %q: %w", o.Source, dir, err), detachOurs(dir, o.Source))
	}
	s := &Server{fuse: server, kernel: sys.kernel, cache: c, front: f, mountpoint: dir}
	if err := s.serve(c); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s on %q: %w", o.Source, dir, err), detach(dir))
	}
	s.setReadAhead(o)
	return s, nil
}

// serve starts the cache, the notifier and the server, in this order: no
// request meets a cache that does not run.
func (s *Server) serve(c *cache.Cache) error {
	c.Start(s.kernel)
	go s.kernel.run(s.fuse)
	go s.fuse.Serve()
	// The probe opens a file in the root, where our own user may not enter:
	// an answer all the same.
	if err := s.fuse.WaitMount(); err != nil && !errors.Is(err, syscall.EACCES) {
		return err
	}
	m, err := mountedOn(s.mountpoint)
	if err != nil {
		return err
	}
	s.connection = m.minor
	return nil
}

// Wait returns when the filesystem is unmounted, by whomever, and all requests
// have ended. The cache may be closed then.
func (s *Server) Wait() {
	s.fuse.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), notifyPatience)
	defer cancel()
	if !s.kernel.stop(ctx) {
		// Nothing is left to abort for but the notification itself.
		if err := s.Abort(); err != nil {
			s.kernel.log.Warn("notification does not end", "error", err)
		}
	}
}

// Unmount unmounts. It fails with EBUSY while files are open.
func (s *Server) Unmount() error {
	if err := s.fuse.Unmount(); err != nil {
		return fmt.Errorf("unmount %q: %w", s.mountpoint, err)
	}
	return nil
}

// Settled returns once the kernel shows what the cache has changed by itself by
// now. Not to be called from inside a request.
func (s *Server) Settled(ctx context.Context) error { return s.kernel.settled(ctx) }

// Mountpoint returns the absolute path of the mountpoint, without symbolic
// links.
func (s *Server) Mountpoint() string { return s.mountpoint }

// Connection returns the number of the FUSE connection, as below
// /sys/fs/fuse/connections.
func (s *Server) Connection() int { return s.connection }

// Abort ends the connection: all requests that wait fail, and so does all use
// of the mount, until it is unmounted.
func (s *Server) Abort() error { return abort(s.connection) }

// Counts returns what was answered since the mount.
func (s *Server) Counts() Counts { return s.front.counts.snapshot() }

// setReadAhead makes the kernel read ahead in requests of full size. FUSE caps
// what the daemon may ask for, root may set more.
func (s *Server) setReadAhead(o Options) {
	path := fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", s.connection)
	if err := os.WriteFile(path, []byte(strconv.Itoa(readAheadKiB)), 0o644); err != nil {
		o.Log.Debug("read-ahead of the mount stays as it is", "error", err)
	}
}

// panicked ends a request that front does not see, as FORGET, when it panics.
func (o Options) panicked(v any) fuse.Status {
	o.Log.Error("panic in a request", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return fuse.EIO
}
