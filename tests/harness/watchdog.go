package harness

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// ErrHung is what Within answers for work that was still going at its limit.
var ErrHung = errors.New("hung; the mount's connection was aborted")

// stackLimit is how long a daemon may take to print its goroutines.
const stackLimit = 5 * time.Second

// Within runs fn, which uses the mount. If that takes longer than limit, the
// daemon prints its stacks (SIGQUIT, of which it dies), the connection is
// aborted, and the error wraps ErrHung. fn may still run then.
func (m *Mount) Within(limit time.Duration, what string, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	line, mounted := mountAt(m.Dir)
	errs := []error{fmt.Errorf("%s, %v: %w", what, limit, ErrHung)}
	if err := m.cmd.Process.Signal(syscall.SIGQUIT); err == nil {
		select {
		case <-m.died:
		case <-time.After(stackLimit):
		}
		errs = append(errs, fmt.Errorf("daemon: %s", m.Log()))
	}
	if mounted {
		errs = append(errs, line.abort())
	}
	return errors.Join(errs...)
}

// Do is Within that fails the test.
func (m *Mount) Do(t T, what string, fn func() error) {
	t.Helper()
	if err := m.Within(startLimit, what, fn); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// AbortAfter aborts the mounts below dir when limit has passed; stop calls it
// off and reports whether it was in time.
func AbortAfter(dir string, limit time.Duration) (stop func() bool) {
	timer := time.AfterFunc(limit, func() {
		if err := Abort(dir); err != nil {
			fmt.Println("harness:", err)
		}
	})
	return timer.Stop
}

// Until polls cond until it holds; past limit it returns an error that names
// what was waited for.
func Until(limit time.Duration, what string, cond func() bool) error {
	deadline := time.Now().Add(limit)
	for !cond() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v", what, limit)
		}
		time.Sleep(pollInterval)
	}
	return nil
}
