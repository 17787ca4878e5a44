package semantics

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/anykey"
	"github.com/moorfs/moorfs/tests/harness"
)

// oddKeys are keys that are no file names, or nearly none.
var oddKeys = []string{
	"d//b", "/a", "x", "x/in", ".", "..", "d/..", "d/./e", "../up", "n\x00ul", "\x00", "%=", "%=y", "%=y%f", "%=%2", "%=..", "%=..%+",
	"m/f", "100%", "new\nline", "ctl\x01\x1f\x7f", "\xff\xfe", "a%2Fb", "%41", "trail ", "tab\t", "back\\slash", "%00", "%=a%00b",
	strings.Repeat("l", 255), strings.Repeat("l", 256), strings.Repeat("é", 130), strings.Repeat("%", 255) + "p", strings.Repeat("e", 300) + "/in",
	strings.Repeat("t", 254), strings.Repeat("t", 254) + "/in", strings.Repeat("u", 252) + "/in", strings.Repeat("u", 252),
	strings.Repeat("v", 255), strings.Repeat("v", 255) + "/in", strings.Repeat("v", 253), strings.Repeat("é", 127), strings.Repeat("é", 127) + "/in",
	strings.Repeat("w", 300), strings.Repeat("w", 300) + "/in",
	strings.Repeat("k", 1024), strings.Repeat(strings.Repeat("c", 200)+"/", 5) + strings.Repeat("c", 19), strings.Repeat("s/", 60) + "ss",
}

// A keyStore is a bucket as another client sees it.
type keyStore interface {
	put(ctx context.Context, key, body string) error
	all(ctx context.Context) (map[string]string, error)
}

// An anyKey is a bucket that takes every key, and an endpoint of it.
type anyKey struct{ *anykey.Server }

func newAnyKey(t *testing.T) anyKey {
	s := anykey.Start()
	t.Cleanup(s.Close)
	return anyKey{s}
}

// mount mounts the bucket until t ends.
func (b anyKey) mount(t *testing.T, options ...string) *harness.Mount {
	t.Helper()
	return harness.Start(t, harness.Spec{Source: "s3://" + anykey.Bucket, Env: s3test.Environ(),
		Options: append([]string{"--endpoint-url", b.URL, "--write-back", "1h"}, options...)})
}

func (b anyKey) put(_ context.Context, key, body string) error {
	b.Set(key, []byte(body), nil)
	return nil
}

func (b anyKey) all(context.Context) (map[string]string, error) {
	all := map[string]string{}
	for _, key := range b.Keys() {
		body, _ := b.Body(key)
		all[key] = string(body)
	}
	return all, nil
}

// A realBucket is one on a server of others, which takes what it takes.
type realBucket struct{ *harness.S3 }

func (b realBucket) put(ctx context.Context, key, body string) error {
	return b.Raw.Put(ctx, key, []byte(body), nil)
}

func (b realBucket) all(ctx context.Context) (map[string]string, error) {
	found, err := b.Objects(ctx, "")
	all := map[string]string{}
	for key, body := range found {
		all[key] = string(body)
	}
	return all, err
}

// TestOddKeys takes the odd keys that a server takes and gives back in a
// listing through everything that can be done to a file.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (keyStore, func(options ...string) *harness.Mount){
		"any": func(t *testing.T) (keyStore, func(options ...string) *harness.Mount) {
			b := newAnyKey(t)
			return b, func(o ...string) *harness.Mount { return b.mount(t, o...) }
		},
		"versitygw": func(t *testing.T) (keyStore, func(options ...string) *harness.Mount) {
			s := harness.Versity(t)
			return realBucket{s}, func(o ...string) *harness.Mount { return mountOf(t, s, harness.Spec{Options: o}) }
		},
		"minio": func(t *testing.T) (keyStore, func(options ...string) *harness.Mount) {
			s := harness.MinIO(t)
			return realBucket{s}, func(o ...string) *harness.Mount { return mountOf(t, s, harness.Spec{Options: o}) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, mount := open(t)
			useOddKeys(t, store, mount)
		})
	}
}

