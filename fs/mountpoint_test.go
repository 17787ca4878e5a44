package fs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mountTable = `22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
36 22 0:45 / /mnt/a\040b rw,nosuid,nodev,relatime shared:1 - fuse.moorfs s3://bucket/pre\040fix rw,user_id=0,group_id=0
37 22 0:46 / /mnt/x rw,relatime - tmpfs tmpfs rw
38 37 0:300 / /mnt/x rw,relatime master:2 propagate_from:1 - fuse.moorfs s3://b rw,user_id=0
short line
`

func TestParseMounts(t *testing.T) {
	m, err := parseMounts(mountTable, "/mnt/a b")
	if err != nil || m.minor != 45 || m.source != "s3://bucket/pre fix" || m.fsType != "fuse.moorfs" {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := parseMounts(mountTable, "/mnt/x"); err != nil || m.minor != 300 {
		t.Errorf("the topmost mount: %+v, %v", m, err)
	}
	if _, err := parseMounts(mountTable, "/mnt"); !errors.Is(err, errNotMounted) {
		t.Errorf("error is %v", err)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`a\040b\134c\043d`: "a b\\c#d",
		`plain`:            "plain",
		`end\`:             `end\`,
		`x\9z`:             `x\9z`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(base, "real")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"rel": "real", "abs": real, "twice": "rel", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"real", "rel", "abs", "twice", "rel/../real/"} {
		if got, err := resolve(base + "/" + name); err != nil || got != real {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := resolve(base + "/loop"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("loop: %v", err)
	}
}

func TestCheckMountpointSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"):         "does not exist",
		filepath.Join(dir, "missing", "deep"): "does not exist",
		file:                                  "is not a directory",
		dir:                                   "not empty",
	} {
		err := CheckMountpoint(Options{Mountpoint: path, Source: "s3://b"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := checkDir(dir, true); err != nil {
		t.Errorf("with nonempty: %v", err)
	}
}

func TestWithinDoesNotHang(t *testing.T) {
	hung := make(chan struct{})
	defer close(hung)
	err := within(time.Millisecond, func() error { <-hung; return nil })
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if err := within(time.Minute, func() error { return syscall.ENOTCONN }); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("error is %v", err)
	}
}

func TestFuseConf(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	if err := checkFuseConf(conf); err == nil || !strings.Contains(err.Error(), "user_allow_other") {
		t.Errorf("no file: %v", err)
	}
	for text, allowed := range map[string]bool{"user_allow_other\n": true, "#user_allow_other\n": false, "mount_max = 9\n": false} {
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkFuseConf(conf); (err == nil) != allowed {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMountFlags(t *testing.T) {
	const safe = syscall.MS_NOSUID | syscall.MS_NODEV
	for _, c := range []struct {
		o    Options
		want uintptr
	}{
		{Options{}, safe},
		{Options{ReadOnly: true, FuseOptions: []string{"noexec", "rw"}}, safe | syscall.MS_RDONLY | syscall.MS_NOEXEC},
		{Options{FuseOptions: []string{"noatime", "relatime"}}, safe | syscall.MS_NOATIME},
	} {
		if got, err := c.o.flags(); err != nil || got != c.want {
			t.Errorf("%v: %#x, %v; want %#x", c.o.FuseOptions, got, err, c.want)
		}
	}
	if _, err := (Options{FuseOptions: []string{"no-such"}}).flags(); err == nil || !strings.Contains(err.Error(), `"no-such"`) {
		t.Errorf("unknown option: %v", err)
	}
	o := Options{ReadOnly: true, FuseOptions: []string{"ro", "noexec", "relatime"}}
	if got, want := o.words(), []string{"default_permissions", "ro", "noexec"}; !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
}
