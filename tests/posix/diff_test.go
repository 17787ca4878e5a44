package posix

import (
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

// reported bounds the differences that are shown in full.
const reported = 20

// suites are the directed cases, by system call.
var suites = map[string]suite{
	"access":    accessSuite,
	"chmod":     chmodSuite,
	"chown":     chownSuite,
	"copy":      copySuite,
	"fallocate": fallocateSuite,
	"limits":    limitsSuite,
	"link":      linkSuite,
	"lock":      lockSuite,
	"lseek":     lseekSuite,
	"mkdir":     mkdirSuite,
	"mkfifo":    mkfifoSuite,
	"mknod":     mknodSuite,
	"open":      openSuite,
	"rename":    renameSuite,
	"rmdir":     rmdirSuite,
	"stat":      statSuite,
	"symlink":   symlinkSuite,
	"tmpfile":   tmpfileSuite,
	"truncate":  truncateSuite,
	"unlink":    unlinkSuite,
	"utimensat": utimensatSuite,
	"write":     writeSuite,
	"xattr":     xattrSuite,
}

// anybody are the options of a mount for all users.
var anybody = []string{"--allow-other", "-o", "dev,suid"}

// unsent are those of one on which nothing is uploaded while the test runs.
var unsent = append(slices.Clone(anybody), "--write-back", "1h")

var (
	seed = flag.Uint64("posix.seed", rand.Uint64(), "which cases and random scripts are run")
	most = flag.Int("posix.cases", 15, "cases of one template at most")
)

// TestDifference makes the same calls on a mount and on ext4.
func TestDifference(t *testing.T) {
	t.Logf("-posix.seed %d", *seed)
	p := newPair(t, unsent)
	for _, name := range slices.Sorted(maps.Keys(suites)) {
		t.Run(name, func(t *testing.T) { p.compareAll(t, suites[name], newRandom()) })
	}
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(*seed, 0)) }

// compareAll runs the cases of a suite and reports each kind of difference
// once.
func (p *pair) compareAll(t *testing.T, s suite, random *rand.Rand) {
	t.Helper()
	cases := s.cases(*most, random)
	kinds, differ := map[string]int{}, 0
	for _, script := range cases {
		d := p.compare(t, script)
		if d == nil {
			continue
		}
		differ++
		if kinds[d.kind()]++; kinds[d.kind()] == 1 && len(kinds) <= reported {
			t.Errorf("%v", d)
		}
	}
	t.Logf("%d cases, %d differ", len(cases), differ)
}

// newPair mounts a new bucket and makes a directory on ext4.
func newPair(t *testing.T, options []string) *pair {
	t.Helper()
	needRoot(t)
	s3 := harness.Versity(t)
	spec := harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(), Options: slices.Concat([]string{"--endpoint-url", s3.Endpoint}, options)}
	m := harness.Start(t, spec)
	return &pair{s3: s3, spec: spec, mount: m, ours: newSide(t, "moorfs", m.Dir), theirs: newSide(t, "ext4", ext4Dir(t))}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the comparison acts as several users and needs root")
	}
}

// ext4Dir returns a new directory on an ext4: where the tests are, or else in
// an image that is mounted for the test.
func ext4Dir(t *testing.T) string {
	t.Helper()
	dir := harness.Dir(t)
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != unix.EXT4_SUPER_MAGIC {
		mountImage(t, dir)
	}
	return dir
}

func mountImage(t *testing.T, dir string) {
	t.Helper()
	image := harness.Dir(t) + "/ext4"
	for _, command := range []string{
		"truncate -s 2G " + image,
		"mkfs.ext4 -q " + image,
		"mount -o loop " + image + " " + dir,
	} {
		if out, err := shell(command); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})

}

func shell(command string) (string, error) {
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	return string(out), err
}
