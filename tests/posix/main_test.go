package posix

import (
	"os"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// TestMain runs the tests, or, where the environment says so, one worker.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(work(os.Getenv(workerEnv)))
	}
	os.Exit(harness.Main(m.Run))
}
