package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// holderEnv names a directory and a file below it for a process that is to hold
// the directory's lock in the kernel.
const holderEnv = "MOORFS_TEST_HOLDER"

const undeadLimit = 20 * time.Second

// holdLock reads the directory named by holderEnv into memory that is a mapping
// of the file "big" beside it: the kernel holds the directory's lock until the
// page has come.
func holdLock(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	big, err := os.Open(filepath.Join(filepath.Dir(dir), "big"))
	if err != nil {
		return err
	}
	page, err := unix.Mmap(int(big.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	_, err = unix.Getdents(int(d.Fd()), page)
	return err
}

// spawnHelper starts this test binary in another role.
func spawnHelper(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env)
	if err := harness.Spawn(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait() // of what it died does not matter
	})
	return cmd
}

// notifying reports whether a thread of a process waits in the kernel for the
// lock of a directory, to make it forget a name.
func notifying(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid))
	for _, name := range threads {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), "fuse_reverse_inval_entry") {
			return true
		}
	}
	return false
}

// undead returns a mount whose daemon was killed and cannot end: a thread of
// it waits for a directory's lock, in a notification, and who has that lock
// waits for the daemon.
func undead(t *testing.T) (*harness.Mount, harness.Spec) {
	t.Helper()
	stop := harness.AbortAfter(harness.Root(), 3*undeadLimit)
	t.Cleanup(func() {
		if !stop() {
			t.Error("the mounts were aborted: not done in time")
		}
	})
	s3 := harness.Versity(t)
	ctx := context.Background()
	put := func(key, body string) {
		if err := s3.Raw.Put(ctx, key, []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("dir/name", "old")
	put("big", strings.Repeat("x", 5<<20)) // larger ones are not fetched by their open
	spec := harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(), Cache: filepath.Join(harness.Dir(t), "cache"),
		Options: []string{"--endpoint-url", s3.Endpoint, "--attrs", "list", "--attr-ttl", "0s", "--list-ttl", "0s"}}
	m := harness.Start(t, spec)
	spec.Dir = m.Dir
	if _, err := os.Stat(m.Path("dir", "name")); err != nil {
		t.Fatal(err)
	}
	s3.Proxy.Fault(s3test.Fault{Match: s3test.On("GetObject"), Effect: s3test.Delay(time.Hour)})
	s3.Proxy.Reset()
	spawnHelper(t, holderEnv+"="+m.Path("dir"))
	err := harness.Until(undeadLimit, "the holder waits for its page", func() bool { return s3.Proxy.Counts()["GetObject"] > 0 })
	if err != nil {
		t.Fatal(err)
	}
	put("dir/name", "new content")
	spawnHelper(t, lookerEnv+"="+m.Path("dir", "name"))
	if err := harness.Until(undeadLimit, "a notification waits", func() bool { return notifying(m.Pid()) }); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(m.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return m, spec
}

// lookerEnv names a file for a process that looks at it again and again.
const lookerEnv = "MOORFS_TEST_LOOKER"

func look(name string) error {
	for {
		if _, err := os.Stat(name); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestUmountEndsAnUndeadDaemon: the lock of the cache is free afterwards.
func TestUmountEndsAnUndeadDaemon(t *testing.T) {
	m, spec := undead(t)
	if status, out := m.Run(undeadLimit, "status"); status != 0 || !strings.Contains(out, "was killed and cannot end") {
		t.Errorf("moorfs status: %d: %s", status, out)
	}
	if status, out := m.Run(undeadLimit, "umount", m.Dir); status != 0 {
		t.Errorf("moorfs umount: status %d: %s", status, out)
	}
	usable(t, m, spec)
}

// TestMountEndsAnUndeadDaemon: at its mountpoint, and with its cache elsewhere.
func TestMountEndsAnUndeadDaemon(t *testing.T) {
	t.Run("mountpoint", func(t *testing.T) {
		m, spec := undead(t)
		usable(t, m, spec)
	})
	t.Run("cache", func(t *testing.T) {
		m, spec := undead(t)
		spec.Dir = filepath.Join(harness.Dir(t), "mnt")
		if err := os.Mkdir(spec.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		usable(t, m, spec)
		if err := m.Clear(); err != nil {
			t.Error(err)
		}
	})
}

// usable mounts spec, whose daemon m was, and reads what must be there. It does
// not touch the mountpoint before.
func usable(t *testing.T, m *harness.Mount, spec harness.Spec) {
	t.Helper()
	if status, out := m.Run(undeadLimit, append([]string{"mount", spec.Source, spec.Dir, "--cache-dir", spec.Cache}, spec.Options...)...); status != 0 {
		t.Fatalf("moorfs mount: status %d: %s", status, out)
	}
	select {
	case <-m.Died():
	case <-time.After(undeadLimit):
		t.Error("the killed daemon is still there")
	}
	if names, err := os.ReadDir(filepath.Join(spec.Dir, "dir")); err != nil || len(names) != 1 {
		t.Errorf("the directory has %v, error %v", names, err)
	}
	if status, out := m.Run(undeadLimit, "umount", spec.Dir); status != 0 {
		t.Errorf("moorfs umount: status %d: %s", status, out)
	}
}

// unanswered leaves all requests about a name without an answer. The channels
// tell of each that came, and of each that the client gave up.
func unanswered(s3 *harness.S3, name string) (asked, givenUp chan struct{}) {
	asked, givenUp = make(chan struct{}, 100), make(chan struct{}, 100)
	s3.Proxy.Fault(s3test.Fault{
		Match: func(r *http.Request) bool { return strings.Contains(r.URL.String(), name) },
		Effect: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-r.Context().Done()
				givenUp <- struct{}{}
			})
		}})
	return asked, givenUp
}

// TestKilledDuringASlowLookup: a notification for a directory in which a lookup
// takes long is put off, and so holds neither the directory nor, when it is
// killed, the daemon.
func TestKilledDuringASlowLookup(t *testing.T) {
	s3 := harness.Versity(t)
	put := func(body string) {
		if err := s3.Raw.Put(context.Background(), "dir/name", []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(),
		Options: []string{"--endpoint-url", s3.Endpoint, "--attrs", "list", "--attr-ttl", "0s", "--list-ttl", "0s", "--negative-ttl", "0s"}})
	size := func() (n int64) {
		m.Do(t, "looking at a file", func() error {
			info, err := os.Stat(m.Path("dir", "name"))
			if err == nil {
				n = info.Size()
			}
			return err
		})
		return n
	}
	if n := size(); n != 3 {
		t.Fatalf("size %d, want 3", n)
	}
	asked, givenUp := unanswered(s3, "other")
	spawnHelper(t, lookerEnv+"="+m.Path("dir", "other"))
	select {
	case <-asked:
	case <-time.After(undeadLimit):
		t.Fatal("nobody asks for the other name")
	}
	put("newer content")
	if err := harness.Until(undeadLimit, "the new content shows", func() bool { return size() == 13 }); err != nil {
		t.Fatal(err)
	}
	for range 20 { // the kernel is told, or would be, meanwhile
		size()
	}
	if len(givenUp) > 0 || notifying(m.Pid()) {
		t.Error("a notification waits for the slow lookup, and all others for it")
	}
	if err := syscall.Kill(m.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Died():
	case <-time.After(undeadLimit):
		t.Error("the daemon does not die of SIGKILL")
		if err := harness.Abort(m.Dir); err != nil {
			t.Error(err)
		}
	}
	if err := m.Kill(); err != nil {
		t.Error(err)
	}
}
