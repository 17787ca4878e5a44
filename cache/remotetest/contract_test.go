package remotetest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
	"github.com/moorfs/moorfs/s3backend/s3test"
)

var (
	versity  = &s3test.Shared{Config: s3test.Config{Name: s3test.VersityGW}}
	minio    = &s3test.Shared{Config: s3test.Config{Name: s3test.MinIOName}}
	minioTLS = &s3test.Shared{Config: s3test.Config{Name: s3test.MinIOName, TLS: true}}
)

func TestMain(m *testing.M) {
	for _, pair := range s3test.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	for _, s := range []*s3test.Shared{versity, minio, minioTLS} {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// connect returns a client of a bucket that has not been probed.
func connect(t *testing.T, s *s3test.Server, o s3backend.Options) *s3backend.Client {
	t.Helper()
	o.EndpointURL, o.Region, o.CABundle, o.PartSize = s.URL, s.Region, s.CAFile, MinPartSize
	c, err := s3backend.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A bucketClient is a Client of a real bucket that asks another client which
// uploads are pending.
type bucketClient struct {
	*s3backend.Client
	raw *s3test.Raw

	mu   sync.Mutex
	keys []string // put so far: MinIO lists uploads of exact keys only
}

func (b *bucketClient) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	b.mu.Lock()
	if p.Size > MinPartSize && !slices.Contains(b.keys, p.Key) {
		b.keys = append(b.keys, p.Key)
	}
	b.mu.Unlock()
	return b.Client.Put(ctx, p)
}

func (b *bucketClient) PartSize() int64 { return MinPartSize }

func (b *bucketClient) PendingUploads(ctx context.Context, prefix string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []string{}
	for _, key := range b.keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		found, err := b.raw.Uploads(ctx, key)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// open returns a client of a bucket that has been probed, which leaves nothing
// there.
func open(t *testing.T, s *s3test.Server, o s3backend.Options) *bucketClient {
	t.Helper()
	ctx, c := context.Background(), connect(t, s, o)
	caps, err := c.Probe(ctx, ".probe/")
	if err != nil {
		t.Fatal(err)
	}
	c.Use(caps)
	raw := s.Raw(t, o.Bucket)
	if keys, err := raw.Keys(ctx, ""); err != nil || len(keys) > 0 {
		t.Errorf("after Probe: keys %q, %v", keys, err)
	}
	return &bucketClient{Client: c, raw: raw}
}

var (
	versityExcuses = Excuses{
		"key/double slash":                   "keys are paths of files",
		"key/dots":                           "keys are paths of files",
		"key/leading slash":                  "keys are paths of files",
		"key/control characters":             "listings are not url-encoded, and XML has no such characters",
		"list/object and prefix of one name": "keys are paths of files",
	}
	minioExcuses = Excuses{
		"key/double slash":                   "keys are paths of files",
		"key/dots":                           "keys are paths of files",
		"key/leading slash":                  "keys are paths of files",
		"list/object and prefix of one name": "keys are paths of files: the prefix is not listed",
	}
)

func TestServersKeepTheContract(t *testing.T) {
	for _, server := range []struct {
		*s3test.Shared
		excuses Excuses
	}{{versity, versityExcuses}, {minio, minioExcuses}} {
		t.Run(server.Config.Name, func(t *testing.T) {
			s := server.Server(t)
			plain := func(t *testing.T) Remote { return open(t, s, s3backend.Options{Bucket: s.NewBucket(t)}) }
			versioned := func(t *testing.T) Remote { return open(t, s, s3backend.Options{Bucket: s.NewVersionedBucket(t)}) }
			Suite(t, plain, server.excuses)
			Many(t, plain)
			Versions(t, versioned)
		})
	}
}
