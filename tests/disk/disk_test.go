package disk

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
)

var rounds = flag.Int("disk.rounds", 1, "how often the mount is used while the disk is ill")

// lanes is how many tests run side by side: they wait most of the time.
const lanes = "8"

func TestMain(m *testing.M) {
	powercut.Serve()
	flag.Parse()
	if err := flag.Set("test.parallel", lanes); err != nil {
		panic(err)
	}
	os.Exit(harness.Main(m.Run))
}

const (
	patience = time.Minute
	prompt   = 20 * time.Second // when a call must have ended
)

// A world is a bucket, a mount whose cache lies on a disk of trouble, and the
// contents that were acknowledged.
type world struct {
	*testing.T
	s3   *harness.S3
	disk *powercut.Disk
	m    *harness.Mount
	boot int
	must map[string][]byte // by name: written and closed
	kept map[string]bool   // synced as well
	made int
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, s3: harness.Versity(t), must: map[string][]byte{}, kept: map[string]bool{}}
	w.disk = powercut.Start(t, filepath.Join(harness.Dir(t), "disk"))
	return w
}

func (w *world) mount() {
	w.Helper()
	w.m = harness.Start(w, w.spec())
	w.ok(harness.Until(patience, "the mount to be announced", func() bool { return w.said("msg=mounted") > 0 }))
}

func (w *world) spec() harness.Spec {
	return harness.Spec{Source: "s3://" + w.s3.Bucket, Dir: filepath.Join(filepath.Dir(w.disk.Dir), "mnt"),
		Cache: filepath.Join(w.disk.Dir, "cache"), Build: harness.Crashpoints,
		Env: append(w.s3.Env(), fmt.Sprintf("MOORFS_BOOT_ID=boot-%d", w.boot)),
		Options: []string{"--endpoint-url", w.s3.Endpoint, "--write-back", "100ms", "--cache-size", "2GiB", "--attr-ttl", "1h",
			"--stuck-after", "10s"}}
}

func (w *world) trouble(t powercut.Trouble) (hits int) {
	w.Helper()
	hits, err := w.disk.Trouble(t)
	w.ok(err)
	return hits
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v\ndaemon: %s", err, w.m.Log())
	}
}

// write writes a new file, and syncs it, and notes what was acknowledged. A
// file that could not be made has no name.
func (w *world) write(sync bool) error {
	w.made++
	name := fmt.Sprintf("f%03d", w.made)
	body := bytes.Repeat([]byte(name+" "), 20_000)
	err := w.put(name, body, false)
	if err == nil {
		w.must[name] = body
		if sync {
			err = w.sync(name)
			w.kept[name] = err == nil
		}
		return err
	}
	if _, lost := os.Lstat(w.m.Path(name)); lost == nil && errors.Is(err, errMaking) {
		w.Errorf("%s could not be made, and is there: %v", name, err)
	}
	return err
}

// errMaking says that a file could not be opened for writing.
var errMaking = errors.New("cannot be made")

