package posix

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

// caseLimit is when a case's mount is aborted.
const caseLimit = time.Minute

// gofuseExcept holds the cases that ask for what a bucket cannot give; each is
// replaced by a check of what programs get instead.
var gofuseExcept = map[string]func(t *testing.T, dir string){
	"Link":             refusesLink, // an object has one name
	"LinkUnlinkRename": refusesLink,
	"XAttrLarge":       refusesLargeXattr, // S3 keeps 2 KiB of metadata

	// Holds on no local filesystem: fcntl locks of one process never conflict.
	// go-fuse leaves the case out itself.
	"FcntlFlockLocksFile": locksOfOpenFiles,
}

func TestGoFuse(t *testing.T) {
	s3 := harness.Versity(t)
	// The server itself: a proxy in this process would open descriptors, which
	// one of the cases counts.
	m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(),
		Options: []string{"--endpoint-url", s3.Server.URL}})
	for name, run := range posixtest.All {
		if instead := gofuseExcept[name]; instead != nil {
			run = instead
		}
		t.Run(name, func(t *testing.T) {
			dir := m.Path(name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if t.Skipped() {
					t.Errorf("the case was skipped: it asks for something that the mount has not")
				}
			})
			stop := harness.AbortAfter(m.Dir, caseLimit)
			run(t, dir)
			if !stop() {
				t.Errorf("hung; aborted after %v", caseLimit)
			}
		})
	}
}

func refusesLink(t *testing.T, dir string) {
	target, link := dir+"/target", dir+"/link"
	if err := os.WriteFile(target, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Link(target, link); !errors.Is(err, syscall.EPERM) {
		t.Errorf("link: %v, want EPERM", err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("after link failed: %v, want no such name", err)
	}
}

// locksOfOpenFiles is the case with locks that belong to an open file.
func locksOfOpenFiles(t *testing.T, dir string) {
	var files [2]*os.File
	for i := range files {
		f, err := os.OpenFile(dir+"/file", os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	lock := func(f *os.File, kind int16) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind})
	}
	if err := lock(files[0], unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	if err := lock(files[1], unix.F_RDLCK); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a lock that another open file has: %v, want EAGAIN", err)
	}
}

func refusesLargeXattr(t *testing.T, dir string) {
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setxattr(file, "user.large", make([]byte, 8<<10), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("setxattr of 8 KiB: %v, want ENOSPC", err)
	}
	if n, err := syscall.Getxattr(file, "user.large", nil); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("getxattr after setxattr failed: %d bytes, %v, want ENODATA", n, err)
	}
}
