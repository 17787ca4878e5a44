package remotetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
	"github.com/moorfs/moorfs/s3backend/s3test"
)

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