func (w *world) put(name string, body []byte, sync bool) error {
	return w.m.Within(prompt, "writing "+name, func() (err error) {
		f, err := os.OpenFile(w.m.Path(name), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("%w: %w", errMaking, err)
		}
		_, err = f.Write(body)
		if err == nil && sync {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	})
}

// scribble writes the content that a file has once more, so that it is the same whatever
// comes of it, and syncs it.
func (w *world) scribble(name string) error { return w.put(name, w.must[name], true) }

// sync is fsync of a file or of the directory.
func (w *world) sync(name string) error {
	return w.m.Within(prompt, "fsync of "+name, func() error {
		f, err := os.Open(w.m.Path(name))
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// read reads a file and compares it.
func (w *world) read(name string) error {
	return w.m.Within(prompt, "reading "+name, func() error {
		body, err := os.ReadFile(w.m.Path(name))
		if err == nil && !bytes.Equal(body, w.must[name]) {
			w.Errorf("%s: %d bytes that are not its content", name, len(body))
		}
		return err
	})
}

func (w *world) flush() {
	w.Helper()
	if status, out := w.m.Run(patience, "flush", w.m.Dir); status != 0 {
		w.Fatalf("moorfs flush: status %d: %s\ndaemon: %s", status, out, w.m.Log())
	}
}

// inBucket compares the bucket with what was acknowledged.
func (w *world) inBucket(names func(string) bool) {
	w.Helper()
	there, err := w.s3.Objects(context.Background(), "")
	w.ok(err)
	for name, body := range w.must {
		if got, found := there[name]; names(name) && (!found || !bytes.Equal(got, body)) {
			w.Errorf("%s (synced: %v): %d bytes in the bucket (found: %v), %d were acknowledged", name, w.kept[name], len(got), found, len(body))
		}
	}
}

// said counts the lines of the daemon's log that say so.
func (w *world) said(what string) int { return strings.Count(w.m.Log(), what) }

// complaints returns the daemon's lines of warning and error, but for those of
// system calls that failed: one in ten seconds for each kind.
func (w *world) complaints() (lines []string) {
	for line := range strings.Lines(w.m.Log()) {
		if strings.Contains(line, `msg="operation failed"`) {
			continue
		}
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

// A disease is a trouble and what programs may see then.
type disease struct {
	name    string
	trouble powercut.Trouble
	reads   []syscall.Errno // of cached files; that a call succeeds is always right
	writes  []syscall.Errno
}

// gone is what reads end with of bytes that the disk does not give back, and
// that are not in the bucket or cannot be had from there.
var gone = []syscall.Errno{syscall.EIO, syscall.ETIMEDOUT}

var diseases = []disease{
	{"read-only", powercut.ReadOnly(), nil, []syscall.Errno{syscall.EROFS, syscall.EIO}},
	{"slow", powercut.Slow(200 * time.Millisecond), nil, nil},
	{"EIO of writes", powercut.Broken(powercut.Writes), nil, []syscall.Errno{syscall.EIO}},
	{"EIO of syncs", powercut.Broken(powercut.Syncs), nil, []syscall.Errno{syscall.EIO}},
	{"EIO of reads", powercut.Broken(powercut.Reads), gone, []syscall.Errno{syscall.EIO}},
	{"EIO of all", powercut.Broken(powercut.Reads | powercut.Writes | powercut.Syncs | powercut.Changes), gone, []syscall.Errno{syscall.EIO}},
}

// fails reports whether calls fail, and are not only slow.
func (d disease) fails() bool { return len(d.writes) > 0 }

func TestTrouble(t *testing.T) {
	for _, d := range diseases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mount()
			w.inNetwork(d)
			if d.fails() {
				w.inPowerCut(d)
			}
		})
	}
}

// inNetwork has the disk fall ill and get well while the bucket is there.
func (w *world) inNetwork(d disease) {
	w.some(4)
	w.flush()
	w.s3.Proxy.Offline(true)
	w.some(4)
	w.s3.Proxy.Offline(false)
	w.trouble(d.trouble)
	for range *rounds {
		w.suffer(d)
	}
	w.recover(d)
	w.flush()
	w.inBucket(func(string) bool { return true })
}

// inPowerCut has the disk fall ill and get well and lose its power while the
// bucket is out of reach.
func (w *world) inPowerCut(d disease) {
	w.s3.Proxy.Offline(true)
	w.some(2)
	w.trouble(d.trouble)
	w.suffer(d)
	torn := fmt.Sprintf("f%03d", w.made) // written and, where syncs fail, not synced
	w.recover(d)
	if _, there := w.must[torn]; there { // nobody writes it again
		w.ok(w.sync(torn))
		w.kept[torn] = true
	}
	w.ok(w.write(true))
	w.ok(w.m.Kill())
	lost, err := w.disk.Cut(powercut.Nothing, 1)
	w.ok(err)
	w.Logf("the power was cut: %s", lost)
	w.s3.Proxy.Offline(false)
	w.boot++
	w.mount()
	w.flush()
	w.inBucket(func(name string) bool { return w.kept[name] })
}

// some writes new files, half of them synced.
func (w *world) some(n int) {
	w.Helper()
	for i := range n {
		w.ok(w.write(i%2 == 0))
	}
}

// suffer uses the mount while its cache's disk is ill.
func (w *world) suffer(d disease) {
	w.Helper()
	w.known()
	for name := range w.must {
		w.allowed("read", w.read(name), d.reads)
	}
	w.allowed("overwrite and fsync", w.scribble("f002"), d.writes)
	for range 100 {
		w.allowed("chmod", os.Chmod(w.m.Path("f001"), 0o640), d.writes)
	}
	w.allowed("fsync of the directory", w.sync("."), d.writes)
	w.allowed("write and fsync", w.write(true), d.writes)
	w.known()
	w.allowed("write", w.write(false), d.writes)
	status, out := w.m.Run(prompt, "status", w.m.Dir)
	says := strings.Contains(out, "the cache's disk fails")
	unread := d.trouble.Calls == powercut.Reads // the kernel may have had all that was read
	if status != 0 || says != d.fails() && !unread {
		w.Errorf("status %d: %s", status, out)
	}
}

// known stops the test if the daemon has died.
func (w *world) known() {
	w.Helper()
	select {
	case <-w.m.Died():
		w.Fatalf("the daemon has died: %s", w.m.Log())
	default:
	}
}

// recover ends the trouble and waits until the daemon has noticed.
func (w *world) recover(d disease) {
	w.Helper()
	hits := w.trouble(powercut.Trouble{})
	if hits == 0 {
		w.Errorf("no call met %s", d.name)
	}
	if d.fails() {
		w.ok(harness.Until(patience, "the disk to be believed in", func() bool {
			return w.said("the disk works again") == w.said("the disk fails;")
		}))
	}
	w.ok(w.write(true))
	w.ok(w.sync("."))
	w.Logf("%s: %d calls met it, %d complaints", d.name, hits, len(w.complaints()))
	if n := w.said("stuck"); n > 0 {
		w.Errorf("something was stuck: %s", w.m.Log())
	}
	if n := w.said("the disk fails;"); d.fails() && n > 2 || len(w.complaints()) > 12 {
		w.Errorf("said %d times that the disk fails, among %s", n, w.complaints())
	}
}

func (w *world) allowed(what string, err error, errnos []syscall.Errno) {
	w.Helper()
	if err == nil || slices.ContainsFunc(errnos, func(e syscall.Errno) bool { return errors.Is(err, e) }) {
		return
	}
	w.Errorf("%s: %v\ndaemon: %s", what, err, w.m.Log())
}
