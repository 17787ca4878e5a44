package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit   = 30 * time.Second // until a mount answers
	unmountLimit = 60 * time.Second // of a drain
	deathLimit   = 5 * time.Second  // of a process that was killed
	// busyLimit is for the children of tests that run beside this one: until
	// they are another program they hold copies of its descriptors.
	busyLimit    = 5 * time.Second
	pollInterval = 5 * time.Millisecond
)

// A Spec says what to mount and how.
type Spec struct {
	Source  string   // s3://bucket[/prefix]
	Dir     string   // mountpoint; empty: a new directory
	Cache   string   // cache directory; empty: a new one
	Options []string // more options of `moorfs mount`
	Env     []string // credentials and more; S3.Env has them
	Build   Build    // empty: Plain
}

// A Mount is a daemon and what it serves.
type Mount struct {
	Dir   string // the mountpoint
	Cache string // its cache directory

	binary string
	env    []string
	cmd    *exec.Cmd
	log    *tail
	stale  os.FileInfo   // of the control socket that an earlier daemon left, nil: none
	died   chan struct{} // closed when the daemon has ended and its status is known
	status error         // of the daemon, once died is closed
}

// Start mounts s for the test and unmounts it at its end, at the latest.
func Start(t T, s Spec) *Mount {
	t.Helper()
	m, err := Try(t, s)
	if err != nil {
		t.Fatalf("mounting %s: %v", s.Source, err)
	}
	return m
}

// Try is Start for mounts that may be refused. With the error comes the daemon
// that failed, if it was started.
func Try(t T, s Spec) (*Mount, error) {
	t.Helper()
	if s.Build == "" {
		s.Build = Plain
	}
	m := &Mount{Dir: s.Dir, Cache: s.Cache, binary: Binary(t, s.Build), env: append(Environ(), s.Env...),
		log: &tail{}, died: make(chan struct{})}
	if m.Dir == "" {
		m.Dir = filepath.Join(Dir(t), "mnt")
	}
	if m.Cache == "" {
		m.Cache = filepath.Join(Dir(t), "cache")
	}
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"mount", "-f", s.Source, m.Dir, "--cache-dir", m.Cache}, s.Options...)
	m.cmd = exec.Command(m.binary, args...)
	m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = m.env, m.log, m.log
	m.stale, _ = os.Stat(m.socket()) // it need not be there
	if err := Spawn(m.cmd); err != nil {
		return nil, err
	}
	go func() {
		m.status = m.cmd.Wait()
		close(m.died)
	}()
	t.Cleanup(func() { m.clear(t) })
	return m, m.waitReady()
}

// Environ is the environment of the daemons: nothing of ours but PATH.
func Environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(Root(), "home"), "TMPDIR=" + os.TempDir(),
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"}
}

// Dir returns a new directory on a real disk.
func Dir(t T) string {
	t.Helper()
	pattern := strings.Map(func(r rune) rune {
		if r == '/' || r == '*' {
			return '-'
		}
		return r
	}, t.Name()) + "-"
	dir, err := os.MkdirTemp(filepath.Join(Root(), "work"), pattern)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	return dir
}

func (m *Mount) socket() string { return filepath.Join(m.Cache, "control.sock") }

// waitReady waits until the kernel shows the mount and the control socket is
// there: a new one, as a killed daemon leaves its own.
func (m *Mount) waitReady() error {
	deadline := time.Now().Add(startLimit)
	for {
		_, mounted := mountAt(m.Dir)
		socket, err := os.Stat(m.socket())
		if mounted && err == nil && (m.stale == nil || !socket.ModTime().Equal(m.stale.ModTime())) {
			return nil
		}
		select {
		case <-m.died:
			return fmt.Errorf("%w: %s", m.exitError(), m.Log())
		case <-time.After(pollInterval):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer within %v (mounted: %v, control socket: %v): %s", startLimit, mounted, err, m.Log())
		}
	}
}

