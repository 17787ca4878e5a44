package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// A Build is one way to build the binary.
type Build string

const (
	Plain       Build = "moorfs"       // as users get it
	Crashpoints Build = "moorfs-crash" // dies at the point named by MOORFS_CRASH_AT
)

var builds = struct {
	mu   sync.Mutex
	once map[Build]func() (string, error)
}{once: map[Build]func() (string, error){}}

// Binary builds cmd/moorfs once per test process and returns its path. The
// environment variable MOORFS_TEST_BUILDFLAGS adds flags for go build (such as
// -race).
func Binary(t T, b Build) string {
	t.Helper()
	path, err := BinaryPath(b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return path
}

// BinaryPath is Binary for programs that are no tests.
func BinaryPath(b Build) (string, error) {
	builds.mu.Lock()
	once := builds.once[b]
	if once == nil {
		once = sync.OnceValues(func() (string, error) { return build(b) })
		builds.once[b] = once
	}
	builds.mu.Unlock()
	return once()
}

func build(b Build) (string, error) {
	module, err := ModuleDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(machineRoot, "bin", string(b))
	args := []string{"build", "-o", path}
	if b == Crashpoints {
		args = append(args, "-tags", "crashpoints")
	}
	args = append(args, strings.Fields(os.Getenv("MOORFS_TEST_BUILDFLAGS"))...)
	cmd := exec.Command("go", append(args, "./cmd/moorfs")...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building moorfs: %w\n%s", err, out)
	}
	return path, nil
}

// ModuleDir returns the directory of the product's module: the one above the
// working directory whose go.mod says so.
func ModuleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module github.com/moorfs/moorfs\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod of github.com/moorfs/moorfs above the working directory")
		}
		dir = parent
	}
}
