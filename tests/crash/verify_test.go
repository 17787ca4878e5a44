package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moorfs/moorfs/tests/harness"
)

// readTree reads what is below dir.
func readTree(dir string) (*tree, error) {
	t := newTree()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		n, err := readNode(path)
		if err != nil {
			return err
		}
		t.nodes[strings.TrimPrefix(path, dir+"/")] = n
		return nil
	})
	return t, err
}

func readNode(path string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := &node{mode: uint32(info.Mode().Perm())}
	switch info.Mode().Type() {
	case os.ModeDir:
		n.kind = mkdir
	case os.ModeSymlink:
		n.kind = symlink
		n.target, err = os.Readlink(path)
	default:
		n.kind = create
		n.live, err = os.ReadFile(path)
		if err == nil && int64(len(n.live)) != info.Size() {
			err = fmt.Errorf("%s: stat says %d bytes, read %d", path, info.Size(), len(n.live))
		}
	}
	n.stable, n.before, n.low = n.live, n.live, len(n.live)
	return n, err
}

// compareBucket compares the bucket with the trees, byte for byte.
func compareBucket(s3 *harness.S3, trees []*tree) error {
	want := map[string][]byte{}
	for i, t := range trees {
		want[dirName(i)+"/"] = nil
		for name, n := range t.nodes {
			switch n.kind {
			case mkdir:
				want[dirName(i)+"/"+name+"/"] = nil
			case symlink:
				want[dirName(i)+"/"+name] = []byte(n.target)
			default:
				want[dirName(i)+"/"+name] = n.live
			}
		}
	}
	got, err := s3.Objects(context.Background(), "")
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(want)) {
		body, there := got[key]
		switch {
		case !there:
			errs = append(errs, fmt.Errorf("the bucket lacks %s (%d bytes)", key, len(want[key])))
		case !bytes.Equal(body, want[key]):
			errs = append(errs, fmt.Errorf("the bucket's %s: %s", key, difference(body, want[key])))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[key]; !wanted {
			errs = append(errs, fmt.Errorf("the bucket has %s (%d bytes), want nothing", key, len(got[key])))
		}
	}
	uploads, err := s3.Uploads(context.Background())
	if err != nil {
		errs = append(errs, err)
	}
	for _, u := range uploads {
		errs = append(errs, fmt.Errorf("a multipart upload is left over: %s", u))
	}
	return errors.Join(errs...)
}

// wholeInBucket checks that at each saved key lies one whole version, whatever
// the daemon was doing when it died.
func wholeInBucket(s3 *harness.S3) error {
	objects, err := s3.Objects(context.Background(), "")
	if err != nil {
		return err
	}
	var errs []error
	for key, body := range objects {
		if _, name, _ := strings.Cut(key, "/"); strings.HasPrefix(name, savedClass) && !whole(body) {
			errs = append(errs, fmt.Errorf("the bucket's %s (%d bytes) is not one version", key, len(body)))
		}
	}
	return errors.Join(errs...)
}
