package s3backend

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// live returns a client of an empty bucket of a real server, probed.
func live(t *testing.T, s *s3test.Server, o Options) *Client {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", s.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.Secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	o.EndpointURL, o.Region, o.CABundle, o.PartSize = s.URL, s.Region, s.CAFile, minPartSize
	if o.Bucket == "" {
		o.Bucket = s.NewBucket(t)
	}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	caps, err := c.Probe(t.Context(), "scratch/")
	if err != nil {
		t.Fatal(err)
	}
	c.Use(caps)
	return c
}

// Where an object was deleted there is none, also in a bucket that keeps
// versions, of a server that compares conditions with the delete marker.
func TestPutWhereSomethingWasDeleted(t *testing.T) {
	for _, start := range []func(s3test.TB) *s3test.Server{s3test.Versity, s3test.MinIO} {
		s := start(t)
		t.Run(s.Name, func(t *testing.T) {
			c := live(t, s, Options{Bucket: s.NewVersionedBucket(t)})
			for key, body := range map[string][]byte{"small": noise(100), "parts": noise(minPartSize + 100)} {
				put := Put{Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), If: Condition{Absent: true}}
				for round := range 3 {
					if _, err := c.Put(t.Context(), put); err != nil {
						t.Fatalf("%s, made for time %d: %v", key, round+1, err)
					}
					if _, err := c.Put(t.Context(), put); KindOf(err) != Changed {
						t.Errorf("%s, which is there: %v", key, err)
					}
					if errs := c.Delete(t.Context(), Deletion{Key: key}); errs[0] != nil {
						t.Fatal(errs[0])
					}
				}
			}
		})
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return b
}

func TestLargeObjectsAreCopiedInParts(t *testing.T) {
	for name, tc := range map[string]struct {
		start func(s3test.TB) *s3test.Server
		o     Options
	}{
		"versitygw":        {s3test.Versity, Options{}},
		"MinIO and SSE-C":  {s3test.MinIOTLS, Options{SSECKeys: []CustomerKey{newCustomerKey(rawKey)}}},
		"MinIO and SSE-S3": {s3test.MinIO, Options{SSE: SSES3}},
	} {
		t.Run(name, func(t *testing.T) {
			c := live(t, tc.start(t), tc.o)
			c.copyMax = minPartSize
			body := noise(2*minPartSize + 17)
			from, err := c.Put(t.Context(), Put{Key: "from", Body: bytes.NewReader(body), Size: int64(len(body))})
			if err != nil {
				t.Fatal(err)
			}
			cp := Copy{From: from, To: "to", If: Condition{Absent: true}, Meta: map[string]string{"a": "b"}, Headers: Headers{ContentType: "text/x"}}
			to, err := c.Copy(t.Context(), cp)
			if err != nil {
				t.Fatal(err)
			}
			if n := c.Counts()["UploadPartCopy"]; n < 3 {
				t.Errorf("%d parts were copied, want 3", n)
			}
			seen, err := c.Head(t.Context(), "to")
			if err != nil || seen.ETag != to.ETag || seen.Meta["a"] != "b" || seen.Headers.ContentType != "text/x" || seen.Size != to.Size {
				t.Errorf("copied %+v, found %+v, %v", to, seen, err)
			}
			r, err := c.Get(t.Context(), Get{Key: "to", At: to.ETag, Range: Range{0, to.Size}, Size: to.Size})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			_, err = c.Copy(t.Context(), cp)
			wantKind(t, err, Changed)
			if left, err := c.Uploads(t.Context(), ""); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestTagsAreKept(t *testing.T) {
	c := live(t, s3test.MinIO(t), Options{})
	tagging := attributes{tagging: "colour=light+blue&x=a%2Bb"}
	if _, err := c.putWhole(t.Context(), Put{Key: "k"}, tagging); err != nil {
		t.Fatal(err)
	}
	old, err := c.Head(t.Context(), "k")
	if err != nil || old.Tags != 2 {
		t.Fatalf("%d tags, %v", old.Tags, err)
	}
	for _, size := range []int{10, minPartSize + 1} {
		body := noise(size)
		if _, err := c.Put(t.Context(), Put{Key: "k", Body: bytes.NewReader(body), Size: int64(size), Keep: &old}); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.tagging(t.Context(), old); err != nil || got != tagging.tagging {
			t.Errorf("after %d bytes: tags %q, %v", size, got, err)
		}
	}
	for _, key := range []string{"gone", ""} { // deleted by others, or put aside by a conflict
		o, err := c.Put(t.Context(), Put{Key: "new" + key, Body: bytes.NewReader(nil), Keep: &Object{Key: key, Tags: 2}})
		if err != nil || o.Tags != 0 {
			t.Errorf("keeping the tags of no object (key %q): %d tags, %v", key, o.Tags, err)
		}
	}
}

func TestBucketOfAnotherNameOrKey(t *testing.T) {
	s := s3test.Versity(t)
	c := live(t, s, Options{})
	o := c.opts
	o.Bucket = "no-such-bucket-here"
	other, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, other.Check(t.Context(), ""), NoBucket)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	stranger, err := New(t.Context(), c.opts)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, stranger.Check(t.Context(), ""), Denied)
}

func TestUnknownCertificateIsSaid(t *testing.T) {
	s := s3test.MinIOTLS(t)
	c, err := New(t.Context(), Options{Bucket: "b", EndpointURL: s.URL, Region: s.Region})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Check(t.Context(), "")
	wantKind(t, err, Offline)
	if err == nil || !strings.HasPrefix(err.Error(), "TLS: ") {
		t.Errorf("check: %v", err)
	}
}
