package posix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// A side is one of the two filesystems that are compared: a directory, and for
// each user a process that works in it.
type side struct {
	name    string // for reports
	dir     string
	workers map[string]*process
}

// A process is a worker as its master sees it.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// close ends a process, once.
func (p *process) close() error {
	if p.in == nil {
		return nil
	}
	err := errors.Join(p.in.Close(), p.cmd.Wait())
	p.in = nil
	return err
}

// newSide starts the workers of a directory. They end with the test.
func newSide(t *testing.T, name, dir string) *side {
	t.Helper()
	s := &side{name: name, dir: dir, workers: map[string]*process{}}
	for user := range users {
		p, err := start(t, user, dir)
		if err != nil {
			t.Fatalf("worker of %s on %s: %v", user, name, err)
		}
		s.workers[user] = p
	}
	return s
}

func start(t *testing.T, user, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), workerEnv+"="+user, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1") // no signals of its own
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := harness.Spawn(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<24)
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Errorf("worker of %s: %v", user, err)
		}
	})
	return p, nil
}

// do has a user make one call and returns its result.
func (s *side) do(user, line string) (string, error) {
	p, ok := s.workers[user]
	if !ok {
		return "", fmt.Errorf("no user %q", user)
	}
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return "", err
	}
	if !p.out.Scan() {
		return "", errors.Join(fmt.Errorf("the worker of %s on %s ended at: %s", user, s.name, line), p.out.Err())
	}
	result, err := strconv.Unquote(p.out.Text())
	if err == nil && strings.HasPrefix(result, "BAD SCRIPT") {
		err = fmt.Errorf("%s: %s", line, result)
	}
	return result, err
}

// make makes the calls of a script, none of which may fail.
func (s *side) make(script []string) error {
	for _, line := range script {
		user, call, _ := strings.Cut(line, " ")
		if result, err := s.do(user, call); err != nil || errnoLike.MatchString(result) {
			return fmt.Errorf("%s on %s: %s: %w", line, s.name, result, err)
		}
	}
	return nil
}

// close ends the workers.
func (s *side) close(t *testing.T) {
	t.Helper()
	for user, p := range s.workers {
		if err := p.close(); err != nil {
			t.Errorf("worker of %s on %s: %v", user, s.name, err)
		}
	}
}

// all has every worker make the call.
func (s *side) all(line string) error {
	for user := range s.workers {
		if result, err := s.do(user, line); err != nil || result != "ok" {
			return fmt.Errorf("%s on %s, %s: %s: %w", user, s.name, line, result, err)
		}
	}
	return nil
}