// fill puts the odd keys there and returns those that are there then, with
// their contents.
func fill(t *testing.T, store keyStore) map[string]string {
	t.Helper()
	taken := map[string]bool{}
	for i, key := range oddKeys {
		err := store.put(t.Context(), key, "first")
		if err == nil { // some servers can make it and not replace it
			err = store.put(t.Context(), key, fmt.Sprintf("body %d", i))
		}
		taken[key] = err == nil
	}
	found, err := store.all(t.Context())
	ok(t, err)
	for key := range found {
		if !taken[key] { // the server made another key of it, or cannot replace it
			delete(found, key)
		}
	}
	if len(found) < 15 {
		t.Fatalf("the server took but %d keys: %q", len(found), slices.Collect(maps.Keys(found)))
	}
	return found
}

func useOddKeys(t *testing.T, store keyStore, mount func(...string) *harness.Mount) {
	want := fill(t, store)
	m := mount("--write-back", "1h")
	paths := pathsOf(t, m.Dir, want)
	for key, path := range paths {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		ok(t, err)
		_, err = f.WriteString(" and more")
		ok(t, err)
		ok(t, f.Close())
		ok(t, os.Chmod(path, 0o640))
		want[key] += " and more"
	}
	flush(t, m)
	compare(t, store, want)

	other := mount("--write-back", "1h")
	for key, path := range pathsOf(t, other.Dir, want) {
		equal(t, fmt.Sprintf("the mode of %.40q", key), stat(t, path).Mode&0o7777, 0o640)
		equal(t, "the path elsewhere", strings.TrimPrefix(path, other.Dir), strings.TrimPrefix(paths[key], m.Dir))
		ok(t, os.Rename(path, other.Path("renamed")))
		ok(t, os.Rename(other.Path("renamed"), path))
		ok(t, os.Remove(path))
		want[key] = fmt.Sprintf("made again as %x", key)
		write(t, path, want[key])
	}
	flush(t, other)
	compare(t, store, want)
	for _, path := range pathsOf(t, other.Dir, want) {
		ok(t, os.Remove(path))
	}
	flush(t, other)
	left, err := store.all(t.Context())
	ok(t, err)
	for key := range want {
		if body, there := left[key]; there {
			t.Errorf("%.60q is left with %q", key, body)
		}
	}
}

// compare fails the test unless the bucket has these objects.
func compare(t *testing.T, store keyStore, want map[string]string) {
	t.Helper()
	got, err := store.all(t.Context())
	ok(t, err)
	for key, body := range want {
		if got[key] != body {
			t.Errorf("the object at %.60q holds %q, want %q", key, got[key], body)
		}
	}
	bodies := slices.Collect(maps.Values(want))
	for key, body := range got {
		if _, known := want[key]; !known && slices.Contains(bodies, body) {
			t.Errorf("%.60q holds %q, too", key, body)
		}
	}
}

// pathsOf finds the one file that holds the content of each key.
func pathsOf(t *testing.T, root string, want map[string]string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for key, body := range want {
		keys[body] = key
	}
	paths := map[string]string{}
	ok(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%q was listed: %w", path, err)
		}
		if key, known := keys[string(body)]; known {
			if first, twice := paths[key]; twice {
				t.Errorf("%.60q is both %q and %q", key, first, path)
			}
			paths[key] = path
		}
		return nil
	}))
	for key := range want {
		if paths[key] == "" {
			t.Errorf("%.60q is shown nowhere", key)
		}
	}
	return paths
}

func checkOddKeys(t *testing.T, _ *stage) {
	b := newAnyKey(t)
	for _, key := range []string{"a//b", "/a", "..", "x", "x/in", strings.Repeat("l", 300)} {
		b.Set(key, []byte("content of "+key), nil)
	}
	m := b.mount(t)
	long := strings.Repeat("l", 251)
	names := map[string]string{"a/%=/b": "a//b", "%=/a": "/a", "%=..": "..", "x/in": "x/in", "%=x%f": "x",
		"%=" + long + "%+/%=" + strings.Repeat("l", 49) + "%.": strings.Repeat("l", 300)}
	for path, key := range names {
		holds(t, m.Path(path), "content of "+key)
	}
	for path, key := range map[string]string{"a/%=/new": "a//new", "%=.": ".", "%=x%00y": "x\x00y", "x/%=..": "x/.."} {
		write(t, m.Path(path), "made as "+path)
		flush(t, m)
		if body, _ := b.Body(key); string(body) != "made as "+path {
			t.Errorf("the object at %q holds %q", key, body)
		}
	}
}
