package exercise

import (
	"fmt"
	"os"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(handsEnv); dir != "" {
		if err := workUntilClosed(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(harness.Main(m.Run))
}
