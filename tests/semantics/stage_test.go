package semantics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// patience is how long a check waits for what must come.
const patience = 3 * time.Minute

// Two ordinary users, in no group but their own.
const (
	alice = 4001
	bob   = 4002
)

// A stage is what checks share: a bucket that two machines have mounted.
type stage struct {
	*harness.S3
	here  *harness.Mount // uploads what it is asked to
	there *harness.Mount // asks the bucket each time
}

// newStage returns a stage for t and its subtests.
func newStage(t *testing.T) *stage {
	t.Helper()
	stop := harness.AbortAfter(harness.Root(), limit)
	t.Cleanup(func() {
		if !stop() {
			t.Error("the mounts were aborted: not done in time")
		}
	})
	s := &stage{S3: harness.Versity(t)}
	s.here = s.mount(t, "--write-back", "1h", "--allow-other")
	s.there = s.mount(t, "--attr-ttl", "0s", "--list-ttl", "0s", "--negative-ttl", "0s", "--write-back", "1h")
	return s
}

// mount mounts the stage's bucket once more, with an empty cache, until t
// ends.
func (s *stage) mount(t *testing.T, options ...string) *harness.Mount {
	t.Helper()
	return mountOf(t, s.S3, harness.Spec{Options: options})
}

// mountOf mounts the bucket of a server, or what spec names.
func mountOf(t *testing.T, s3 *harness.S3, spec harness.Spec) *harness.Mount {
	t.Helper()
	if spec.Source == "" {
		spec.Source = "s3://" + s3.Bucket
	}
	spec.Env = append(s3.Env(), spec.Env...)
	spec.Options = append([]string{"--endpoint-url", s3.Endpoint}, spec.Options...)
	return harness.Start(t, spec)
}

// dir makes a directory for one check, mounted on both machines; key is what
// its keys begin with.
func (s *stage) dir(t *testing.T) (dir, there, key string) {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(path.Base(t.Name()))
	dir = s.here.Path(name)
	ok(t, os.Mkdir(dir, 0o755))
	flush(t, s.here, name)
	return dir, s.there.Path(name), name + "/"
}

// ok fails the test unless err is nil.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails fails the test unless err is the errno.
func fails(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v (%s)", err, want, want.Error())
	}
}

// equal fails the test unless got is want.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ok(t, harness.Until(patience, what, cond))
}

// flush brings a path below a mount, or all of it, to the bucket.
func flush(t *testing.T, m *harness.Mount, name ...string) {
	t.Helper()
	if status, out := m.Run(patience, "flush", m.Path(name...)); status != 0 {
		t.Fatalf("moorfs flush: status %d: %s", status, out)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(content), 0o644))
}

// holds fails the test unless the file has the content.
func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %d bytes %.60q, error %v; want %d bytes %.60q", path, len(got), got, err, len(want), want)
	}
}

// put writes an object as another client does, with metadata and headers.
func (s *stage) put(t *testing.T, key, body string, meta map[string]string) {
	t.Helper()
	ok(t, s.Raw.Put(context.Background(), key, []byte(body), meta))
}

// head returns an object as another client sees it.
func (s *stage) head(t *testing.T, key string) s3test.RawObject {
	t.Helper()
	o, err := s.Raw.Head(context.Background(), key)
	ok(t, err)
	return o
}

// has reports whether there is an object at key.
func (s *stage) has(t *testing.T, key string) bool {
	t.Helper()
	_, err := s.Raw.Head(context.Background(), key)
	if err != nil && !s3test.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// object fails the test unless the object holds body.
func (s *stage) object(t *testing.T, key, body string) {
	t.Helper()
	_, got, err := s.Raw.Get(context.Background(), key)
	if err != nil || string(got) != body {
		t.Errorf("object %q holds %.60q, error %v; want %.60q", key, got, err, body)
	}
}

// bucket fails the test unless exactly these keys begin with prefix, which
// they are given without.
func (s *stage) bucket(t *testing.T, prefix string, want map[string]string) {
	t.Helper()
	found, err := s.Objects(context.Background(), prefix)
	ok(t, err)
	got := map[string]string{}
	for key, body := range found {
		got[strings.TrimPrefix(key, prefix)] = string(body)
	}
	if !maps.Equal(got, want) {
		t.Errorf("below %q the bucket has %.200q, want %.200q", prefix, got, want)
	}
}

// as runs a command as an ordinary user and returns its output.
func as(uid uint32, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = harness.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func stat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return &st
}

// xattr returns an attribute, empty if there is none.
func xattr(t *testing.T, path, name string) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := syscall.Getxattr(path, name, buf)
	if errors.Is(err, syscall.ENODATA) {
		return ""
	}
	if err != nil {
		t.Fatalf("%s of %s: %v", name, path, err)
	}
	return string(buf[:n])
}

// listed returns the names in a directory, sorted.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ok(t, err)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// base is what a path is called in its directory.
func base(p string) string { return filepath.Base(p) }
