package semantics

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var differenceChecks = map[string]check{
	"Reads that the kernel answers": checkKernelReads,
	"Fifos":                         checkFifos,
	"Whiteouts":                     checkWhiteouts,
	"Reserved names":                checkReservedNames,
	"A chown of nothing":            checkEmptyChown,
	"O_DIRECT":                      checkDirect,
	"The end of a directory":        checkDirectoryEnd,
	"The largest file":              checkLargestFile,
}

func checkKernelReads(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	old := unix.Timespec{Sec: 1000}
	for content, noted := range map[string]bool{"": false, "content": true} {
		write(t, path, content)
		ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{old, old}, 0))
		holds(t, path, content)
		equal(t, "that reading "+content+" is noted", stat(t, path).Atim.Sec != old.Sec, noted)
	}
}

func checkFifos(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "fifo")
	ok(t, unix.Mkfifo(path, 0o600))
	before := stat(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	_, err = f.WriteString("through")
	ok(t, err)
	_, err = f.Read(make([]byte, 7))
	ok(t, err)
	after := stat(t, path)
	equal(t, "mtime", after.Mtim, before.Mtim)
	equal(t, "atime", after.Atim, before.Atim)
}

func checkWhiteouts(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "x")
	fails(t, unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_WHITEOUT), syscall.EINVAL)
	holds(t, from, "x")
}

func checkReservedNames(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	fails(t, os.Mkdir(filepath.Join(dir, "%=nothing"), 0o755), syscall.EINVAL)
	ok(t, os.Mkdir(filepath.Join(dir, "=%nothing%="), 0o755))
}

func checkEmptyChown(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	write(t, path, "x")
	ok(t, os.Chmod(dir, 0o777))
	for uid, left := range map[uint32]uint32{4242: 0o4755, 0: 0o755} {
		ok(t, unix.Chmod(path, 0o4755))
		_, err := as(uid, "chown", "", path)
		ok(t, err)
		equal(t, "the mode", stat(t, path).Mode&0o7777, left)
	}
}

func checkDirect(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	ok(t, err)
	_, err = unix.Pwrite(fd, []byte("odd"), 1)
	ok(t, err)
	ok(t, unix.Close(fd))
	holds(t, path, "\x00odd")
}

func checkDirectoryEnd(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	ok(t, err)
	defer unix.Close(fd)
	end, err := unix.Seek(fd, 0, unix.SEEK_END)
	ok(t, err)
	equal(t, "the end", end, stat(t, dir).Size)
}

func checkLargestFile(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "f")
	write(t, path, "x")
	fails(t, os.Truncate(path, 1<<62), syscall.EFBIG)
	holds(t, path, "x")
}
