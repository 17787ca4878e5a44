package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	mostCache = 20 << 30
	// leastFree is what a cache leaves free whatever it is told: the journal
	// refuses changes below 96 MiB, and then nothing could be evicted or
	// sent. Twice that leaves time to make room.
	leastFree = 192 << 20
	// leastRoom is what a cache needs beyond that to be of use.
	leastRoom = 32 << 20
)

// A disk is the room that a cache may share with others.
type disk struct {
	total, free int64
	own         int64 // what the cache itself takes of it
}

// cacheLimits returns the size of the cache in dir and what it leaves free.
func cacheLimits(s settings, dir string) (limit, minFree int64, err error) {
	d, err := diskOf(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("cache directory %s: %w", dir, err)
	}
	limit, minFree = d.limits()
	if s.text("cache-size") != "" {
		limit = s.bytes("cache-size")
	}
	if s.text("cache-min-free") != "" {
		minFree = max(leastFree, s.bytes("cache-min-free"))
	}
	if limit <= 0 || d.own == 0 && d.free < minFree+leastRoom {
		return 0, 0, fmt.Errorf("no room for a cache: the disk of %s has %s free, %s are needed; make room, or name another with --cache-dir",
			dir, bytesText(d.free), bytesText(minFree+leastRoom))
	}
	return limit, minFree, nil
}

// limits are the defaults. What the cache has already counts as free, or else
// it would shrink from mount to mount.
func (d disk) limits() (limit, minFree int64) {
	return min(mostCache, (d.free+d.own)/2), max(leastFree, min(1<<30, d.total/20))
}

func diskOf(dir string) (disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return disk{}, err
	}
	d := disk{total: int64(st.Blocks) * st.Bsize, free: int64(st.Bavail) * st.Bsize}
	var err error
	d.own, err = takenBelow(dir, max(1, 2*mostCache-d.free))
	return d, err
}

// takenBelow returns how many bytes of the disk the files below dir take. It
// stops counting at enough.
func takenBelow(dir string, enough int64) (int64, error) {
	var n int64
	err := filepath.WalkDir(filepath.Join(dir, "data"), func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // just evicted, or a new cache
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += st.Blocks * 512
		}
		if n >= enough {
			return fs.SkipAll
		}
		return nil
	})
	return n, err
}
