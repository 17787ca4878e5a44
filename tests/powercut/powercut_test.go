package powercut_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	powercut.Serve()
	if dir := os.Getenv(journalEnv); dir != "" {
		fmt.Fprintln(os.Stderr, writeJournal(dir))
		os.Exit(1)
	}
	os.Exit(harness.Main(m.Run))
}

const pageSize = 4096

// A world is a disk and what a test does to it; the first error ends the test.
type world struct {
	t    *testing.T
	disk *powercut.Disk
}

func start(t *testing.T) *world {
	return &world{t, powercut.Start(t, filepath.Join(harness.Dir(t), "disk"))}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.disk.Dir, name) }

func (w *world) cut(fate powercut.Fate, seed uint64) {
	w.t.Helper()
	lost, err := w.disk.Cut(fate, seed)
	w.must(err)
	w.t.Logf("%s: %s", fate, lost)
}

// put writes pages of a letter each from a page on; sync as told.
func (w *world) put(name, letters string, page int64, sync bool) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	w.must(err)
	_, err = f.WriteAt(pages(letters), page*pageSize)
	w.must(err)
	if sync {
		w.must(f.Sync())
	}
	w.must(f.Close())
}

func (w *world) syncDir(name string) {
	w.t.Helper()
	d, err := os.Open(w.path(name))
	w.must(err)
	w.must(d.Sync())
	w.must(d.Close())
}

// letters says what the pages of a file hold, "." for zeros; "absent" if it is
// not there.
func (w *world) letters(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	w.must(err)
	var all []byte
	for len(data) > 0 {
		page := data[:min(len(data), pageSize)]
		data = data[len(page):]
		letter := page[0]
		if !bytes.Equal(page, bytes.Repeat(page[:1], len(page))) {
			letter = '?'
		} else if letter == 0 {
			letter = '.'
		}
		all = append(all, letter)
	}
	return string(all)
}

func (w *world) want(name string, want ...string) {
	w.t.Helper()
	got := w.letters(name)
	for _, s := range want {
		if got == s {
			return
		}
	}
	w.t.Errorf("%s holds %q, want one of %q", name, got, want)
}

func pages(letters string) []byte {
	var b []byte
	for _, c := range []byte(letters) {
		if c == '.' {
			c = 0
		}
		b = append(b, bytes.Repeat([]byte{c}, pageSize)...)
	}
	return b
}

func TestBytes(t *testing.T) {
	w := start(t)
	w.put("new", "abc", 0, false)
	w.put("kept", "abc", 0, true)
	w.put("over", "abc", 0, true)
	w.put("over", "XY", 1, false)
	w.put("cut", "abc", 0, true)
	w.must(os.Truncate(w.path("cut"), pageSize))
	f, err := os.OpenFile(w.path("punched"), os.O_RDWR|os.O_CREATE, 0o600)
	w.must(err)
	_, err = f.Write(pages("abc"))
	w.must(err)
	w.must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, pageSize, pageSize))
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	w.must(err)
	data, err := unix.Seek(int(f.Fd()), hole, unix.SEEK_DATA)
	w.must(err)
	if hole != pageSize || data != 2*pageSize {
		t.Errorf("a hole at %d to %d, want %d to %d", hole, data, pageSize, 2*pageSize)
	}
	w.must(unix.Fdatasync(int(f.Fd())))
	w.must(f.Close())
	w.cut(powercut.Nothing, 0)
	w.want("new", "") // its name was synced with that of the next
	w.want("kept", "abc")
	w.want("over", "abc")
	w.want("cut", "abc")
	w.want("punched", "a.c")
}

