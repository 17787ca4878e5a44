package posix

import (
	"fmt"
	"os"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// TestMain runs the tests, or, where the environment says so, one worker or one
// pair of hands.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(work(os.Getenv(workerEnv)))
	}
	if dir := os.Getenv(handsEnv); dir != "" {
		if err := workUntilClosed(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(harness.Main(m.Run))
}
