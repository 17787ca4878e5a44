package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/tests/bench/loopback"
	"github.com/moorfs/moorfs/tests/harness"
)

// A subject is where the files of a run are.
type subject struct {
	dir   string
	pid   int           // of the daemon; zero: none
	flush func() error  // returns when all that was written is in the bucket; nil: look at the bucket
	hurry func() error  // is flush, for subjects that have it but are measured without
	hung  func() string // tells what the daemon does; it ends of it
	stop  func() error
}

// A kind of subject. start makes one below r.dir, where an earlier start may
// have left its cache.
type kind struct {
	name   string
	local  bool   // without a bucket
	bare   bool   // without a mount: the work's limit
	peer   string // the program, of peers
	chunks bool   // it keeps its files in the bucket in a form of its own
	start  func(r *run) (*subject, error)
}

const (
	moorfsName  = "moorfs"
	delayedName = "moorfs, default delay"
	ext4        = "ext4"
	fuse        = "fuse"
	through     = "loopback"
	limit       = "limit"
	bestPeer    = "best peer" // the quickest of them
)

var (
	moorfsKind  = kind{name: moorfsName, start: func(r *run) (*subject, error) { return startMoorfs(r, "--write-back", "0s") }}
	delayedKind = kind{name: delayedName, start: func(r *run) (*subject, error) {
		s, err := startMoorfs(r)
		if err == nil {
			s.flush, s.hurry = nil, s.flush // nobody asks it to hurry
		}
		return s, err
	}}
	referenceKinds = map[string]kind{
		ext4: {name: ext4, local: true, start: func(r *run) (*subject, error) {
			return &subject{dir: r.source, stop: func() error { return nil }}, nil
		}},
		fuse:    {name: fuse, local: true, start: func(r *run) (*subject, error) { return startLoopback(r, loopback.Kernel) }},
		through: {name: through, local: true, start: func(r *run) (*subject, error) { return startLoopback(r, loopback.Daemon) }},
		limit:   {name: limit, bare: true},
	}
)

const (
	mountLimit = 30 * time.Second
	lookEvery  = 20 * time.Millisecond
	stackLimit = 5 * time.Second
)

func startMoorfs(r *run, options ...string) (*subject, error) {
	server := r.net.server
	bucket := harness.S3{Server: server, Bucket: r.bucket}
	options = append(options, "--endpoint-url", r.net.proxy.URL)
	m, err := harness.Try(r.lab.t, harness.Spec{Source: "s3://" + r.bucket, Env: bucket.Env(), Dir: filepath.Join(r.dir, "mnt"),
		Cache: filepath.Join(r.dir, "cache"), Options: append(options, r.work.options...)})
	if err != nil {
		return nil, err
	}
	s := &subject{dir: m.Dir, pid: m.Pid(), stop: func() error { return m.Unmount() }}
	s.flush = func() error {
		if status, out := m.Run(ownLimit, "flush", m.Dir); status != 0 {
			return fmt.Errorf("moorfs flush: status %d: %s", status, out)
		}
		return nil
	}
	s.hung = func() string {
		if err := syscall.Kill(m.Pid(), syscall.SIGQUIT); err != nil {
			return err.Error()
		}
		select {
		case <-m.Died():
		case <-time.After(stackLimit):
		}
		return m.Log()
	}
	return s, nil
}

// startLoopback mounts the files of the run again, by a child.
func startLoopback(r *run, p loopback.Passthrough) (*subject, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	mode := "daemon"
	if p == loopback.Kernel {
		mode = "kernel"
	}
	cmd := exec.Command(self, r.source, filepath.Join(r.dir, "mnt"), mode)
	cmd.Env = append(harness.Environ(), childEnv+"=loopback")
	return startDaemon(cmd, filepath.Join(r.dir, "mnt"))
}

// startDaemon starts a program that mounts something at dir and stays in front.
func startDaemon(cmd *exec.Cmd, dir string) (*subject, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := harness.Spawn(cmd); err != nil {
		return nil, err
	}
	died := make(chan struct{})
	var status error
	go func() {
		status = cmd.Wait()
		close(died)
	}()
	s := &subject{dir: dir, pid: cmd.Process.Pid, stop: func() error { return unmount(cmd, dir, died) }}
	for deadline := time.Now().Add(mountLimit); time.Now().Before(deadline); time.Sleep(lookEvery) {
		if _, mounted := harness.Mounted(dir); mounted {
			return s, nil
		}
		select {
		case <-died:
			return nil, fmt.Errorf("%s has ended: %v: %s", cmd.Path, status, readTail(log.Name()))
		default:
		}
	}
	err = fmt.Errorf("%s has mounted nothing in %v: %s", cmd.Path, mountLimit, readTail(log.Name()))
	return nil, errors.Join(err, cmd.Process.Kill())
}

func readTail(path string) string {
	text, _ := os.ReadFile(path) // without it the message says less
	return tail(string(text))
}

// unmount ends a mount and waits for its daemon; one that goes on is killed.
func unmount(cmd *exec.Cmd, dir string, died <-chan struct{}) error {
	var err error
	for deadline := time.Now().Add(stackLimit); ; time.Sleep(lookEvery) {
		err = syscall.Unmount(dir, 0)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: it has gone
		err = errors.Join(fmt.Errorf("unmounting %s: %w", dir, err), harness.Abort(dir), syscall.Unmount(dir, syscall.MNT_DETACH))
	} else {
		err = nil
	}
	select {
	case <-died:
		return err
	case <-time.After(mountLimit):
	}
	err = errors.Join(err, fmt.Errorf("%s went on after its mount had ended", strings.Join(cmd.Args[:1], "")), cmd.Process.Kill())
	<-died
	return err
}