// What is left by chance is never what was not there; over many seeds each
// thing that may be is.
func TestChance(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := start(t)
	seen := map[string]bool{}
	for i := range uint64(60) {
		fate := []powercut.Fate{powercut.Some, powercut.Zeros}[i%2]
		w.must(os.RemoveAll(w.path("d")))
		w.must(os.Mkdir(w.path("d"), 0o700))
		w.put("d/over", "ab", 0, true)
		w.put("d/cut", "ab", 0, true)
		w.put("d/old", "o", 0, true)
		w.put("d/tmp", "n", 0, true)
		w.syncDir("d")
		w.put("d/over", "XYZ", 0, false)
		w.must(os.Truncate(w.path("d/cut"), 0))
		w.put("d/cut", "X", 0, false)
		w.must(os.Rename(w.path("d/tmp"), w.path("d/old")))
		w.cut(fate, seed+i)
		zeros := []string{"ab", "aY", "Xb", "XY", "ab.", "aY.", "Xb.", "XY."}
		if fate == powercut.Some {
			zeros = append(zeros, "abZ", "aYZ", "XbZ", "XYZ")
		}
		w.want("d/over", zeros...)
		w.want("d/cut", "ab", "", "X", ".")
		if old, tmp := w.letters("d/old"), w.letters("d/tmp"); !(old == "o" && tmp == "n" || old == "n" && tmp == "absent") {
			t.Errorf("half a rename: old %q, tmp %q", old, tmp)
		}
		for _, name := range []string{"over", "cut", "old"} {
			seen[name+" "+w.letters("d/"+name)] = true
		}
	}
	for _, want := range []string{"over ab", "over XYZ", "cut ab", "cut ", "cut X", "old o", "old n"} {
		if !seen[want] {
			t.Errorf("%q was never seen", want)
		}
	}
}

func TestNames(t *testing.T) {
	w := start(t)
	w.must(os.MkdirAll(w.path("a/deep"), 0o700))
	w.must(os.Mkdir(w.path("b"), 0o700))
	w.put("a/deep/file", "f", 0, true) // and its path
	w.put("a/moved", "m", 0, true)
	w.put("a/gone", "g", 0, true)
	w.put("b/late", "l", 0, false)
	w.must(os.Rename(w.path("a/moved"), w.path("b/moved")))
	w.must(os.Remove(w.path("a/gone")))
	w.put("b/moved", "m", 0, true) // fsync says nothing about a rename
	w.cut(powercut.Nothing, 0)
	w.want("a/deep/file", "f")
	w.want("a/moved", "m")
	w.want("a/gone", "g")
	w.want("b/late", "absent")

	w.must(os.Rename(w.path("a/moved"), w.path("b/moved")))
	w.must(os.Remove(w.path("a/gone")))
	w.syncDir("b") // with both sides of the rename
	w.cut(powercut.Nothing, 0)
	w.want("b/moved", "m")
	w.want("a/moved", "absent")
	w.want("a/gone", "g")
}

// A mapping is what badger writes through.
func TestMapping(t *testing.T) {
	w := start(t)
	f, err := os.OpenFile(w.path("log"), os.O_RDWR|os.O_CREATE, 0o600)
	w.must(err)
	w.must(f.Truncate(4 * pageSize))
	m, err := unix.Mmap(int(f.Fd()), 0, 4*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	w.must(err)
	copy(m, pages("ab"))
	w.must(unix.Msync(m[:pageSize], unix.MS_SYNC))
	copy(m[pageSize:], pages("XY"))
	again, err := os.Open(w.path("log"))
	w.must(err)
	if data := make([]byte, 4*pageSize); true {
		_, err = again.ReadAt(data, 0)
		w.must(err)
		if !bytes.Equal(data, pages("aXY.")) {
			t.Error("a read does not see the mapping")
		}
	}
	w.must(again.Close())
	w.must(unix.Munmap(m))
	w.must(f.Close())
	w.want("log", "aXY.")
	w.cut(powercut.Nothing, 0)
	w.want("log", "a...")

	f, err = os.OpenFile(w.path("log"), os.O_RDWR, 0)
	w.must(err)
	m, err = unix.Mmap(int(f.Fd()), 0, 4*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	w.must(err)
	copy(m[pageSize:], pages("XY"))
	other, err := os.Open(w.path("log"))
	w.must(err)
	w.must(other.Sync()) // of another descriptor
	w.must(other.Close())
	copy(m, pages("Z"))
	w.must(unix.Munmap(m))
	w.must(f.Close())
	w.cut(powercut.Nothing, 0)
	w.want("log", "aXY.")
}

func TestInUse(t *testing.T) {
	w := start(t)
	f, err := os.Create(w.path("open"))
	w.must(err)
	w.must(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	other, err := os.Open(w.path("open"))
	w.must(err)
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock: %v", err)
	}
	w.must(other.Close())
	w.must(f.Close())
	for i := range 2000 { // removed inodes do not pile up for ever, nor are those missing that are there
		name := w.path(fmt.Sprint("f", i%7))
		w.must(os.WriteFile(name, []byte("x"), 0o600))
		w.must(os.Rename(name, w.path("g")))
		if i%3 == 0 {
			w.must(os.Remove(w.path("g")))
		}
	}
	w.syncDir(".")
	w.want("g", "x")
}
