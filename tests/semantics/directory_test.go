package semantics

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

var dirEntries = flag.Int("semantics.entries", 100_000, "names in the large directory")

// An entry is what getdents64(2) says of one name: to continue after it, seek
// to its offset.
type entry struct {
	name   string
	ino    uint64
	offset int64
}

// A scan reads a directory by getdents64(2), as much at once as its buffer
// holds.
type scan struct {
	t   *testing.T
	fd  int
	buf []byte
}

func newScan(t *testing.T, dir string, size int) *scan {
	t.Helper()
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	ok(t, err)
	t.Cleanup(func() { ok(t, syscall.Close(fd)) })
	return &scan{t: t, fd: fd, buf: make([]byte, size)}
}

// next returns the next entries; none: the end.
func (s *scan) next() (all []entry) {
	s.t.Helper()
	n, err := unix.Getdents(s.fd, s.buf)
	ok(s.t, err)
	for rest := s.buf[:n]; len(rest) > 0; {
		d := (*unix.Dirent)(unsafe.Pointer(&rest[0]))
		name := rest[unsafe.Offsetof(d.Name):d.Reclen]
		all = append(all, entry{unix.ByteSliceToString(name), d.Ino, d.Off})
		rest = rest[d.Reclen:]
	}
	runtime.KeepAlive(s.buf)
	return all
}

func (s *scan) seek(offset int64) error {
	_, err := syscall.Seek(s.fd, offset, 0)
	return err
}

// rest reads to the end.
func (s *scan) rest() (all []entry) {
	s.t.Helper()
	for {
		more := s.next()
		if len(more) == 0 {
			return all
		}
		all = append(all, more...)
	}
}

func namesOf(entries []entry) []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	return names
}

// checkReaddir reads a directory whose other names come and go meanwhile.
func checkReaddir(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	defer func() { ok(t, os.RemoveAll(dir)) }() // nobody needs it in the bucket
	const n = 3000
	for i := range n {
		ok(t, os.Symlink("x", filepath.Join(dir, fmt.Sprintf("stays-%04d", i))))
	}
	stop, changed := make(chan struct{}), make(chan error, 1)
	go func() { changed <- churn(dir, stop) }()
	var readers sync.WaitGroup
	for _, size := range []int{300, 4096, 32 << 10} {
		readers.Go(func() {
			d := newScan(t, dir, size)
			for range 3 {
				once(t, d.rest(), n)
				ok(t, d.seek(0))
			}
		})
	}
	readers.Wait()
	close(stop)
	ok(t, <-changed)
	checkSeeks(t, dir)
}

