package semantics

import (
	"context"
	"errors"
	"fmt"
	"io"
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

var operationChecks = map[string]check{
	"open, read": checkOpenRead,
	"write, truncate, O_APPEND, mmap, fallocate, copy_file_range, SEEK_DATA, SEEK_HOLE": checkWrite,
	"close": checkClose,
	"fsync, fdatasync of a file or directory": checkFsync,
	"sync, syncfs":                     checkSync,
	"create, O_EXCL":                   checkCreate,
	"rename of a file":                 checkRename,
	"rename of a directory":            checkRenameDirectory,
	"O_EXCL and mkdir on two machines": checkTwoMachines,
	"saving through a temporary file":  checkSave,
	"unlink":                           checkUnlink,
	"rmdir":                            checkRmdir,
	"link":                             checkLink,
	"O_TMPFILE":                        checkTmpfile,
	"flock, fcntl locks":               checkLocks,
	"readdir":                          checkReaddir,
	"symlink, mknod of fifos, sockets and devices, chmod, chown, utimens": checkInodes,
}

// large is a content of which a first read fetches but a part.
func large(letter string) string { return strings.Repeat(letter, 24<<20) }

func checkOpenRead(t *testing.T, _ *stage) {
	for name, versioned := range map[string]bool{"plain": false, "versioned": true} {
		t.Run(name, func(t *testing.T) {
			s := &stage{S3: harness.Versity(t)}
			if versioned {
				ok(t, s.Raw.EnableVersioning(t.Context()))
			}
			s.put(t, "f", large("a"), nil)
			m := s.mount(t, "--attr-ttl", "0s", "--list-ttl", "0s", "--read-ahead", "0")
			f, err := os.Open(m.Path("f"))
			ok(t, err)
			defer f.Close()
			one := make([]byte, 1)
			_, err = f.ReadAt(one, 0)
			ok(t, err)
			s.put(t, "f", large("b"), nil)
			holds(t, m.Path("f"), large("b"))
			rest, err := io.ReadAll(f)
			if strings.Contains(string(rest), "b") {
				t.Errorf("the old version's reader saw the new one")
			}
			if versioned {
				ok(t, err)
				equal(t, "the old version's length", len(rest), 24<<20)
			} else {
				fails(t, err, syscall.ESTALE)
			}
		})
	}
}

func checkWrite(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	path := filepath.Join(dir, "f")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	ok(t, err)
	defer f.Close()
	want := make([]byte, 256<<10)
	put := func(off int, data string) {
		t.Helper()
		_, err := f.WriteAt([]byte(data), int64(off))
		ok(t, err)
		copy(want[off:], data)
	}
	put(100, "in the middle")
	put(200_000, strings.Repeat("x", 5000))
	ok(t, f.Truncate(256<<10))
	ok(t, syscall.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 201_000, 1000))
	clear(want[201_000:202_000])
	ok(t, syscall.Fallocate(int(f.Fd()), unix.FALLOC_FL_ZERO_RANGE, 203_000, 1000))
	clear(want[203_000:204_000])
	ok(t, syscall.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20))
	fails(t, syscall.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096), syscall.EOPNOTSUPP)

	page, err := syscall.Mmap(int(f.Fd()), 65536, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	ok(t, err)
	copy(page, "stored through memory")
	ok(t, syscall.Munmap(page))
	copy(want[65536:], "stored through memory")
	data, err := f.Seek(150_000, unix.SEEK_DATA)
	ok(t, err)
	hole, err := f.Seek(70_000, unix.SEEK_HOLE)
	ok(t, err)
	if data > 200_000 || data < 150_000 || hole > 200_000 {
		t.Errorf("data at %d, a hole at %d", data, hole)
	}
	a, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	ok(t, err)
	_, err = a.WriteString("at the end")
	ok(t, err)
	ok(t, a.Close())
	want = append(want, "at the end"...)
	ok(t, syscall.Fallocate(int(f.Fd()), 0, 0, int64(len(want)+100)))
	want = append(want, make([]byte, 100)...)
	holds(t, path, string(want))
	out, err := exec.Command("cp", "--reflink=never", path, path+"-copy").CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	ok(t, f.Close())
	flush(t, s.here, base(dir))
	s.object(t, key+"f", string(want))
	holds(t, filepath.Join(there, "f-copy"), string(want))
}

func checkClose(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	m := s.mount(t, "--write-back", "1h")
	write(t, m.Path("f"), "closed")
	equal(t, "that it is uploaded at once", s.has(t, "f"), false)
	ok(t, m.Kill())
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache, Options: []string{"--write-back", "1s"}})
	holds(t, m.Path("f"), "closed")
	eventually(t, "the upload", func() bool { return s.has(t, "f") })
	s.object(t, "f", "closed")

	d := s.mount(t, "--write-back", "1h", "--durability", "bucket")
	write(t, d.Path("g"), "there")
	s.object(t, "g", "there")
	s.Proxy.Fault(s3test.Fault{Match: s3test.On("PutObject"), Effect: s3test.Denied()})
	defer s.Proxy.Heal()
	fails(t, os.WriteFile(d.Path("h"), []byte("refused"), 0o644), syscall.EACCES)
	holds(t, d.Path("h"), "refused")
	s.Proxy.Heal()
	flush(t, d)
}

