package harness

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimEnv makes this binary a test process that leaves a daemon and a file
// and waits to be killed.
const victimEnv = "MOORFS_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		os.Exit(Main(victim))
	}
	os.Exit(Main(m.Run))
}

func victim() int {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	daemon := filepath.Join(Root(), "bin", "daemon")
	if err := os.WriteFile(daemon, data, 0o755); err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := exec.Command(daemon, "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(Root(), cmd.Process.Pid)
	for {
		if err := syscall.Pause(); err != syscall.EINTR { // until it is killed
			fmt.Println(err)
			return 1
		}
	}
}

// Whatever a test process leaves is cleared when it is killed.
func TestReaper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Spawn(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, after %q", err, line)
	}
	var root string
	var pid int
	if _, err := fmt.Sscan(line, &root, &pid); err != nil || !strings.Contains(root, "moorfs-test-") {
		t.Fatalf("the victim says %q: %v", line, err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the daemon does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err = Until(20*time.Second, "clearing after a killed test", func() bool {
		_, err := os.Stat(root)
		return os.IsNotExist(err) && !Running(pid)
	})
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the victim ended by itself")
	}
}