// churn makes, renames and removes names between those that stay.
func churn(dir string, stop chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		a, b := filepath.Join(dir, fmt.Sprintf("stays-%04d+", i*7%3000)), filepath.Join(dir, fmt.Sprintf("stays-%04d+", i*31%3000))
		err := os.Symlink("y", a)
		if err == nil {
			err = os.Rename(a, b)
		}
		if err == nil && i%3 > 0 {
			err = os.Remove(b)
		}
		if err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// once fails the test unless each of the n names that stay is there once, and
// none twice.
func once(t *testing.T, entries []entry, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, e := range entries {
		seen[e.name]++
	}
	for name, times := range seen {
		if times > 1 {
			t.Errorf("%s is listed %d times", name, times)
		}
	}
	for i := range n {
		if name := fmt.Sprintf("stays-%04d", i); seen[name] != 1 {
			t.Errorf("%s is listed %d times", name, seen[name])
		}
	}
}

// checkSeeks goes back to offsets handed out, before and after the directory
// changed.
func checkSeeks(t *testing.T, dir string) {
	t.Helper()
	d := newScan(t, dir, 2000)
	all := d.rest()
	for _, i := range []int{0, 1, 2, 3, 500, len(all) / 2, len(all) - 2} {
		ok(t, d.seek(all[i].offset))
		if got := d.next(); len(got) == 0 || got[0].name != all[i+1].name {
			t.Fatalf("behind %s comes %v, want %s", all[i].name, got[:min(1, len(got))], all[i+1].name)
		}
	}
	other := newScan(t, dir, 2000)
	ok(t, other.seek(all[500].offset))
	equal(t, "what comes behind an offset of another open", other.next()[0].name, all[501].name)
	// The name at the offset, and some around it, go; others come.
	at := slices.IndexFunc(all, func(e entry) bool { return e.name == "stays-1500" })
	for i := at - 20; i <= at; i++ {
		ok(t, os.Remove(filepath.Join(dir, all[i].name)))
	}
	ok(t, os.Symlink("x", filepath.Join(dir, all[at].name+"-new")))
	ok(t, d.seek(all[at].offset))
	got := namesOf(d.rest())
	if i := slices.Index(got, all[at+1].name); i < 0 || i > 1 {
		t.Errorf("behind a name that is gone comes %q, want %q", got[:min(3, len(got))], all[at+1].name)
	}
	if slices.Contains(got, all[at-21].name) {
		t.Errorf("%q comes again", all[at-21].name)
	}
	ok(t, d.seek(0))
	if now := namesOf(d.rest()); !slices.Contains(now, all[at].name+"-new") || slices.Contains(now, all[at].name) {
		t.Error("after a rewind the present is not shown")
	}
}

// TestDirectoryOfManyNames reads a directory of as many names as the flag says
// that others made, with several readers, in bounded memory.
func TestDirectoryOfManyNames(t *testing.T) {
	t.Parallel()
	n := *dirEntries
	m := manyNames(t, n)
	peak := watch(t, m)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			all := newScan(t, m.Path("many"), 64<<10).rest()
			if len(all) != n+2 {
				t.Errorf("%d entries, want %d", len(all), n+2)
			}
			for i, e := range all[2:] {
				if e.name != fmt.Sprintf("%09d", i) {
					t.Errorf("entry %d is %s", i, e.name)
					return
				}
			}
		})
	}
	readers.Wait()
	if most := peak(); most > 250<<20 {
		t.Errorf("reading %d names took %d MiB", n, most>>20)
	} else {
		t.Logf("%d names read: at most %d MiB", n, most>>20)
	}
}

// watch measures the daemon's memory until peak, which returns the most.
func watch(t *testing.T, m *harness.Mount) (peak func() int64) {
	t.Helper()
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var n int64
		for {
			n = max(n, m.Memory())
			select {
			case <-tick.C:
			case <-stop:
				most <- n
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}

// manyNames mounts a bucket with n empty objects below many/.
func manyNames(t *testing.T, n int) *harness.Mount {
	t.Helper()
	b := newAnyKey(t)
	for i := range n {
		b.Set(fmt.Sprintf("many/%09d", i), nil, nil)
	}
	m := b.mount(t, "--attrs", "list", "--attr-ttl", "1h", "--list-ttl", "1h")
	stop := harness.AbortAfter(m.Dir, limit+time.Duration(n)*time.Millisecond)
	t.Cleanup(func() { stop() })
	return m
}

// TestForgottenInodes looks up many inodes and makes the kernel forget them:
// what the daemon kept for each is given back.
func TestForgottenInodes(t *testing.T) {
	t.Parallel()
	n := *dirEntries / 2
	m := manyNames(t, n)
	idle := m.Memory()
	names := listed(t, m.Path("many"))
	first := known(t, m, names)
	for try := 1; ; try++ { // what is garbage is not always collected yet
		forget(t, m, idle+(first-idle)*2/3)
		left := m.Memory()
		second := known(t, m, names)
		t.Logf("%d MiB at first, %d MiB with %d inodes, %d MiB without, %d MiB with them again", idle>>20, first>>20, n, left>>20, second>>20)
		if second <= first+(first-idle)/2 {
			return
		}
		if try == 3 {
			t.Fatalf("%d inodes took %d MiB; forgotten and looked up again for the third time, %d MiB", n, first>>20, second>>20)
		}
	}
}

// known makes the kernel know the names of the directory and returns what
// memory the daemon has then.
func known(t *testing.T, m *harness.Mount, names []string) int64 {
	t.Helper()
	for _, name := range names {
		stat(t, m.Path("many", name))
	}
	return m.Memory()
}

// forget makes the kernel forget all inodes that nobody uses, and waits until
// the daemon has less memory than less.
func forget(t *testing.T, m *harness.Mount, less int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("less than %d MiB after forgetting", less>>20), func() bool {
		ok(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0))
		return m.Memory() < less
	})
}
