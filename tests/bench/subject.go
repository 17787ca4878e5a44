package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// A subject is a mounted bucket that jobs are measured on.
type subject struct {
	dir    string
	within func(limit time.Duration, what string, fn func() error) error
	flush  func() error // returns when all that was written is in the bucket
	stop   func() error
	cpu    func() time.Duration
	rss    func() int64
}

// A kind of subject. start mounts a bucket below dir, where an earlier start
// may have left its cache.
type kind struct {
	name  string
	start func(t *program, s3 *harness.S3, dir string) (subject, error)
}

// kinds returns what is measured: moorfs, and of its peers those that are
// installed.
func kinds() []kind {
	all := []kind{{"moorfs", startMoorfs}}
	if _, err := exec.LookPath("rclone"); err == nil {
		all = append(all, kind{"rclone", startRclone})
	}
	return all
}

func startMoorfs(t *program, s3 *harness.S3, dir string) (subject, error) {
	m, err := harness.Try(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(), Dir: filepath.Join(dir, "mnt"),
		Cache: filepath.Join(dir, "cache"), Options: []string{"--endpoint-url", s3.Endpoint}})
	if err != nil {
		return subject{}, err
	}
	flush := func() error {
		if status, out := m.Run(jobLimit, "flush", m.Dir); status != 0 {
			return fmt.Errorf("moorfs flush: status %d: %s", status, out)
		}
		return nil
	}
	return subject{dir: m.Dir, within: m.Within, flush: flush, stop: func() error { return m.Unmount() }, cpu: m.CPU, rss: m.PeakRSS}, nil
}

const (
	mountLimit = 30 * time.Second
	lookEvery  = 20 * time.Millisecond
)

// startRclone mounts with rclone as its users do who want a file system: with
// its full cache of files.
func startRclone(_ *program, s3 *harness.S3, dir string) (subject, error) {
	mnt := filepath.Join(dir, "mnt")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return subject{}, err
	}
	var before syscall.Stat_t
	if err := syscall.Stat(mnt, &before); err != nil {
		return subject{}, err
	}
	cmd := exec.Command("rclone", "mount", "bench:"+s3.Bucket, mnt, "--vfs-cache-mode", "full", "--cache-dir", filepath.Join(dir, "cache"))
	cmd.Env = append(harness.Environ(), "RCLONE_CONFIG=/dev/null", "RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other",
		"RCLONE_CONFIG_BENCH_ENV_AUTH=true", "RCLONE_CONFIG_BENCH_ENDPOINT="+s3.Endpoint)
	cmd.Env = append(cmd.Env, s3.Env()...)
	if err := harness.Spawn(cmd); err != nil {
		return subject{}, err
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	s := subject{dir: mnt, cpu: func() time.Duration { return 0 }, rss: func() int64 { return 0 }}
	s.within = func(limit time.Duration, what string, fn func() error) error {
		inTime := harness.AbortAfter(mnt, limit)
		err := fn()
		if !inTime() {
			err = errors.Join(fmt.Errorf("%s: took more than %v", what, limit), err)
		}
		return err
	}
	s.flush = func() error { return awaitObjects(s3, mnt) }
	s.stop = func() error {
		if out, err := exec.Command("fusermount3", "-u", mnt).CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("fusermount3: %w: %s", err, out), cmd.Process.Kill())
		}
		return <-died
	}
	return s, waitFor(mountLimit, "the mount of rclone", func() (bool, error) {
		select {
		case err := <-died:
			return false, fmt.Errorf("rclone has ended: %w", err)
		default:
		}
		var now syscall.Stat_t
		err := syscall.Stat(mnt, &now)
		return err == nil && now.Dev != before.Dev, nil
	})
}

// awaitObjects waits until the bucket has an object of the right size for each
// file of a mount.
func awaitObjects(s3 *harness.S3, mnt string) error {
	files := map[string]int64{}
	err := filepath.Walk(mnt, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			files[path[len(mnt)+1:]] = info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	return waitFor(jobLimit, "all files in the bucket", func() (bool, error) {
		objects, err := s3.Raw.List(context.Background(), "")
		there := 0
		for _, o := range objects {
			if size, wanted := files[o.Key]; wanted && o.Size == size {
				there++
			}
		}
		return there == len(files), err
	})
}

func waitFor(limit time.Duration, what string, fn func() (bool, error)) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(lookEvery) {
		if done, err := fn(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("no sign of %s within %v", what, limit)
}
