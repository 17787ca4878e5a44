package semantics

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

var nameChecks = map[string]check{
	"Keys":              checkKeys,
	"Empty directories": checkEmptyDirectories,
	"Odd keys":          checkOddKeys,
	"Ordinary names":    checkOrdinaryNames,
	"Long names":        checkLongNames,
}

func checkKeys(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	s.put(t, key+"deep/er/file", "content", nil)
	s.put(t, key+"marked/", "", nil)
	holds(t, filepath.Join(there, "deep", "er", "file"), "content")
	for _, name := range []string{"deep", "deep/er", "marked"} {
		if mode := stat(t, filepath.Join(there, name)).Mode; mode&syscall.S_IFMT != syscall.S_IFDIR {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
	ok(t, os.MkdirAll(filepath.Join(dir, "made", "here"), 0o755))
	write(t, filepath.Join(dir, "made", "here", "file"), "ours")
	flush(t, s.here, base(dir))
	s.object(t, key+"made/here/file", "ours")

	prefixed := mountOf(t, s.S3, harness.Spec{Source: "s3://" + s.Bucket + "/" + key + "deep"})
	holds(t, prefixed.Path("er", "file"), "content")
	write(t, prefixed.Path("new"), "below a prefix")
	flush(t, prefixed)
	s.object(t, key+"deep/new", "below a prefix")

	odd := newAnyKey(t)
	odd.Set("m/", []byte("body"), nil)
	odd.Set("m/f", []byte("file"), nil)
	m := odd.mount(t)
	holds(t, m.Path("m", "f"), "file")
	holds(t, m.Path("m", "%=%f"), "body")
}

func checkEmptyDirectories(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	ok(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	ok(t, syscall.Chmod(filepath.Join(dir, "empty"), 0o2751))
	ok(t, os.Chown(filepath.Join(dir, "empty"), alice, bob))
	flush(t, s.here, base(dir))
	o := s.head(t, key+"empty/")
	equal(t, "the marker's size", o.Size, 0)
	equal(t, "the marker's mode", strings.TrimLeft(o.Meta["file-permissions"], "0"), "42751")
	equal(t, "the marker's owner", o.Meta["file-owner"], "4001")
	equal(t, "the marker's group", o.Meta["file-group"], "4002")
	st := stat(t, filepath.Join(there, "empty"))
	equal(t, "the mode there", st.Mode, syscall.S_IFDIR|0o2751)
	equal(t, "the owner there", st.Uid, alice)

	write(t, filepath.Join(dir, "empty", "file"), "x")
	ok(t, os.Remove(filepath.Join(dir, "empty", "file")))
	flush(t, s.here, base(dir))
	equal(t, "the mode after it was used", stat(t, filepath.Join(there, "empty")).Mode, syscall.S_IFDIR|0o2751)
}

// ordinary are names that are kept as they are.
var ordinary = []string{
	"plain", "with space ", " lead", "tab\t", "new\nline", "bell\a\x01\x1f\x7f", "back\\slash", "50%", "%41", "%", "a%2Fb", "%%=", "...", ".hidden",
	"é", "e\u0301", "日本語", "\U0001F600", "\xff\xfe", "half \xc3", "+&=?#;:@,'\"<>[]{}|^`~*", strings.Repeat("n", 255), strings.Repeat("é", 127),
}

func checkOrdinaryNames(t *testing.T, _ *stage) {
	b := newAnyKey(t)
	m := b.mount(t)
	for _, name := range ordinary {
		write(t, m.Path(name), "content of "+name)
		ok(t, os.Mkdir(m.Path("d-"+name[:min(len(name), 250)]), 0o755))
	}
	flush(t, m)
	for _, name := range ordinary {
		if body, found := b.Body(name); !found || string(body) != "content of "+name {
			t.Errorf("the object at %.60q holds %.60q, %v", name, body, found)
		}
		if _, found := b.Body("d-" + name[:min(len(name), 250)] + "/"); !found {
			t.Errorf("there is no marker for the directory d-%.60q", name)
		}
	}
	other := b.mount(t)
	shown := listed(t, other.Dir)
	equal(t, "the number of names", len(shown), 2*len(ordinary))
	for _, name := range ordinary {
		holds(t, other.Path(name), "content of "+name)
	}
}

func checkLongNames(t *testing.T, s *stage) {
	dir, _, key := s.dir(t)
	n255, n256 := strings.Repeat("n", 255), strings.Repeat("n", 256)
	write(t, filepath.Join(dir, n255), "long")
	fails(t, os.WriteFile(filepath.Join(dir, n256), nil, 0o644), syscall.ENAMETOOLONG)
	fails(t, os.Mkdir(filepath.Join(dir, n256), 0o755), syscall.ENAMETOOLONG)
	fails(t, os.Rename(filepath.Join(dir, n255), filepath.Join(dir, n256)), syscall.ENAMETOOLONG)
	_, err := os.Lstat(filepath.Join(dir, n256))
	fails(t, err, syscall.ENAMETOOLONG)

	const maxKey = 1024
	deep, left := dir, maxKey-len(key)
	for left > 220 {
		deep = filepath.Join(deep, strings.Repeat("d", 200))
		left -= 201
		ok(t, os.Mkdir(deep, 0o755))
	}
	fits, over := filepath.Join(deep, strings.Repeat("f", left)), filepath.Join(deep, strings.Repeat("f", left+1))
	write(t, fits, "at the limit")
	fails(t, os.WriteFile(over, nil, 0o644), syscall.ENAMETOOLONG)
	fails(t, os.Mkdir(fits+"d", 0o755), syscall.ENAMETOOLONG)
	fails(t, os.Symlink("x", over), syscall.ENAMETOOLONG)
	fails(t, syscall.Mkfifo(over, 0o644), syscall.ENAMETOOLONG)
	fails(t, os.Rename(fits, over), syscall.ENAMETOOLONG)
	if err := os.Link(fits, over); !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("link: %v", err)
	}
	flush(t, s.here, base(dir))
	s.object(t, strings.TrimPrefix(fits, s.here.Dir+"/"), "at the limit")
	equal(t, "the state", xattr(t, fits, "user.moorfs.state"), "synced")
}