func (m *Mount) exitError() error {
	if m.status == nil {
		return errors.New("the daemon ended with status 0")
	}
	return m.status
}

// Path returns the path of name below the mountpoint.
func (m *Mount) Path(name ...string) string {
	return filepath.Join(append([]string{m.Dir}, name...)...)
}

// Pid is the daemon's.
func (m *Mount) Pid() int { return m.cmd.Process.Pid }

// Died is closed once the daemon has ended.
func (m *Mount) Died() <-chan struct{} { return m.died }

// Killed reports whether the daemon has ended by SIGKILL.
func (m *Mount) Killed() bool {
	select {
	case <-m.died:
		status, ok := m.cmd.ProcessState.Sys().(syscall.WaitStatus)
		return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	default:
		return false
	}
}

// Log returns the end of what the daemon has written to stderr and stdout.
func (m *Mount) Log() string { return m.log.String() }

// Run runs moorfs with args, with the mount's environment, and returns its
// exit status and output.
func (m *Mount) Run(limit time.Duration, args ...string) (status int, output string) {
	return run(limit, m.env, m.binary, args...)
}

func run(limit time.Duration, env []string, binary string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, string(out)
}

// Unmount runs `moorfs umount` and waits for the daemon's end.
func (m *Mount) Unmount(options ...string) error {
	status, out := m.Run(unmountLimit, append([]string{"umount", m.Dir}, options...)...)
	for deadline := time.Now().Add(busyLimit); status != 0 && strings.Contains(out, " is in use by ") && time.Now().Before(deadline); {
		status, out = m.Run(unmountLimit, append([]string{"umount", m.Dir}, options...)...)
	}
	if status != 0 {
		return fmt.Errorf("moorfs umount: status %d: %s\ndaemon: %s", status, out, m.Log())
	}
	select {
	case <-m.died:
	case <-time.After(unmountLimit):
		return fmt.Errorf("moorfs umount is done, but the daemon goes on: %s", m.Log())
	}
	if _, mounted := mountAt(m.Dir); mounted {
		return fmt.Errorf("moorfs umount is done, but %s is still mounted", m.Dir)
	}
	return nil
}

// Kill kills the daemon as kill -9 does and clears its mount.
func (m *Mount) Kill() error {
	if err := m.Die(); err != nil {
		return err
	}
	return m.Clear()
}

// Die kills the daemon as kill -9 does and waits until it has gone. Its mount
// stays, dead, unless a notification held the daemon in the kernel: then moorfs
// umount helps it, as it would a user. Killing a dead daemon does no harm.
func (m *Mount) Die() error {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-m.died:
		return nil
	case <-time.After(deathLimit):
	}
	_, out := m.Run(unmountLimit, "umount", m.Dir) // files may keep the mount busy all the same
	select {
	case <-m.died:
		return nil
	case <-time.After(startLimit):
	}
	err := Abort(m.Dir)
	<-m.died
	return errors.Join(fmt.Errorf("daemon %d did not die of SIGKILL until its connection was aborted; moorfs umount: %s", m.Pid(), out), err)
}

// Clear takes a dead mount away.
func (m *Mount) Clear() error {
	line, mounted := mountAt(m.Dir)
	if !mounted {
		return nil
	}
	return line.clear()
}

// clear ends what is left of the mount at the end of its test.
func (m *Mount) clear(t T) {
	t.Helper()
	_, mounted := mountAt(m.Dir)
	select {
	case <-m.died:
		if !mounted {
			return
		}
		t.Errorf("the daemon of %s died (%v) and left its mount: %s", m.Dir, m.exitError(), m.Log())
	default:
		if err := m.Unmount(); err == nil {
			return
		} else if !t.Failed() {
			t.Errorf("at the end of the test: %v", err)
		}
	}
	if t.Failed() {
		t.Logf("daemon: %s", m.Log())
	}
	if err := m.Kill(); err != nil {
		t.Errorf("%v", err)
	}
}

// A tail keeps the last of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if over := t.buf.Len() + len(p) - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
