package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A bare does what a work does by requests alone. It knows beforehand what
// there is, so that nothing but the requests takes time.
type bare struct {
	client *s3.Client
	bucket string
	files  string // directory with the files that are sent, or that the bucket has
	s      sizes
	fig    *figure

	names []fileSize // of them, sorted by name
}

type fileSize struct {
	name string
	size int64
}

// prepare finds out what there is; it is not measured.
func (b *bare) prepare(r *run) error {
	if r != nil && r.work.input != nothing {
		f, err := r.lab.fixture(r.work.input)
		if err != nil {
			return err
		}
		b.files = f.dir
	}
	if r != nil && r.work.fixture == veryLarge {
		return nil
	}
	err := filepath.WalkDir(b.files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			b.names = append(b.names, fileSize{strings.TrimPrefix(path, b.files+"/"), info.Size()})
		}
		return err
	})
	slices.SortFunc(b.names, func(a, c fileSize) int { return strings.Compare(a.name, c.name) })
	return err
}

// putFiles sends all files, large ones in parts.
func putFiles(ctx context.Context, b *bare) error {
	return parallel(ctx, smallAtATime, b.names, func(ctx context.Context, n fileSize) error {
		f, err := os.Open(filepath.Join(b.files, n.name))
		if err != nil {
			return err
		}
		defer f.Close()
		if n.size > partSize {
			return b.putParts(ctx, n, f)
		}
		_, err = b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &n.name, Body: f, ContentLength: &n.size})
		return err
	})
}

func (b *bare) putParts(ctx context.Context, n fileSize, f io.ReaderAt) error {
	up, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.bucket, Key: &n.name})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (n.size+partSize-1)/partSize)
	err = parallel(ctx, partsAtATime, numbers(len(parts)), func(ctx context.Context, i int) error {
		at := int64(i) * partSize
		size := min(partSize, n.size-at)
		number := aws.Int32(int32(i + 1))
		got, err := b.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b.bucket, Key: &n.name, UploadId: up.UploadId, PartNumber: number,
			ContentLength: &size, Body: io.NewSectionReader(f, at, size)})
		if err == nil {
			parts[i] = types.CompletedPart{ETag: got.ETag, PartNumber: number}
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.bucket, Key: &n.name, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// A piece is a range of an object.
type piece struct {
	key     string
	at, len int64
}

// get reads a range, and nothing beyond it.
func (b *bare) get(ctx context.Context, p piece) error {
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &p.key,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", p.at, p.at+p.len-1))})
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{got.Body}, make([]byte, 256<<10))
	if err == nil && n != p.len {
		err = fmt.Errorf("%s: %d bytes of %d", p.key, n, p.len)
	}
	return errors.Join(err, got.Body.Close())
}

// getFiles reads all objects, large ones by ranges. The first byte is that of
// one request for 4 KiB, alone.
func getFiles(ctx context.Context, b *bare) error {
	var pieces []piece
	for _, n := range b.names {
		for at := int64(0); at < n.size; at += rangeSize {
			pieces = append(pieces, piece{n.name, at, min(rangeSize, n.size-at)})
		}
	}
	return parallel(ctx, rangesAtATime, pieces, b.get)
}

// getLarge is getFiles that measures one small request first.
func getLarge(ctx context.Context, b *bare) error {
	begun := time.Now()
	if err := b.get(ctx, piece{b.names[0].name, 0, min(4096, b.names[0].size)}); err != nil {
		return err
	}
	b.fig.First = time.Since(begun).Seconds()
	return getFiles(ctx, b)
}

// listAll lists the bucket by the fewest requests, all at the same time: the
// program knows where each page begins.
func listAll(ctx context.Context, b *bare) error {
	const page = 1000
	var after []string
	for i := 0; i == 0 || i < len(b.names); i += page {
		last := ""
		if i > 0 {
			last = b.names[i-1].name
		}
		after = append(after, last)
	}
	return parallel(ctx, smallAtATime, after, func(ctx context.Context, last string) error {
		_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.bucket, StartAfter: &last})
		return err
	})
}

// listAndHead is listAll and a HEAD for each object.
func listAndHead(ctx context.Context, b *bare) error {
	if err := listAll(ctx, b); err != nil {
		return err
	}
	return parallel(ctx, smallAtATime, b.names, func(ctx context.Context, n fileSize) error {
		_, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.bucket, Key: &n.name})
		return err
	})
}

// listPages lists page after page.
func listPages(ctx context.Context, b *bare) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.bucket})
	for pages.HasMorePages() {
		if _, err := pages.NextPage(ctx); err != nil {
			return err
		}
	}
	return nil
}

// moveAll copies all objects to other keys and deletes them.
func moveAll(ctx context.Context, b *bare) error {
	var keys []string
	var mu sync.Mutex
	err := parallel(ctx, smallAtATime, b.names, func(ctx context.Context, n fileSize) error {
		to := "moved" + strings.TrimPrefix(n.name, "tree")
		from := (&url.URL{Path: b.bucket + "/" + n.name}).EscapedPath()
		_, err := b.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b.bucket, Key: &to, CopySource: &from})
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, n.name)
		return err
	})
	if err != nil {
		return err
	}
	return remove(ctx, b.client, b.bucket, keys)
}

// putAndGet sends all files and reads them again.
func putAndGet(ctx context.Context, b *bare) error {
	if err := putFiles(ctx, b); err != nil {
		return err
	}
	return getFiles(ctx, b)
}
