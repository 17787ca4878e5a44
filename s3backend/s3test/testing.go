package s3test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
)

// TB is what this package needs of a *testing.T; it is declared here so that
// programs do not link the testing package.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Versity starts a versitygw (http) that lives as long as the test.
func Versity(t TB) *Server {
	t.Helper()
	return forTest(t, Config{Name: VersityGW})
}

// MinIO starts a MinIO (http, with a KMS key) that lives as long as the test.
func MinIO(t TB) *Server {
	t.Helper()
	return forTest(t, Config{Name: MinIOName})
}

// MinIOTLS starts a MinIO (https, with a KMS key) that lives as long as the
// test.
func MinIOTLS(t TB) *Server {
	t.Helper()
	return forTest(t, Config{Name: MinIOName, TLS: true})
}

// MinIONotifying starts a MinIO whose webhook goes to a URL, with a token, and
// that lives as long as the test.
func MinIONotifying(t TB, webhook, token string) *Server {
	t.Helper()
	return forTest(t, Config{Name: MinIOName, Webhook: webhook, WebhookToken: token})
}

func forTest(t TB, c Config) *Server {
	t.Helper()
	s, err := Start(context.Background(), c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}

// A Shared is a server that the tests of a package share: started by the first
// that needs it, stopped by TestMain.
type Shared struct {
	Config Config

	once   sync.Once
	server *Server
	err    error
}

// Server returns the server, which runs.
func (s *Shared) Server(t TB) *Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = Start(context.Background(), s.Config) })
	if s.err != nil {
		t.Fatalf("%v", s.err)
	}
	return s.server
}

// Stop stops the server if it was started. Nobody may use it any more.
func (s *Shared) Stop() error {
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

// NewBucket makes an empty bucket with a name of its own.
func (s *Server) NewBucket(t TB) string {
	t.Helper()
	raw := s.Raw(t, "test-"+strings.ToLower(rand.Text()))
	if err := raw.CreateBucket(context.Background()); err != nil {
		t.Fatalf("new bucket: %v", err)
	}
	return raw.Bucket
}

// NewVersionedBucket makes an empty bucket whose versioning is on.
func (s *Server) NewVersionedBucket(t TB) string {
	t.Helper()
	raw := s.Raw(t, s.NewBucket(t))
	if err := raw.EnableVersioning(context.Background()); err != nil {
		t.Fatalf("new bucket: %v", err)
	}
	return raw.Bucket
}

// Raw returns an independent client of a bucket.
func (s *Server) Raw(t TB, bucket string) *Raw {
	t.Helper()
	raw, err := NewRaw(s, bucket)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return raw
}
