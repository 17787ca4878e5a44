package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A manifest tells the content of each file, by path or key.
type manifest map[string]content

type content struct {
	Size int64
	CRC  uint32 // Castagnoli
}

func contentOf(r io.Reader) (content, error) {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return content{n, h.Sum32()}, err
}

// sumTree reads the regular files below dir.
func sumTree(dir string) (manifest, error) {
	m := manifest{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		c, err := contentOf(f)
		m[strings.TrimPrefix(path, dir+"/")] = c
		return err
	})
	return m, err
}

// sumBucket reads the objects of a bucket but those that stand for
// directories.
func sumBucket(ctx context.Context, client *s3.Client, bucket string) (manifest, error) {
	keys, err := listKeys(ctx, client, bucket)
	if err != nil {
		return nil, err
	}
	m := manifest{}
	var mu sync.Mutex
	err = parallel(ctx, smallAtATime, slices.Collect(maps.Keys(keys)), func(ctx context.Context, key string) error {
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		defer got.Body.Close()
		c, err := contentOf(got.Body)
		mu.Lock()
		defer mu.Unlock()
		m[key] = c
		return err
	})
	return m, err
}

// An object is what a listing says of a key.
type object struct {
	size int64
	etag string
}

// listKeys lists the objects of a bucket but those that stand for directories.
func listKeys(ctx context.Context, client *s3.Client, bucket string) (map[string]object, error) {
	keys := map[string]object{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(*o.Key, "/") {
				keys[*o.Key] = object{aws.ToInt64(o.Size), aws.ToString(o.ETag)}
			}
		}
	}
	return keys, nil
}

// diff says where two manifests differ; nil if they do not.
func diff(what string, got, want manifest) error {
	if maps.Equal(got, want) {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if g, there := got[path]; !there {
			return fmt.Errorf("%s lacks %s (%d files of %d)", what, path, len(got), len(want))
		} else if g != want[path] {
			return fmt.Errorf("%s has a wrong %s: %+v, want %+v", what, path, g, want[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[path]; !wanted {
			return fmt.Errorf("%s has %s, which should not be there (%d files of %d)", what, path, len(got), len(want))
		}
	}
	return nil
}
