package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// The roles of one test binary, told by the environment.
const (
	roleEnv     = "MOORFS_TEST_ROLE"
	rootEnv     = "MOORFS_TEST_ROOT"
	roleMachine = "machine"
	roleReaper  = "reaper"
)

// T is what the harness needs of a *testing.T; programs that are no tests have
// their own.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Main runs a test binary (run is m.Run) in a machine of its own and returns
// its exit status, 1 if mounts were left behind. Call it from TestMain.
func Main(run func() int) int {
	code, err := dispatch(run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return code
}

func dispatch(run func() int) (int, error) {
	switch os.Getenv(roleEnv) {
	case roleReaper:
		return 0, reap(os.Getenv(rootEnv))
	case roleMachine:
		return inMachine(os.Getenv(rootEnv), run)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return 1, fmt.Errorf("these tests mount filesystems and need /dev/fuse: %w", err)
	}
	root, err := makeRoot()
	if err != nil {
		return 1, err
	}
	if os.Geteuid() != 0 {
		return inMachine(root, run)
	}
	return enterMachine(root)
}

// makeRoot makes the directory for everything that the tests make. It is on
// a real disk and may be crossed by ordinary users.
func makeRoot() (string, error) {
	base := os.Getenv("TMPDIR")
	if base == "" {
		base = "/var/tmp"
	}
	root, err := os.MkdirTemp(base, "moorfs-test-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return "", err
	}
	for _, d := range []string{"bin", "home", "work"} {
		if err := os.Mkdir(root+"/"+d, 0o755); err != nil {
			return "", err
		}
	}
	return root, nil
}

// enterMachine runs this program again in a new mount namespace.
func enterMachine(root string) (int, error) {
	runtime.LockOSThread() // Pdeathsig fires when the thread dies
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleMachine, rootEnv+"="+root)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, fmt.Errorf("starting the tests in a mount namespace of their own: %w", err)
	}
	return 0, nil
}

func inMachine(root string, run func() int) (int, error) {
	if err := os.Unsetenv(roleEnv); err != nil {
		return 1, err
	}
	machineRoot = root
	if os.Geteuid() == 0 {
		if err := furnish(root); err != nil {
			return 1, err
		}
	}
	hold, err := startReaper(root)
	if err != nil {
		return 1, err
	}
	code := run()
	if err := stopServers(); err != nil {
		return 1, err
	}
	left, err := leftBehind(root)
	if err != nil {
		return 1, err
	}
	for _, m := range left {
		fmt.Fprintf(os.Stderr, "harness: mount left behind: %s (%s)\n", m.dir, m.source)
		code = max(code, 1)
	}
	return code, hold.release()
}
