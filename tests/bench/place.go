package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// place finds the run its files: a bucket, or a directory.
func (r *run) place(net string) error {
	f, err := r.lab.fixture(r.work.fixture)
	if err != nil {
		return err
	}
	r.source = f.dir
	if r.kind.local {
		return r.placeLocally()
	}
	server := r.work.server
	if server == "" {
		server = s3test.MinIOName
	}
	r.net = r.lab.network(server, net)
	r.client = r.lab.direct[server]
	stored, err := r.lab.stored(f, r.net.server, r.work.ours)
	if err != nil {
		return fmt.Errorf("fixture %q: %w", f.name, err)
	}
	r.bucket = stored
	if !r.work.changes {
		return nil
	}
	r.bucket = r.net.server.NewBucket(r.lab.t)
	if err := copyBucket(context.Background(), r.client, stored, r.bucket); err != nil {
		return err
	}
	r.before, err = listKeys(context.Background(), r.client, r.bucket)
	return err
}

// placeLocally copies the fixture's files if the work changes them.
func (r *run) placeLocally() error {
	if !r.work.changes {
		return nil
	}
	data := filepath.Join(r.dir, "data")
	if out, err := exec.Command("cp", "-a", r.source, data).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	r.source = data
	return nil
}

// clear removes what the run made.
func (r *run) clear() error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	if r.bucket == "" || !r.work.changes {
		return nil
	}
	ctx := context.Background()
	return emptyBucket(ctx, r.client, r.bucket)
}

func emptyBucket(ctx context.Context, client *s3.Client, bucket string) error {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		var keys []string
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
		if err := remove(ctx, client, bucket, keys); err != nil {
			return err
		}
	}
	return nil
}

// copyBucket copies all objects on the server.
func copyBucket(ctx context.Context, client *s3.Client, from, to string) error {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &from})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return parallel(ctx, smallAtATime, keys, func(ctx context.Context, key string) error {
		source := (&url.URL{Path: from + "/" + key}).EscapedPath()
		_, err := client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &to, Key: &key, CopySource: &source})
		return err
	})
}

// stored returns the bucket with a fixture's files, put there once.
func (l *lab) stored(f *fixture, server *s3test.Server, ours bool) (string, error) {
	key := place{server.Name, ours}
	if b := f.buckets[key]; b != "" {
		return b, nil
	}
	bucket := server.NewBucket(l.t)
	var err error
	switch {
	case f.name == veryLarge:
		err = seed(filepath.Join(server.Dir, "data", bucket), l.s.Sizes.Known)
	case ours:
		err = l.storeByMoorfs(f, server, bucket)
	default:
		b := &bare{client: l.direct[server.Name], bucket: bucket, files: f.dir}
		if err = b.prepare(nil); err == nil {
			err = putFiles(context.Background(), b)
		}
	}
	f.buckets[key] = bucket
	return bucket, err
}

// storeByMoorfs copies a fixture's files into the bucket through a mount.
func (l *lab) storeByMoorfs(f *fixture, server *s3test.Server, bucket string) error {
	dir := harness.Dir(l.t)
	r := &run{lab: l, work: &work{}, kind: moorfsKind, net: l.network(server.Name, lan), bucket: bucket, dir: dir}
	if err := r.start(); err != nil {
		return err
	}
	if err := r.command("cp", "-a", f.dir+"/.", r.subject.dir); err != nil {
		return err
	}
	if err := r.subject.flush(); err != nil {
		return err
	}
	if err := r.subject.stop(); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// awaitBucket waits until the bucket has what the mount shows: for subjects
// that cannot be asked.
func (r *run) awaitBucket() error {
	shape, err := r.shapeInBucket()
	if err != nil {
		return err
	}
	limit := ownLimit
	if r.kind.peer != "" {
		limit = r.lab.s.patience
	}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		begun := time.Now()
		keys, err := listKeys(context.Background(), r.client, r.bucket)
		if err != nil || r.landed(keys, shape) {
			return err
		}
		time.Sleep(max(lookEvery, 2*time.Since(begun))) // looking takes processors too
	}
	return fmt.Errorf("not all in the bucket: %w: more than %v", errPatience, limit)
}

// landed reports whether the bucket has the files of shape, changed where the
// work rewrites them.
func (r *run) landed(keys map[string]object, shape manifest) bool {
	for _, name := range r.work.rewrites {
		if keys[name].etag == r.before[name].etag {
			return false
		}
	}
	return maps.EqualFunc(keys, shape, func(o object, c content) bool { return o.size == c.Size })
}

// shapeInBucket lists what the bucket is to have. Where it is known without
// the mount, that is not asked: it might ask the bucket.
func (r *run) shapeInBucket() (manifest, error) {
	if r.work.check == nil {
		return r.lab.expected(r.work)
	}
	return r.shape()
}

// shape lists the files of the mount, with their sizes.
func (r *run) shape() (manifest, error) {
	a, err := r.exercise("shape", r.subject.dir)
	return a.Sums, err
}

// compare finds out whether the result is right.
func (r *run) compare() error {
	if r.work.check != nil {
		return r.work.check(r)
	}
	want, err := r.lab.expected(r.work)
	if err != nil {
		return err
	}
	a, err := r.exercise("sum", r.subject.dir)
	if err != nil {
		return err
	}
	if err := diff("the mount", a.Sums, want); err != nil || r.bucket == "" || !r.work.changes || r.kind.chunks {
		return err
	}
	return r.compareBucket()
}

func (r *run) compareBucket() error {
	want, err := r.lab.expected(r.work)
	if err != nil {
		return err
	}
	got, err := sumBucket(context.Background(), r.client, r.bucket)
	if err != nil {
		return err
	}
	return diff("the bucket", got, want)
}

// compareShape is the check of works that list: names and sizes.
func compareShape(r *run) error {
	got, err := r.shape()
	if err != nil {
		return err
	}
	f, err := r.lab.fixture(r.work.fixture)
	if err != nil {
		return err
	}
	want := manifest{}
	for _, name := range slices.Collect(maps.Keys(f.sums)) {
		want[name] = content{Size: f.sums[name].Size}
	}
	return diff("the mount", got, want)
}

// checksItself is the check of works whose reader compares what it reads.
func checksItself(*run) error { return nil }

// expected returns what a work leaves on the local disk.
func (l *lab) expected(w *work) (manifest, error) {
	f, err := l.fixture(w.fixture)
	if err != nil || !w.changes {
		return f.sums, err
	}
	if m, known := l.results[w.name]; known {
		return m, nil
	}
	r := &run{lab: l, work: w, kind: referenceKinds["ext4"], dir: harness.Dir(l.t)}
	if err := r.place(lan); err != nil {
		return nil, err
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	if err := r.measured(); err != nil {
		return nil, fmt.Errorf("on the local disk: %w", err)
	}
	m, err := sumTree(r.subject.dir)
	if err != nil {
		return nil, err
	}
	l.results[w.name] = m
	return m, os.RemoveAll(r.dir)
}