func checkFsync(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	f, err := os.Create(filepath.Join(dir, "f"))
	ok(t, err)
	defer f.Close()
	_, err = f.WriteString("synced")
	ok(t, err)
	ok(t, f.Sync())
	ok(t, syscall.Fdatasync(int(f.Fd())))
	d, err := os.Open(dir)
	ok(t, err)
	defer d.Close()
	ok(t, d.Sync())

	own := &stage{S3: harness.Versity(t)}
	m := own.mount(t, "--write-back", "1h", "--durability", "bucket")
	g, err := os.Create(m.Path("g"))
	ok(t, err)
	defer g.Close()
	_, err = g.WriteString("there")
	ok(t, err)
	ok(t, g.Sync())
	own.object(t, "g", "there")
	crash := own.mount(t, "--write-back", "1h")
	h, err := os.Create(crash.Path("h"))
	ok(t, err)
	defer h.Close()
	_, err = h.WriteString("before the crash")
	ok(t, err)
	ok(t, h.Sync())
	ok(t, crash.Kill())
	crash = mountOf(t, own.S3, harness.Spec{Cache: crash.Cache})
	holds(t, crash.Path("h"), "before the crash")
}

func checkSync(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	m := s.mount(t, "--write-back", "1h")
	d, err := os.Open(m.Dir)
	ok(t, err)
	defer d.Close()
	write(t, m.Path("f"), "by itself")
	ok(t, unix.Syncfs(int(d.Fd())))
	// Each sync of the cache writes the sidecars of what is not uploaded.
	eventually(t, "a sidecar of the file", func() bool {
		found, err := filepath.Glob(filepath.Join(m.Cache, "data", "*", "*.meta"))
		return err == nil && len(found) > 0
	})
	ok(t, m.Kill())
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache})
	holds(t, m.Path("f"), "by itself")
}

func checkCreate(t *testing.T, s *stage) {
	dir, there, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	const racers = 8
	won := make(chan bool, racers)
	for range racers {
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err == nil {
				err = f.Close()
			}
			won <- err == nil
		}()
	}
	winners := 0
	for range racers {
		if <-won {
			winners++
		}
	}
	equal(t, "the number of winners", winners, 1)
	_, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	fails(t, err, syscall.EEXIST)
	flush(t, s.here, base(dir))
	holds(t, filepath.Join(there, "f"), "")
}

func checkTwoMachines(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	one, two := s.mount(t, "--write-back", "1h"), s.mount(t, "--write-back", "1h")
	for _, m := range []*harness.Mount{one, two} {
		f, err := os.OpenFile(m.Path("f"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		ok(t, err)
		_, err = f.WriteString("from " + m.Dir)
		ok(t, err)
		ok(t, f.Close())
		ok(t, os.Mkdir(m.Path("d"), 0o755))
	}
	flush(t, one)
	if status, _ := two.Run(patience, "flush", two.Dir); status > 1 {
		t.Errorf("the flush that meets a conflict ends with %d", status)
	}
	s.object(t, "f", "from "+one.Dir)
	var parked int
	eventually(t, "the conflict's upload", func() bool {
		found, err := s.Objects(context.Background(), "f (conflict ")
		parked = len(found)
		for _, body := range found {
			return err == nil && string(body) == "from "+two.Dir
		}
		return false
	})
	equal(t, "the number of conflicts", parked, 1)
}

func checkSave(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	s.put(t, "doc.txt", "old", nil)
	m := s.mount(t, "--write-back", "1s")
	holds(t, m.Path("doc.txt"), "old")
	s.Proxy.Reset()
	f, err := os.Create(m.Path(".doc.txt.swp"))
	ok(t, err)
	_, err = f.WriteString("new")
	ok(t, err)
	ok(t, f.Sync())
	ok(t, f.Close())
	ok(t, os.Rename(m.Path(".doc.txt.swp"), m.Path("doc.txt")))
	flush(t, m)
	s.bucket(t, "", map[string]string{"doc.txt": "new"})
	counts := s.Proxy.Counts()
	equal(t, "the number of uploads", counts["PutObject"]+counts["CopyObject"]+counts["DeleteObject"]+counts["DeleteObjects"], 1)
}

func checkUnlink(t *testing.T, s *stage) {
	dir, _, key := s.dir(t)
	s.put(t, key+"open", large("o"), nil)
	s.put(t, key+"replaced", "first", nil)
	m := s.mount(t, "--write-back", "1h", "--read-ahead", "0")
	f, err := os.Open(m.Path(key + "open"))
	ok(t, err)
	defer f.Close()
	ok(t, os.Remove(m.Path(key+"open")))
	_, err = os.Lstat(m.Path(key + "open"))
	fails(t, err, syscall.ENOENT)
	body, err := io.ReadAll(f)
	if err != nil || string(body) != large("o") {
		t.Errorf("the open file reads %d bytes, %v", len(body), err)
	}
	ok(t, f.Close())
	holds(t, m.Path(key+"replaced"), "first")
	ok(t, os.Remove(m.Path(key+"replaced")))
	s.put(t, key+"replaced", "second", nil)
	eventually(t, "the deletion", func() bool { flush(t, m); return !s.has(t, key+"open") })
	s.object(t, key+"replaced", "second")
	if _, err := os.Lstat(dir); err != nil {
		t.Error(err)
	}
}

func checkRmdir(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	ok(t, os.Mkdir(filepath.Join(dir, "full"), 0o755))
	flush(t, s.here, base(dir))
	stat(t, filepath.Join(there, "full"))
	s.put(t, key+"full/theirs", "x", nil)
	fails(t, os.Remove(filepath.Join(there, "full")), syscall.ENOTEMPTY)
	write(t, filepath.Join(dir, "full", "f"), "x")
	fails(t, syscall.Rmdir(filepath.Join(dir, "full")), syscall.ENOTEMPTY)

	s.put(t, key+"bare/only", "x", nil)
	m := s.mount(t, "--write-back", "1h")
	ok(t, os.Remove(m.Path(key, "bare", "only")))
	flush(t, m)
	s.bucket(t, key+"bare/", map[string]string{"": ""})
	ok(t, os.Remove(m.Path(key, "bare")))
	flush(t, m)
	equal(t, "that the marker is left", s.has(t, key+"bare/"), false)
}

func checkLink(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	write(t, filepath.Join(dir, "f"), "x")
	fails(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "g")), syscall.EPERM)
}

