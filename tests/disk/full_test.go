package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
)

// On a disk in memory that is full a write to a mapped file kills, as on ext4.
const smallDisk = "size=420m"

// newSmall is newWorld with a disk that others can fill.
func newSmall(t *testing.T) *world {
	w := &world{T: t, s3: harness.Versity(t), must: map[string][]byte{}, kept: map[string]bool{}}
	w.disk = &powercut.Disk{Dir: filepath.Join(harness.Dir(t), "disk")}
	w.ok(os.Mkdir(w.disk.Dir, 0o755))
	w.ok(syscall.Mount("tmpfs", w.disk.Dir, "tmpfs", 0, smallDisk))
	t.Cleanup(func() { w.ok(syscall.Unmount(w.disk.Dir, syscall.MNT_DETACH)) })
	return w
}

// fill has somebody else take all that is free but left bytes.
func (w *world) fill(left int64) {
	w.Helper()
	var st syscall.Statfs_t
	w.ok(syscall.Statfs(w.disk.Dir, &st))
	f, err := os.OpenFile(filepath.Join(w.disk.Dir, "others"), os.O_RDWR|os.O_CREATE, 0o600)
	w.ok(err)
	size, err := f.Seek(0, 2)
	w.ok(err)
	if n := int64(st.Bavail)*st.Bsize - left; n > 0 {
		w.ok(syscall.Fallocate(int(f.Fd()), 0, size, n))
	}
	w.ok(f.Close())
}

func (w *world) free() {
	w.Helper()
	w.ok(os.Remove(filepath.Join(w.disk.Dir, "others")))
}

// TestDiskFilledByOthers has others fill the disk, to the last byte, while
// files are written and while the daemon is down. Badger, whose files are
// mapped, would end the daemon with SIGBUS if it met that.
func TestDiskFilledByOthers(t *testing.T) {
	t.Parallel()
	w := newSmall(t)
	w.mount()
	w.some(2)
	w.flush()
	w.s3.Proxy.Fault(s3test.Fault{Match: s3test.On("PutObject"), Effect: s3test.Denied()}) // else writers wait
	w.some(2)
	full := []syscall.Errno{syscall.ENOSPC}
	refused := 0
	for _, left := range []int64{150 << 20, 100 << 20, 60 << 20, 20 << 20, 1 << 20, 0} {
		w.fill(left)
		for range 6 {
			w.known()
			err := w.write(false)
			w.allowed("write", err, full)
			if err != nil {
				refused++
			}
			w.allowed("chmod", os.Chmod(w.m.Path("f001"), 0o640), full)
		}
		w.allowed("fsync of the directory", w.sync("."), full)
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	t.Logf("%d writes were refused", refused)
	for name := range w.must {
		w.allowed("read", w.read(name), nil)
	}
	w.ok(w.m.Kill()) // while it is full
	w.refusedMount("no room", "full")
	w.free()
	w.s3.Proxy.Heal()
	w.mount()
	w.ok(w.write(true))
	w.flush()
	w.inBucket(func(string) bool { return true })
	w.ok(w.m.Unmount())
	w.fill(0)
	w.refusedMount("no room", "full")
	w.free()
	w.mount()
	w.ok(w.write(true))
}

// TestMountOnReadOnlyDisk mounts with a cache on a disk that is read-only.
func TestMountOnReadOnlyDisk(t *testing.T) {
	t.Parallel()
	w := newSmall(t)
	w.mount()
	w.some(1)
	w.s3.Proxy.Offline(true)
	w.some(2)
	w.ok(w.m.Kill())
	w.s3.Proxy.Offline(false)
	w.ok(syscall.Mount("", w.disk.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	w.refusedMount("read-only file system")
	w.ok(syscall.Mount("", w.disk.Dir, "", syscall.MS_REMOUNT, smallDisk))
	w.mount()
	w.flush()
	w.inBucket(func(string) bool { return true })
}

// refusedMount tries to mount, and wants exit status 1 and one line that says
// one of these.
func (w *world) refusedMount(why ...string) {
	w.Helper()
	m, err := harness.Try(w, w.spec())
	if err == nil {
		w.Fatalf("the mount came about: %s", m.Log())
	}
	var lines []string
	for line := range strings.Lines(m.Log()) {
		if strings.HasPrefix(line, "moorfs: ") {
			lines = append(lines, line)
		}
	}
	told, exit := len(lines) == 1, (*exec.ExitError)(nil)
	for _, w := range why {
		if told && strings.Contains(lines[0], w) {
			why = nil
		}
	}
	if !told || why != nil || !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Contains(m.Log(), "SIGBUS") {
		w.Errorf("%v: said %q", err, m.Log())
	}
}
