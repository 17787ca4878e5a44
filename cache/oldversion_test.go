package cache

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCacheOfAnOlderVersion opens cache directories that were written when
// inodes had the record version 2 and extents 1, closed in order and by a kill:
// what is clean is read, what is dirty arrives. In them "clean" was read,
// "sent" sent and changed again, "dir" and "dir/new" made, "part" changed at
// 1000, "moved" renamed to "dir/moved", "removed" removed, and nothing of it
// sent.
func TestCacheOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"closed", "killed"} {
		for _, boot := range []string{"", "another"} {
			t.Run(end+" "+boot, func(t *testing.T) {
				t.Parallel()
				openOld(t, "testdata/cache.v2."+end+".tar.gz", boot)
			})
		}
	}
}

func oldBody(name string) []byte { return bytes.Repeat([]byte(name+" "), 500) }

func openOld(t *testing.T, archive, boot string) {
	dir := t.TempDir()
	unpack(t, archive, dir)
	if boot == "" {
		b, err := os.ReadFile(filepath.Join(dir, "BOOT"))
		if err != nil {
			t.Fatal(err)
		}
		boot = string(b)
	}
	b := newBench(t, func(c *Config) { c.Prefix = "other/" })
	b.ok(b.Cache.Close())
	b.cfg.Dir, b.cfg.Prefix, b.cfg.Boot = dir, "p/", boot
	for _, name := range []string{"clean", "sent", "part", "moved", "removed"} {
		b.mem.Set("p/"+name, oldBody(name), nil)
	}
	b.open()
	if got := b.read(Root, "clean"); !bytes.Equal(got, oldBody("clean")) {
		t.Errorf("clean has %d bytes", len(got))
	}
	changed := oldBody("part")
	copy(changed[1000:], "changed here")
	want := map[string]string{"p/clean": string(oldBody("clean")), "p/sent": string(oldBody("sent again")), "p/part": string(changed),
		"p/dir/": "", "p/dir/new": string(oldBody("new")), "p/dir/moved": string(oldBody("moved"))}
	for key, body := range want {
		if key == "p/dir/" {
			continue
		}
		d, name := Root, strings.TrimPrefix(key, "p/")
		if rest, below := strings.CutPrefix(name, "dir/"); below {
			d, name = b.lookup("dir"), rest
		}
		if got := b.read(d, name); string(got) != body {
			t.Errorf("%s has %d bytes, want %d", key, len(got), len(body))
		}
	}
	b.drain()
	b.bucket(want)
	if _, there := b.mem.Body("p/removed"); there {
		t.Error("what was removed is still in the bucket")
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "db.damaged-*")); err != nil || len(aside) > 0 {
		t.Errorf("the index was taken for damaged: %v, %v", aside, err)
	}
}

// unpack writes what an archive holds below dir.
func unpack(t *testing.T, archive, dir string) {
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		out, err := os.Create(path)
		if err == nil {
			_, err = io.Copy(out, r)
			err = errors.Join(err, out.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
