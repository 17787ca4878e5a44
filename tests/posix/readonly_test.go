package posix

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

// readOnlyTree is made before the filesystems are read-only.
var readOnlyTree = suite{`
	root mk dir d 0777 alice alice
	root mk dir d/full 0777 alice alice
	root mk dir d/empty 0777 alice alice
	root mk file d/f 0666 alice alice
	root mk file d/full/g 0666 alice alice
	root mk fifo d/p 0666 alice alice
	root mk chr d/c 0666 root root
	root symlink f d/l
	root setxattr d/f user.a b
`}

// readOnlySuite is every call that changes something, and some that do not.
var readOnlySuite = suite{`
	$user x=open d/{f l new p full nothing/f} {O_RDONLY O_RDWR O_WRONLY O_RDONLY|O_TRUNC O_RDWR|O_CREAT O_RDWR|O_CREAT|O_EXCL O_RDONLY|O_DIRECTORY O_PATH}|O_NONBLOCK 0644
	$user read x 4

	$user x=open d/f O_RDONLY
	$user {fchmod,x,0600 fchown,x,-,shared futimens,x,1,2 fsetxattr,x,user.a,b fremovexattr,x,user.a fsync,x pread,x,5,2 write,x,data ftruncate,x,0 fallocate,x,0,0,5}

	$user mkdir d/{f new full nothing/d} 0755
	$user mknod d/{f new} {file fifo} 0644
	$user symlink target d/{f new}
	$user link d/f d/{l new}
	$user unlink d/{f full nothing}
	$user rmdir d/{f full empty nothing}
	$user rename d/{f full nothing} d/{f new empty}

	$user open d O_TMPFILE|O_RDWR 0600
	$user chmod d/{f l full nothing} 0600
	$user chown d/{f full nothing} - {- shared}
	$user utimens d/{f full nothing} {now 1} 2
	$user truncate d/{f full nothing} 3
	$user access d/{f full p c nothing} {0 2 4}

	$user setxattr d/{f nothing} user.{a b} c {0 XATTR_CREATE XATTR_REPLACE}
	$user removexattr d/{f nothing} user.{a b}
	$user getxattr d/f user.{a b}
	$user listxattr d/f
	$user readlink d/l
	$user stat d/full/g

	alice x=open d/p O_RDWR|O_NONBLOCK
	alice write x data
	alice x=open d/c O_RDWR
	alice write x data
`}

// TestReadOnly compares a read-only mount with a read-only ext4.
func TestReadOnly(t *testing.T) {
	needRoot(t)
	s3 := harness.Versity(t)
	spec := harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(), Options: slices.Concat([]string{"--endpoint-url", s3.Endpoint}, unsent)}
	first := harness.Start(t, spec)
	plain := ext4Dir(t)
	random := newRandom()
	for _, dir := range []string{first.Dir, plain} {
		s := newSide(t, dir, dir)
		for _, script := range readOnlyTree.cases(1, random) {
			first.Do(t, "filling "+dir, func() error { return s.make(script) })
		}
		s.close(t)
	}
	if err := first.Unmount(); err != nil {
		t.Fatal(err)
	}
	bindReadOnly(t, plain)
	spec.Options = append(spec.Options, "--read-only")
	m := harness.Start(t, spec)
	p := &pair{mount: m, ours: newSide(t, "moorfs", m.Dir), theirs: newSide(t, "ext4", plain), standing: true}
	p.compareAll(t, readOnlySuite, random)
}

// bindReadOnly makes a directory read-only until the test ends.
func bindReadOnly(t *testing.T, dir string) {
	t.Helper()
	err := unix.Mount(dir, dir, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		t.Fatalf("making %s read-only: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
}
