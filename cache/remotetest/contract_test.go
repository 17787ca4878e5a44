package remotetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
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

// The raw bytes of the customer keys in these tests.
var (
	rawKey   = []byte("0123456789abcdef0123456789abcdef")
	otherKey = []byte("fedcba9876543210fedcba9876543210")
)

func customerKey(t *testing.T, raw []byte) s3backend.CustomerKey {
	t.Helper()
	k, err := s3backend.ParseCustomerKey(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keyHeader is the request headers of a customer key, for the independent
// client.
func keyHeader(raw []byte) http.Header {
	sum := md5.Sum(raw)
	h := http.Header{}
	h.Set("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")
	h.Set("X-Amz-Server-Side-Encryption-Customer-Key", base64.StdEncoding.EncodeToString(raw))
	h.Set("X-Amz-Server-Side-Encryption-Customer-Key-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	return h
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

func TestEncryptedBucketsKeepTheContract(t *testing.T) {
	for name, o := range map[string]s3backend.Options{
		"SSE-S3":  {SSE: s3backend.SSES3},
		"SSE-KMS": {SSE: s3backend.SSEKMS, SSEKMSKeyID: s3test.KMSKey},
		"SSE-C":   {SSECKeys: []s3backend.CustomerKey{customerKey(t, rawKey)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := minioTLS.Server(t)
			o.Bucket = s.NewBucket(t)
			var b *bucketClient
			Suite(t, func(t *testing.T) Remote { b = open(t, s, o); return b }, minioExcuses)
			if name == "SSE-C" {
				b.raw.Header = keyHeader(rawKey)
			}
			isSealed(t, b.raw, name)
		})
	}
}

// isSealed looks with another client at everything the suite left in the
// bucket: each object says that it is encrypted as asked.
func isSealed(t *testing.T, raw *s3test.Raw, mode string) {
	t.Helper()
	ctx := context.Background()
	keys, err := raw.Keys(ctx, "")
	if err != nil || len(keys) < 20 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		o, err := raw.Head(ctx, key)
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		sse, algorithm := o.Header.Get("X-Amz-Server-Side-Encryption"), o.Header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm")
		id := o.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
		sealed := map[string]bool{
			"SSE-S3":  sse == "AES256",
			"SSE-KMS": sse == "aws:kms" && strings.HasSuffix(id, s3test.KMSKey),
			"SSE-C":   algorithm == "AES256",
		}
		if !sealed[mode] {
			t.Errorf("%q is not encrypted with %s: %v", key, mode, o.Header)
		}
	}
}

// TestCustomerKeys reads with the right key, a ring of keys, none and a wrong
// one.
func TestCustomerKeys(t *testing.T) {
	ctx, s := context.Background(), minioTLS.Server(t)
	right, other := customerKey(t, rawKey), customerKey(t, otherKey)
	bucket := s.NewBucket(t)
	with := func(keys ...s3backend.CustomerKey) *contract {
		return &contract{Remote: connect(t, s, s3backend.Options{Bucket: bucket, SSECKeys: keys}), ctx: ctx}
	}
	for _, n := range []int64{10, MinPartSize + 10} {
		body := content(1, n)
		get := s3backend.Get{Key: "k", Range: s3backend.Range{Len: n}, Size: n}
		if err := (check{run: func(c *contract) {
			c.put("k", body)
			c.holds("k", body)
			with(other, right).holds("k", body)
			for kind, keyless := range map[s3backend.Kind]*contract{s3backend.NeedsKey: with(), s3backend.WrongKey: with(other)} {
				_, err := keyless.Head(ctx, "k")
				keyless.kind(err, "head", kind)
				_, err = keyless.read(get)
				keyless.kind(err, "get", kind)
			}
		}}).try(with(right)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		raw := s.Raw(t, bucket)
		if _, _, err := raw.Get(ctx, "k"); err == nil {
			t.Error("another client reads it without the key")
		}
		raw.Header = keyHeader(rawKey)
		if _, got, err := raw.Get(ctx, "k"); err != nil || !bytes.Equal(got, body) {
			t.Errorf("another client reads %d bytes with the key: %v", len(got), err)
		}
	}
}

// TestServerThatDoesNotEncrypt refuses a server that takes customer keys and
// stores in clear: by the probe, and by every upload.
func TestServerThatDoesNotEncrypt(t *testing.T) {
	ctx, s := context.Background(), versity.Server(t)
	for name, o := range map[string]s3backend.Options{
		"SSE-C":   {SSECKeys: []s3backend.CustomerKey{customerKey(t, rawKey)}},
		"SSE-S3":  {SSE: s3backend.SSES3},
		"SSE-KMS": {SSE: s3backend.SSEKMS, SSEKMSKeyID: s3test.KMSKey},
	} {
		t.Run(name, func(t *testing.T) {
			o.Bucket = s.NewBucket(t)
			c := connect(t, s, o)
			if _, err := c.Probe(ctx, ".probe/"); s3backend.KindOf(err) != s3backend.Unsealed {
				t.Errorf("probe: %v", err)
			}
			for _, n := range []int64{10, MinPartSize + 10} {
				_, err := c.Put(ctx, s3backend.Put{
					Key: "k", Body: bytes.NewReader(content(1, n)), Size: n, If: s3backend.Condition{Absent: true},
				})
				if s3backend.KindOf(err) != s3backend.Unsealed {
					t.Errorf("put of %d bytes: %v", n, err)
				}
			}
			raw := s.Raw(t, o.Bucket)
			if keys, err := raw.Keys(ctx, ""); err != nil || len(keys) > 0 {
				t.Errorf("stored in clear: %q, %v", keys, err)
			}
			if uploads, err := raw.Uploads(ctx, ""); err != nil || len(uploads) > 0 {
				t.Errorf("uploads left behind: %q, %v", uploads, err)
			}
		})
	}
}
