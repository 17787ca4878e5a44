package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	roomWanted   = 1 << 30     // of a cache, if its limit is not less
	inodesWanted = 10_000      // of the cache's disk: each file takes one
	filesWanted  = 4096        // that may be open
	skewMost     = time.Minute // S3 refuses requests beyond 15 minutes
	skewRefused  = 15 * time.Minute
	testFile     = "selfcheck.tmp" // in the cache directory, for a moment
)

// selfCheck warns, in the log and to who mounts, of what will bring trouble
// later and that a person can mend. It sends no request and refuses nothing:
// what makes a mount impossible has ended it before.
func (m *mounting) selfCheck(context.Context) error {
	checks := []func() (string, error){
		func() (string, error) { return checkRoom(m.reg.CacheDir, m.limit, m.minFree) },
		func() (string, error) { return checkHoles(m.reg.CacheDir) },
		checkOpenFiles,
		func() (string, error) { return checkClock(m.client.Skew()), nil },
	}
	for _, check := range checks {
		warning, err := check()
		if err != nil {
			m.log.Warn("self-check", "error", err)
			continue
		}
		if warning == "" {
			continue
		}
		m.log.Warn("self-check: " + warning)
		if err := m.ready.warn(warning); err != nil {
			m.log.Warn("self-check", "error", err)
		}
	}
	return nil
}

// checkRoom looks at the disk of a cache directory.
func checkRoom(dir string, limit, minFree int64) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("disk of %s: %w", dir, err)
	}
	if st.Files > 0 && st.Ffree < inodesWanted { // 0: it makes them as needed
		return fmt.Sprintf("the disk of the cache %s has only %d inodes left, and each file takes one; make room, or name another with --cache-dir", dir, st.Ffree), nil
	}
	d, err := diskOf(dir)
	if err != nil {
		return "", fmt.Errorf("disk of %s: %w", dir, err)
	}
	if room := d.own + d.free - minFree; room < min(limit, roomWanted) {
		return fmt.Sprintf("the disk of the cache %s is almost full: %s for files, %s stay free (--cache-min-free); make room, or name another with --cache-dir",
			dir, bytesText(room), bytesText(minFree)), nil
	}
	return "", nil
}

// checkHoles finds out whether a file in dir can have holes, and gets new ones.
func checkHoles(dir string) (warning string, err error) {
	f, err := os.CreateTemp(dir, testFile)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	const size, piece = 4 << 20, 1 << 16
	if err := f.Truncate(size); err != nil {
		return "", err
	}
	if _, err := f.WriteAt(make([]byte, piece), 0); err != nil {
		return "", err
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, piece)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fmt.Sprintf("the filesystem of the cache %s cannot free a part of a file, so a file's copy stays whole or goes whole; name another, as ext4 or xfs, with --cache-dir", dir), nil
	}
	if err != nil {
		return "", fmt.Errorf("punch a hole in %s: %w", f.Name(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", err
	}
	if st.Blocks*512 >= size {
		return fmt.Sprintf("the filesystem of the cache %s has no sparse files, so a file takes its whole size at its first byte; name another, as ext4 or xfs, with --cache-dir", dir), nil
	}
	return "", nil
}

// checkOpenFiles looks at the limit of open files, to which Go has raised what
// is allowed.
func checkOpenFiles() (string, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return "", fmt.Errorf("limit of open files: %w", err)
	}
	if l.Max < filesWanted {
		return fmt.Sprintf("only %d files may be open at a time (ulimit -Hn), and each that is open on the mount takes one; raise it, with systemd by LimitNOFILE=", l.Max), nil
	}
	return "", nil
}

// checkClock looks at how far the server's clock is ahead.
func checkClock(skew time.Duration) string {
	if skew.Abs() < skewMost {
		return ""
	}
	direction := "behind"
	if skew < 0 {
		direction = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s the server's, and S3 refuses requests beyond %s; set it, with NTP", skew.Abs().Round(time.Second), direction, skewRefused)
}
