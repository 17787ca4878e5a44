package s3backend_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
	"github.com/moorfs/moorfs/s3backend/s3test"
)

type pender struct{ *s3backend.Client }

func (p pender) PendingUploads(ctx context.Context, prefix string) ([]string, error) {
	us, err := p.Client.Uploads(ctx, prefix)
	var out []string
	for _, u := range us {
		out = append(out, u.Key)
	}
	return out, err
}

func TestScratch(t *testing.T) {
	for _, e := range s3test.Environ() {
		k, v, _ := strings.Cut(e, "=")
		os.Setenv(k, v)
	}
	key, _ := s3backend.ParseCustomerKey("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	tr := true
	for _, m := range []struct {
		name string
		cfg  s3test.Config
		o    s3backend.Options
		ver  bool
	}{
		{"versity", s3test.Config{Name: s3test.VersityGW}, s3backend.Options{}, false},
		{"versityV", s3test.Config{Name: s3test.VersityGW}, s3backend.Options{ChecksumAlgorithm: s3backend.CRC32C}, true},
		{"minio", s3test.Config{Name: s3test.MinIOName}, s3backend.Options{}, false},
		{"minioV", s3test.Config{Name: s3test.MinIOName}, s3backend.Options{ChecksumAlgorithm: s3backend.CRC32C}, true},
		{"minioSSEC", s3test.Config{Name: s3test.MinIOName, TLS: true}, s3backend.Options{SSECKeys: []s3backend.CustomerKey{key}}, false},
		{"minioKMS", s3test.Config{Name: s3test.MinIOName}, s3backend.Options{SSE: "aws:kms", SSEKMSKeyID: s3test.KMSKey, SSEKMSContext: `{"a":"b"}`, BucketKey: &tr}, false},
		{"minioS3", s3test.Config{Name: s3test.MinIOName}, s3backend.Options{SSE: "AES256"}, false},
		{"off", s3test.Config{Name: s3test.MinIOName}, s3backend.Options{ChecksumAlgorithm: "off"}, false},
	} {
		t.Run(m.name, func(t *testing.T) {
			s, err := s3test.Start(context.Background(), m.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop()
			o := m.o
			o.EndpointURL, o.CABundle = s.URL, s.CAFile
			o.Bucket = s.NewBucket(t)
			if m.ver {
				o.Bucket = s.NewVersionedBucket(t)
			}
			o.PartSize = 5<<20
			if os.Getenv("DBG") != "" {
				o.Debug = true
				o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			c, err := s3backend.New(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Check(context.Background()); err != nil {
				t.Fatal(err)
			}
			caps, err := c.Probe(context.Background(), "scratch/")
			t.Logf("%+v %v", caps, err)
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range c.List(context.Background(), "", "") {
				t.Error("left behind", e, err)
			}
			c.Use(caps)
			remotetest.Suite(t, func(t *testing.T) remotetest.Remote { return pender{c} }, nil)
			if m.ver {
				remotetest.Versions(t, func(t *testing.T) remotetest.Remote { return pender{c} })
			}
			t.Log(c.Counts())
		})
	}
}
