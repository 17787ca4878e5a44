package script

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// A lateWriter sends the answer of another time.
type lateWriter struct{ http.ResponseWriter }

func (w lateWriter) WriteHeader(status int) {
	w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
	w.ResponseWriter.WriteHeader(status)
}

func late(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(lateWriter{w}, r) })
}

// tmpfs mounts one with few inodes or little space until the test ends.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := harness.Dir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestSelfCheck: each mount says, on its stderr and in its log, what is to be
// mended, in one line; and nothing of what is well.
func TestSelfCheck(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	const inodes, room, files, clock = "inodes left", "almost full", "files may be open", "clock is 10m"
	for name, c := range map[string]struct {
		disk    string
		options []string
		effect  s3test.Effect
		warning string
	}{
		"well":   {disk: "size=4G"},
		"inodes": {disk: "size=4G,nr_inodes=5000", warning: inodes},
		"room":   {disk: "size=700M", options: []string{"--cache-size", "2GiB"}, warning: room},
		"clock":  {disk: "size=4G", effect: late, warning: clock},
	} {
		t.Run(name, func(t *testing.T) {
			s3 := harness.Versity(t)
			if c.effect != nil {
				s3.Proxy.Fault(s3test.Fault{Effect: c.effect})
			}
			dir := tmpfs(t, c.disk)
			log := filepath.Join(harness.Dir(t), "log")
			m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(), Cache: filepath.Join(dir, "cache"),
				Options: append(c.options, "--endpoint-url", s3.Endpoint, "--log-file", log)})
			logged, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range []string{inodes, room, files, clock} {
				want := 0
				if w == c.warning {
					want = 1
				}
				if got := strings.Count(m.Log(), w); got != want {
					t.Errorf("%q %d times on stderr, want %d: %s", w, got, want, m.Log())
				}
				if got := strings.Count(string(logged), w); got != want {
					t.Errorf("%q %d times in the log, want %d: %s", w, got, want, logged)
				}
			}
			if left, err := filepath.Glob(filepath.Join(m.Cache, "selfcheck*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

// TestSelfCheckOfOpenFiles: as above, with the limit that a shell sets, and told
// by the daemon to who started it.
func TestSelfCheckOfOpenFiles(t *testing.T) {
	s3 := harness.Versity(t)
	dir := harness.Dir(t)
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	moorfs := func(script string) string {
		cmd := exec.Command("sh", "-c", script, harness.Binary(t, harness.Plain), "s3://"+s3.Bucket, mnt, filepath.Join(dir, "cache"))
		cmd.Env = append(append(harness.Environ(), s3.Env()...), "MOORFS_ENDPOINT_URL="+s3.Endpoint)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	out := moorfs(`ulimit -n 1024; "$0" mount "$1" "$2" --cache-dir "$3"`)
	if strings.Count(out, "only 1024 files may be open") != 1 {
		t.Errorf("mount said: %s", out)
	}
	moorfs(`"$0" umount "$2"`)
}
