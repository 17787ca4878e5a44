package script

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moorfs/moorfs/tests/harness"
)

// scriptLimit is when a script's mounts are aborted.
const scriptLimit = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(harness.Main(m.Run)) }

func TestScripts(t *testing.T) { run(t, "testdata") }

// TestAlone runs the scripts that speak of every mount of the machine.
func TestAlone(t *testing.T) { run(t, "testdata/alone") }

// install puts the helpers of mount(8) into place.
var install = sync.OnceValue(func() error {
	binary, err := harness.BinaryPath(harness.Plain)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return harness.Install(binary)
})

func run(t *testing.T, dir string) {
	if err := install(); err != nil {
		t.Fatal(err)
	}
	binary := harness.Binary(t, harness.Plain)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		WorkdirRoot:         harness.Dir(t),
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setup(t, e, binary) },
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "bucket": bucket, "mounted": mounted, "requests": requests,
			"network": network, "deny": deny, "server": server, "daemon": daemon,
		},
	})
}

// s3Key is where a script's bucket is in its environment's values.
type s3Key struct{}

func setup(t *testing.T, e *testscript.Env, binary string) error {
	s3 := harness.Versity(t)
	e.Values[s3Key{}] = &current{t: t, s3: s3}
	e.Vars = append(append(e.Vars, harness.Environ()...), s3.Env()...)
	home := filepath.Join(e.WorkDir, ".home")
	if err := os.Mkdir(home, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(e.WorkDir, 0o777); err != nil {
		return err
	}
	e.Setenv("HOME", home)
	e.Setenv("PATH", filepath.Dir(binary)+":"+os.Getenv("PATH"))
	e.Setenv("BUCKET", s3.Bucket)
	e.Setenv("ENDPOINT", s3.Endpoint)
	e.Setenv("MOORFS_ENDPOINT_URL", s3.Endpoint)
	e.Setenv("MOORFS_WRITE_BACK", "200ms")
	stop := harness.AbortAfter(e.WorkDir, scriptLimit)
	e.Defer(func() {
		inTime := stop()
		left, err := harness.ClearBelow(e.WorkDir)
		if err != nil || len(left) > 0 || !inTime {
			e.T().Log(fmt.Sprintf("at the end: mounts left %q, error %v, in time %v", left, err, inTime))
			e.T().FailNow()
		}
	})
	return nil
}
