package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

// panicTries is how often an operation may meet a panic: it does several
// transactions.
const panicTries = 20

// A panicking is a mount in which each transaction panics once, with its locks
// held.
type panicking struct {
	*harness.Mount
	t    *testing.T
	errs int // operations that failed by it
}

// do carries out an operation until no panic meets it.
func (p *panicking) do(what string, fn func() error) {
	p.t.Helper()
	for range panicTries {
		err := p.Within(undeadLimit, what, fn)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EIO) {
			p.t.Fatalf("%s: %v, want EIO; daemon: %s", what, err, p.Log())
		}
		p.errs++
	}
	p.t.Fatalf("%s: fails for ever", what)
}

func (p *panicking) write(name, content string) {
	p.do("writing "+name, func() error {
		f, err := os.OpenFile(p.Path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(content)
		return errors.Join(err, f.Sync(), f.Close())
	})
}

// work does something of everything, and returns what the bucket must hold.
func (p *panicking) work() map[string]string {
	big := strings.Repeat("0123456789abcdef", 7<<16) // more than a part
	p.do("mkdir", func() error { return os.Mkdir(p.Path("dir"), 0o755) })
	p.write("dir/a", "first")
	p.write("dir/a", "second")
	p.write("dir/b", "goes")
	p.write("dir/big", big)
	p.do("chmod", func() error { return os.Chmod(p.Path("dir/a"), 0o600) })
	p.do("setxattr", func() error { return unix.Setxattr(p.Path("dir/a"), "user.colour", []byte("red"), 0) })
	p.do("truncate", func() error { return os.Truncate(p.Path("dir/a"), 3) })
	p.do("symlink", func() error { return os.Symlink("a", p.Path("dir/link")) })
	p.do("rename", func() error { return os.Rename(p.Path("dir/a"), p.Path("dir/c")) })
	p.do("flush", p.flush)
	p.do("rename of a directory", func() error { return os.Rename(p.Path("dir"), p.Path("moved")) })
	p.do("unlink", func() error { return os.Remove(p.Path("moved/b")) })
	p.do("mkdir", func() error { return os.Mkdir(p.Path("empty"), 0o755) })
	p.do("rmdir", func() error { return os.Remove(p.Path("empty")) })
	p.do("flush", p.flush)
	return map[string]string{"moved/": "", "moved/c": "sec", "moved/big": big, "moved/link": "a"}
}

// flush is done when all that was written is in the bucket; a job that
// panicked is a failed one, so that it may say so first.
func (p *panicking) flush() error {
	if status, out := p.Run(undeadLimit, "flush", "--all"); status != 0 {
		if !strings.Contains(out, "fault of moorfs") {
			return fmt.Errorf("flush: status %d: %s", status, out)
		}
		return syscall.EIO
	}
	return nil
}

// TestPanics: a request that panics fails with EIO, a job in the background
// that panics is done again; neither keeps a lock, the mount goes on, nothing
// is lost.
func TestPanics(t *testing.T) {
	s3 := harness.Versity(t)
	dir := harness.Dir(t)
	trigger, log := filepath.Join(dir, "panic"), filepath.Join(dir, "log")
	m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Build: harness.Crashpoints,
		Env:     append(s3.Env(), "MOORFS_PANIC_WHILE="+trigger),
		Options: []string{"--endpoint-url", s3.Endpoint, "--write-back", "50ms", "--part-size", "5MiB", "--log-file", log}})
	if err := os.WriteFile(trigger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &panicking{Mount: m, t: t}
	want := p.work()
	points := panicsIn(t, log)
	t.Logf("%d operations failed; panics at %v", p.errs, points)
	for _, point := range []string{"created", "dirtied", "changed", "renamed", "unlink", "begun", "flushed", "deleted", "part"} {
		if !points[point+":before"] {
			t.Errorf("no panic at %s", point)
		}
	}
	if err := os.Remove(trigger); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	got, err := s3.Objects(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	for key, body := range want {
		if !bytes.Equal(got[key], []byte(body)) {
			t.Errorf("%q holds %d bytes, want %d", key, len(got[key]), len(body))
		}
	}
	if len(got) != len(want) {
		t.Errorf("the bucket has %d objects, want %d", len(got), len(want))
	}
}

// panicsIn returns the points at which the log says that there were panics,
// each of which must have its stack.
func panicsIn(t *testing.T, log string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		found := regexp.MustCompile(`panic="?made up at the point ([a-z-]+:before)`).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		points[found[1]] = true
		if !strings.Contains(line, "point_crash.go") {
			t.Errorf("no stack: %.200s", line)
		}
	}
	return points
}
