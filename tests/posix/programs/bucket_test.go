package programs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// readers is how many objects are read at a time.
const readers = 8

// settle flushes, compares the bucket with the tree on the mount, and returns
// the tree.
func (s *site) settle() tree {
	s.t.Helper()
	s.flush()
	t := s.manifest(s.mount.Dir)
	want := map[string]entry{}
	for name, e := range t {
		if e.kind() == syscall.S_IFDIR {
			name += "/"
		}
		want[name] = e
	}
	ctx := context.Background()
	keys, err := s.s3.Raw.Keys(ctx, "")
	if err != nil {
		s.t.Fatal(err)
	}
	var wrong []string
	for _, key := range keys {
		if _, wanted := want[key]; !wanted {
			wrong = append(wrong, "there is "+key)
		}
	}
	uploads, err := s.s3.Uploads(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, key := range uploads {
		wrong = append(wrong, "an upload is under way of "+key)
	}
	s.complain("the bucket is not what the mount shows", append(wrong, s.compareObjects(want)...))
	return t
}

// compareObjects reads the object of each key and says what is wrong with it.
func (s *site) compareObjects(want map[string]entry) []string {
	var mu sync.Mutex
	var wrong []string
	var wg sync.WaitGroup
	keys := make(chan string)
	for range readers {
		wg.Go(func() {
			for key := range keys {
				if err := s.compareObject(key, want[key]); err != nil {
					mu.Lock()
					wrong = append(wrong, key+": "+err.Error())
					mu.Unlock()
				}
			}
		})
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		keys <- key
	}
	close(keys)
	wg.Wait()
	slices.Sort(wrong)
	return wrong
}

func (s *site) compareObject(key string, e entry) error {
	o, body, err := s.s3.Raw.Get(context.Background(), key)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(body); sum != e.body() {
		return fmt.Errorf("its %d bytes are others, want %d", len(body), max(e.size, int64(len(e.target))))
	}
	return compareMeta(o, e)
}

// compareMeta holds an object's metadata against the entry. The times of a
// directory change with its names, which is not sent.
func compareMeta(o s3test.RawObject, e entry) error {
	for name, want := range map[string]uint32{"file-owner": e.uid, "file-group": e.gid} {
		if o.Meta[name] != strconv.Itoa(int(want)) {
			return fmt.Errorf("%s is %q, want %d", name, o.Meta[name], want)
		}
	}
	if mode, err := strconv.ParseUint(o.Meta["file-permissions"], 8, 32); err != nil || uint32(mode) != e.mode {
		return fmt.Errorf("file-permissions is %q, want %o", o.Meta["file-permissions"], e.mode)
	}
	if e.kind() == syscall.S_IFDIR {
		return nil
	}
	if want := strconv.FormatInt(e.mtime, 10) + "ns"; o.Meta["file-mtime"] != want {
		return fmt.Errorf("file-mtime is %q, want %s", o.Meta["file-mtime"], want)
	}
	return nil
}

// elsewhere settles, mounts the bucket with an empty cache and compares what is
// seen there. The second mount is for the test to go on with.
func (s *site) elsewhere(d detail) *harness.Mount {
	s.t.Helper()
	want := s.settle()
	m := s.start(prompt())
	s.same(s.manifest(m.Dir), want, d)
	return m
}

// writes returns how many requests have changed the bucket since the proxy's
// last reset, as "PutObject 1".
func (s *site) writes() string {
	var all []string
	counts := s.s3.Proxy.Counts()
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		if !strings.HasPrefix(op, "Get") && !strings.HasPrefix(op, "Head") && !strings.HasPrefix(op, "List") {
			all = append(all, fmt.Sprintf("%s %d", op, counts[op]))
		}
	}
	return strings.Join(all, ", ")
}
