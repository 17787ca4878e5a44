package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache"
)

func TestUtab(t *testing.T) {
	u := utab{file: filepath.Join(t.TempDir(), "mount", "utab")}
	if err := u.remove("/mnt/a"); err != nil {
		t.Errorf("remove without a file: %v", err)
	}
	foreign := "SRC=/dev/sdb TARGET=/mnt/a ROOT=/ OPTS=x-other\n"
	if err := os.MkdirAll(filepath.Dir(u.file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(u.file, []byte(foreign), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/mnt/a", "/mnt/a b", "/mnt/a"} {
		if err := u.add("s3://b/x#y", dir); err != nil {
			t.Fatal(err)
		}
	}
	want := foreign + `SRC=s3://b/x\043y TARGET=/mnt/a\040b ROOT=/ OPTS=x-moorfs` + "\n" + `SRC=s3://b/x\043y TARGET=/mnt/a ROOT=/ OPTS=x-moorfs` + "\n"
	wantFile(t, u.file, want)
	if err := u.remove("/mnt/a b"); err != nil {
		t.Fatal(err)
	}
	if err := u.remove("/mnt/a"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, u.file, foreign)
	info, err := os.Stat(u.file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s:\n%s%v\nwant\n%s", name, got, err, want)
	}
}

func TestMountinfo(t *testing.T) {
	lines := parseMountinfo(`22 1 0:20 / /proc rw,nosuid - proc proc rw
36 25 0:41 / /mnt/a\040b rw,nosuid,nodev shared:7 master:1 - fuse.moorfs s3://b/x\043y rw,user_id=0
broken
`)
	if len(lines) != 2 {
		t.Fatalf("got %+v", lines)
	}
	if l := lines[1]; l.target != "/mnt/a b" || l.source != "s3://b/x#y" || l.fstype != "fuse.moorfs" || len(l.options) != 3 {
		t.Errorf("got %+v", l)
	}
	for _, s := range []string{"plain", "a b\tc\nd\\e#f", `\04`, "ü"} {
		if got := unmangle(mangle(s)); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
}

func TestRegistryDropsTheDead(t *testing.T) {
	r := registry{dir: filepath.Join(t.TempDir(), "run")}
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	living := registration{Pid: os.Getpid(), Start: start, Mountpoint: "/mnt/a", Source: "s3://a"}
	reused := registration{Pid: os.Getpid(), Start: start - 1, Mountpoint: "/mnt/b"}
	for _, m := range []registration{living, reused} {
		if err := r.add(m); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := r.list()
	if err != nil || len(got) != 1 || got[0].Mountpoint != "/mnt/a" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := os.Stat(r.file("/mnt/b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the entry of a dead process is still there: %v", err)
	}
	if err := r.remove(registration{Pid: 1, Mountpoint: "/mnt/a"}); err != nil {
		t.Error(err)
	}
	if got, _, err := r.list(); err != nil || len(got) != 1 {
		t.Errorf("another process's entry was removed: %+v, %v", got, err)
	}
	if err := r.remove(living); err != nil {
		t.Error(err)
	}
	if got, _, err := r.list(); err != nil || len(got) != 0 {
		t.Errorf("still there: %+v, %v", got, err)
	}
}

func TestIdleCaches(t *testing.T) {
	x := cacheIndex{dir: filepath.Join(t.TempDir(), "caches")}
	here := func(name string) string {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	left := &cache.Progress{Files: 2, Bytes: 3 << 20}
	waiting, crashed, clean, used := here("waiting"), here("crashed"), here("clean"), here("used")
	for _, n := range []cacheNote{
		{Source: "s3://waiting", CacheDir: waiting, Ended: true, Left: left},
		{Source: "s3://crashed", CacheDir: crashed},
		{Source: "s3://clean", CacheDir: clean, Ended: true},
		{Source: "s3://used", CacheDir: used},
		{Source: "s3://gone", CacheDir: "/does/not/exist", Ended: true, Left: left},
	} {
		if err := x.put(n); err != nil {
			t.Fatal(err)
		}
	}
	idle, err := x.idle([]registration{{CacheDir: used}})
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, n := range idle {
		text = append(text, n.describe())
	}
	all := strings.Join(text, "\n")
	if len(idle) != 2 || !strings.Contains(all, "s3://waiting has 2 files, 3.0 MiB still queued") || !strings.Contains(all, "s3://crashed was not unmounted in order") {
		t.Errorf("got %s", all)
	}
	if _, err := os.Stat(x.file("/does/not/exist")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note of a cache that is gone is still there: %v", err)
	}
}

func TestUsersOf(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("cat")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	users := usersOf(dir)
	if len(users) != 1 || users[0].pid != cmd.Process.Pid || users[0].path != dir {
		t.Errorf("got %+v, want process %d", users, cmd.Process.Pid)
	}
	if ended, err := waitExit(cmd.Process.Pid, start, time.Millisecond); err != nil || ended {
		t.Errorf("a running process: ended %v, %v", ended, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if ended, err := waitExit(cmd.Process.Pid, start, time.Minute); err != nil || !ended {
		t.Errorf("a process that has ended: %v, %v", ended, err)
	}
	if users := usersOf(dir); len(users) != 0 {
		t.Errorf("got %+v", users)
	}
}

func TestMakeDirIsTakenBack(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "b", "c")
	top, err := makeDir(dir)
	if err != nil || top != filepath.Join(base, "a") {
		t.Fatalf("top %q, %v", top, err)
	}
	if again, err := makeDir(dir); err != nil || again != "" {
		t.Errorf("a directory that was there counts as made: %q, %v", again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "moorfs.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeMade(dir, top); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(top); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", top, err)
	}
}

func TestUndoStack(t *testing.T) {
	for _, failed := range []bool{false, true} {
		var u undoStack
		var done []string
		step := func(name string, err error) func() error {
			return func() error { done = append(done, name); return err }
		}
		u.push(always, step("first", nil))
		u.push(onFailure, step("second", nil))
		u.push(always, step("third", errors.New("no")))
		err := u.run(failed)
		want := "third first"
		if failed {
			want = "third second first"
		}
		if got := strings.Join(done, " "); got != want || err == nil {
			t.Errorf("failed %v: %q, %v", failed, got, err)
		}
		if err := u.run(true); err != nil || len(done) > 3 {
			t.Errorf("undone twice: %v, %v", done, err)
		}
	}
}

func TestOpenLogSetsALongOneAside(t *testing.T) {
	name := filepath.Join(t.TempDir(), "moorfs.log")
	if err := os.WriteFile(name, make([]byte, maxLog+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{0, 2} {
		f, err := openLog(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil || info.Size() != want {
			t.Errorf("size %d, %v; want %d", info.Size(), err, want)
		}
		if _, err := f.WriteString("x\n"); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(name + ".1"); err != nil || info.Size() != maxLog+1 {
		t.Errorf("the old log is gone: %v", err)
	}
}

// TestNamesThatAreNotUTF8: what is not UTF-8 comes back from a registration and
// a note as it was, and those who read it as JSON see that it is not all.
func TestNamesThatAreNotUTF8(t *testing.T) {
	m := registration{Pid: 7, Mountpoint: "/mnt/\xff", Source: "s3://b/\xfe", CacheDir: "/c\xfd", Socket: "/c\xfd/s"}
	n := cacheNote{Source: m.Source, CacheDir: m.CacheDir, Ended: true}
	for _, pair := range [][2]any{{m, &registration{}}, {n, &cacheNote{}}, {registration{Mountpoint: "/mnt/ü"}, &registration{}}} {
		b, err := json.Marshal(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, pair[1]); err != nil {
			t.Fatal(err)
		}
		if got := reflect.ValueOf(pair[1]).Elem().Interface(); !reflect.DeepEqual(got, pair[0]) {
			t.Errorf("%s: %+v, want %+v", b, got, pair[0])
		}
	}
}

// TestDamagedEntries: an entry that a power cut left is nobody's mount, and a note
// of that kind hides no other.
func TestDamagedEntries(t *testing.T) {
	r := registry{dir: t.TempDir()}
	broken := filepath.Join(r.dir, "x.json")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if running, dying, err := r.list(); err != nil || len(running)+len(dying) > 0 {
		t.Errorf("%v, %v, %v", running, dying, err)
	}
	if _, err := os.Stat(broken); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the entry stays: %v", err)
	}
	x := cacheIndex{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(x.dir, "0.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := x.put(cacheNote{Source: "s3://b", CacheDir: r.dir}); err != nil {
		t.Fatal(err)
	}
	notes, err := x.idle(nil)
	if len(notes) != 1 || err == nil || !strings.Contains(err.Error(), "0.json is damaged") {
		t.Errorf("%v, %v", notes, err)
	}
}
