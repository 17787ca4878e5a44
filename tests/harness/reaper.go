package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A reaper is the process that clears up when this one ends.
type reaper struct {
	cmd  *exec.Cmd
	pipe *os.File // its closing, by us or by our death, is the signal
}

func startReaper(root string) (*reaper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleReaper, rootEnv+"="+root)
	cmd.Stdin, cmd.Stderr = r, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives a signal to our group
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the reaper: %w", err)
	}
	return &reaper{cmd: cmd, pipe: w}, r.Close()
}

// release lets the reaper clear up and waits for it.
func (r *reaper) release() error {
	if err := r.pipe.Close(); err != nil {
		return err
	}
	return r.cmd.Wait()
}

// reap waits until the test process has ended, then clears root.
func reap(root string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	_, mounts := leftBehind(root)
	processes := killBelow(root)
	return errors.Join(mounts, processes, removeRoot(root))
}

// removeRoot removes root, unless the environment says to keep it for a look.
func removeRoot(root string) error {
	if os.Getenv("MOORFS_TEST_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "harness: kept", root)
		return nil
	}
	private := filepath.Join(root, "machine")
	if err := syscall.Unmount(private, syscall.MNT_DETACH); err != nil &&
		err != syscall.EINVAL && err != syscall.ENOENT && err != syscall.EPERM {
		return fmt.Errorf("unmounting %s: %w", private, err)
	}
	return os.RemoveAll(root)
}

// killBelow kills the processes whose executable lies below root: the daemons
// that put themselves into the background.
func killBelow(root string) error {
	pids, err := processesBelow(root)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("killing process %d: %w", pid, err)
		}
	}
	return nil
}

func processesBelow(root string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err == nil && below(root, strings.TrimSuffix(exe, " (deleted)")) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func fusermount(dir string) error {
	out, err := exec.Command("fusermount3", "-uz", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3 -uz %s: %w: %s", dir, err, out)
	}
	return nil
}

// Running reports whether pid is a process that has not ended; one that
// nobody has waited for yet has.
func Running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