func checkTmpfile(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	for _, name := range []string{"named", ""} {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		ok(t, err)
		_, err = unix.Write(fd, []byte("content"))
		ok(t, err)
		if name != "" {
			from := fmt.Sprintf("/proc/self/fd/%d", fd)
			ok(t, unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, filepath.Join(dir, name), unix.AT_SYMLINK_FOLLOW))
			fails(t, unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, filepath.Join(dir, "again"), unix.AT_SYMLINK_FOLLOW), syscall.EPERM)
		}
		ok(t, unix.Close(fd))
	}
	equal(t, "the names", strings.Join(listed(t, dir), " "), "named")
	holds(t, filepath.Join(dir, "named"), "content")
}

func checkLocks(t *testing.T, s *stage) {
	dir, there, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	write(t, path, "x")
	flush(t, s.here, base(dir))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	ok(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	tryLock := func(p string) error { return exec.Command("flock", "-n", p, "true").Run() }
	if tryLock(path) == nil {
		t.Error("two processes have the lock")
	}
	ok(t, tryLock(filepath.Join(there, "f")))
	ok(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	ok(t, tryLock(path))

	mine := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 0, Len: 10}
	ok(t, syscall.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &mine))
	g, err := os.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	defer g.Close()
	theirs := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 5, Len: 1}
	if err := syscall.FcntlFlock(g.Fd(), unix.F_OFD_SETLK, &theirs); !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
		t.Errorf("a second lock of one range: %v", err)
	}
	theirs.Start = 10
	ok(t, syscall.FcntlFlock(g.Fd(), unix.F_OFD_SETLK, &theirs))
}

func checkInodes(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	ok(t, os.Symlink("nowhere", at("link")))
	fails(t, os.Symlink("x", at("link")), syscall.EEXIST)
	fails(t, os.Symlink(strings.Repeat("x", 5000), at("long")), syscall.ENAMETOOLONG)
	equal(t, "the size of a link", stat(t, at("link")).Size, int64(len("nowhere")))
	_, err := os.Stat(at("link"))
	fails(t, err, syscall.ENOENT)
	ok(t, syscall.Mkfifo(at("fifo"), 0o640))
	done := make(chan error, 1)
	go func() { done <- os.WriteFile(at("fifo"), []byte("through"), 0) }()
	holds(t, at("fifo"), "through")
	ok(t, <-done)
	before := stat(t, at("fifo"))
	ok(t, os.Chmod(at("fifo"), 0o600))
	ok(t, os.Chown(at("fifo"), alice, -1))
	ok(t, syscall.UtimesNano(at("fifo"), []syscall.Timespec{{Sec: 5, Nsec: 6}, {Sec: 0, Nsec: unix.UTIME_OMIT}}))
	after := stat(t, at("fifo"))
	equal(t, "the mode", after.Mode, syscall.S_IFIFO|0o600)
	equal(t, "the owner", [2]uint32{after.Uid, after.Gid}, [2]uint32{alice, before.Gid})
	equal(t, "the access time", after.Atim, syscall.Timespec{Sec: 5, Nsec: 6})
	equal(t, "the modification time", after.Mtim, before.Mtim)
	if time.Unix(after.Ctim.Unix()).Before(time.Unix(before.Ctim.Unix())) {
		t.Error("the change time went back")
	}
	_, err = as(bob, "chmod", "777", at("fifo"))
	if err == nil {
		t.Error("another user may chmod")
	}
}
