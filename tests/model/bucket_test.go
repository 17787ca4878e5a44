package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// A memoryStore is a bucket in memory.
type memoryStore struct{ mem *remotetest.Memory }

// beside is an object outside of what is mounted, which nobody may touch.
const beside = "q/beside"

func newMemoryStore(s settings) memoryStore {
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: partSize, Versioned: s.versioned, Sealed: s.sealed})
	mem.Set(beside, []byte(beside), nil)
	return memoryStore{mem}
}

func (s memoryStore) put(path string, body []byte) error {
	time.Sleep(time.Second) // S3's times have seconds: what has the content of before shows by a later one only
	s.mem.Set(prefix+path, body, nil)
	return nil
}

func (s memoryStore) remove(path string) error {
	s.mem.Remove(prefix + path)
	return nil
}

func (s memoryStore) objects() (map[string]object, error) {
	if body, ok := s.mem.Body(beside); !ok || string(body) != beside {
		return nil, fmt.Errorf("%q outside of the mounted prefix was touched", beside)
	}
	all := map[string]object{}
	for _, key := range s.mem.Keys() {
		path, inside := strings.CutPrefix(key, prefix)
		if !inside {
			continue
		}
		body, _ := s.mem.Body(key)
		head, err := s.mem.Head(context.Background(), key)
		if err != nil {
			return nil, err
		}
		all[path] = object{body, head.Meta}
	}
	return all, nil
}

func (s memoryStore) uploads() ([]string, error) {
	return s.mem.PendingUploads(context.Background(), "")
}

// checkBucket compares the bucket with a tree, by a reading of the metadata of
// its own.
func checkBucket(due *tree, objects map[string]object) error {
	var errs []error
	keys := map[string]bool{}
	due.walk(func(path string, n *node) {
		key := path
		if n.kind == dirKind {
			if key += "/"; !n.marker {
				return
			}
		}
		keys[key] = true
		o, there := objects[key]
		if !there {
			errs = append(errs, fmt.Errorf("the bucket lacks %q", key))
			return
		}
		body := n.data
		if n.kind == symlinkKind {
			body = []byte(n.target)
		}
		if !same(o.body, body) {
			errs = append(errs, fmt.Errorf("the bucket has %q: %s", key, difference(o.body, body)))
		}
		if err := o.says(n); err != nil {
			errs = append(errs, fmt.Errorf("the bucket has %q: %w", key, err))
		}
	})
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !keys[key] && key != "" {
			errs = append(errs, fmt.Errorf("the bucket has %q, %d bytes, which should not be", key, len(objects[key].body)))
		}
	}
	return errors.Join(errs...)
}

// typeBits are those of st_mode (inode(7)).
var typeBits = map[string]uint64{"fifo": 0o010000, "chr": 0o020000, dirKind: 0o040000, fileKind: 0o100000, symlinkKind: 0o120000, "socket": 0o140000}

// says compares the metadata of an object, if it has any, with a node.
func (o object) says(n *node) error {
	if o.meta["file-permissions"] == "" {
		return nil
	}
	mode, err := strconv.ParseUint(o.meta["file-permissions"], 8, 32)
	if err != nil || mode != typeBits[n.kind]|uint64(n.mode) {
		return fmt.Errorf("file-permissions %q, want type %s and mode %o", o.meta["file-permissions"], n.kind, n.mode)
	}
	for name, id := range map[string]uint32{"file-owner": n.uid, "file-group": n.gid} {
		if o.meta[name] != fmt.Sprint(id) {
			return fmt.Errorf("%s %q, want %d", name, o.meta[name], id)
		}
	}
	if n.kind == dirKind {
		return nil // its times stay on its machine
	}
	for name, ns := range map[string]int64{"file-mtime": n.mtime, "file-atime": n.atime} {
		if ns != 0 && o.meta[name] != fmt.Sprintf("%dns", ns) {
			return fmt.Errorf("%s %q, want %d", name, o.meta[name], ns)
		}
	}
	for name, value := range n.xattrs {
		escaped := strings.ReplaceAll(strings.ReplaceAll(value, "V", "%56"), "/", "%2f")
		if got := o.meta["xattr-"+strings.TrimPrefix(name, "user.")]; got != escaped {
			return fmt.Errorf("xattr %s %q, want %q", name, got, escaped)
		}
	}
	return nil
}
