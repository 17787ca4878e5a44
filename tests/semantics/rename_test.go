package semantics

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// renameat2 is renameat2(2) of two paths.
func renameat2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

func checkRename(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		write(t, at(name), "content of "+name)
	}
	flush(t, s.here, base(dir))
	s.Proxy.Reset()
	ok(t, os.Rename(at("a"), at("moved")))
	ok(t, os.Rename(at("b"), at("c")))
	fails(t, renameat2(at("d"), at("e"), unix.RENAME_NOREPLACE), syscall.EEXIST)
	ok(t, renameat2(at("d"), at("e"), unix.RENAME_EXCHANGE))
	want := map[string]string{"": "", "moved": "content of a", "c": "content of b", "d": "content of e", "e": "content of d"}
	for name, body := range want {
		if name != "" {
			holds(t, at(name), body)
		}
	}
	equal(t, "what is left under the old names", len(listed(t, dir)), 4)
	flush(t, s.here, base(dir))
	s.bucket(t, key, want)
	holds(t, filepath.Join(there, "moved"), "content of a")
	if copies := s.Proxy.Counts()["CopyObject"]; copies < 2 {
		t.Errorf("%d copies on the server", copies)
	}
	// Nothing is deleted whose new place is not confirmed.
	s.Proxy.Fault(s3test.Fault{Match: onKey("PUT", key+"refused"), Effect: s3test.Denied()})
	ok(t, os.Rename(at("moved"), at("refused")))
	if status, _ := s.here.Run(patience, "flush", dir); status == 0 {
		t.Error("the copy was not refused")
	}
	s.object(t, key+"moved", "content of a")
	ok(t, os.Rename(at("refused"), at("moved")))
	flush(t, s.here, base(dir))
	s.bucket(t, key, want)
}

// onKey matches requests of one method for keys that begin so.
func onKey(method, key string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		return strings.HasPrefix(path, key) && (method == "" || r.Method == method)
	}
}

func checkRenameDirectory(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	ok(t, os.MkdirAll(at("fresh", "sub"), 0o755))
	write(t, at("fresh", "sub", "f"), "content")
	ok(t, os.Rename(at("fresh"), at("published")))
	holds(t, at("published", "sub", "f"), "content")
	flush(t, s.here, base(dir))
	s.object(t, key+"published/sub/f", "content")
	equal(t, "that the key before the upload exists", s.has(t, key+"fresh/sub/f"), false)

	s.put(t, key+"theirs/deep/g", "never listed here", nil)
	f, err := os.Open(at("published", "sub", "f"))
	ok(t, err)
	defer f.Close()
	write(t, at("published", "dirty"), "not uploaded")
	s.Proxy.Reset()
	ok(t, os.Rename(at("published"), at("moved")))
	m := s.mount(t, "--write-back", "1h")
	ok(t, os.Rename(m.Path(key, "theirs"), m.Path(key, "taken")))
	holds(t, m.Path(key, "taken", "deep", "g"), "never listed here")
	flush(t, m)
	_, err = os.Lstat(at("published"))
	fails(t, err, syscall.ENOENT)
	holds(t, at("moved", "sub", "f"), "content")
	holds(t, at("moved", "dirty"), "not uploaded")
	body, err := io.ReadAll(f)
	if err != nil || string(body) != "content" {
		t.Errorf("the open file reads %q, %v", body, err)
	}
	flush(t, s.here, base(dir))
	s.bucket(t, key, map[string]string{"": "", "moved/": "", "moved/sub/": "", "moved/sub/f": "content", "moved/dirty": "not uploaded",
		"taken/deep/g": "never listed here"})
	if copies := s.Proxy.Counts()["CopyObject"]; copies == 0 {
		t.Error("nothing was copied on the server")
	}
	s.put(t, key+"published/late", "put there afterwards", nil)
	eventually(t, "what others put below the old prefix", func() bool {
		body, err := os.ReadFile(filepath.Join(there, "published", "late"))
		return err == nil && string(body) == "put there afterwards"
	})
	holds(t, filepath.Join(there, "moved", "sub", "f"), "content")
}
