package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The daemon is this program started again with the same arguments, in a
// session of its own. It tells its parent over descriptor 3 how the mount
// went, one line each: "W text" is a warning, "OK" that the mount answers, "E
// text" why it does not.
const (
	daemonVariable = "MOORFS_DAEMON_CHILD"
	readinessFd    = 3
)

// isDaemon reports whether this process was started by startDaemon.
func isDaemon() bool { return os.Getenv(daemonVariable) != "" }

// startDaemon starts the daemon and returns once its mount answers, or with
// what it failed from.
func startDaemon(ctx context.Context, warnings io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), daemonVariable+"=1")
	cmd.Stderr = os.Stderr // until the log is open: a crash must not be mute
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the daemon: %w", err), r.Close(), w.Close())
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	// Interrupted: the daemon unwinds what it has done, and says so.
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(unix.SIGTERM) })
	defer stop()
	err = awaitReadiness(r, warnings)
	if errors.Is(err, errMute) {
		err = fmt.Errorf("the daemon died before the mount answered: %v", cmd.Wait())
	}
	return errors.Join(err, r.Close())
}

var errMute = errors.New("no answer")

// awaitReadiness reads the daemon's lines.
func awaitReadiness(r io.Reader, warnings io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, text, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "OK":
			return nil
		case "E":
			return errors.New(text)
		case "W":
			fmt.Fprintf(warnings, "moorfs: %s\n", text)
		}
	}
	return errMute
}

// A readiness tells whoever started the mount how it went.
type readiness struct {
	pipe *os.File // nil in front
}

// newReadiness takes over the pipe that startDaemon left, if it did. Programs
// that the daemon starts must not inherit it.
func newReadiness() (*readiness, error) {
	if !isDaemon() {
		return &readiness{}, nil
	}
	unix.CloseOnExec(readinessFd)
	if err := os.Unsetenv(daemonVariable); err != nil {
		return nil, err
	}
	return &readiness{pipe: os.NewFile(readinessFd, "readiness")}, nil
}

func (r *readiness) warn(text string) error {
	if r.pipe == nil {
		_, err := fmt.Fprintf(os.Stderr, "moorfs: %s\n", text)
		return err
	}
	_, err := fmt.Fprintf(r.pipe, "W %s\n", oneLine(errors.New(text)))
	return err
}

// tell says how the mount went, to the parent and to systemd, and closes the
// pipe. Only the first call counts.
func (r *readiness) tell(failed error) error {
	if failed == nil {
		if err := notifySystemd(fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid())); err != nil {
			return err
		}
	}
	if r.pipe == nil {
		return nil
	}
	line := "OK\n"
	if failed != nil {
		line = "E " + oneLine(failed) + "\n"
	}
	_, err := r.pipe.WriteString(line)
	err = errors.Join(err, r.pipe.Close())
	r.pipe = nil
	return err
}

// notifySystemd sends a state to the service manager, if one listens.
func notifySystemd(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", name)
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}
