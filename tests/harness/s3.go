package harness

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// An S3 is a bucket on a real server, reached through a proxy that counts and
// harms requests, and beside it by a client of its own.
type S3 struct {
	Endpoint string // the proxy's
	Bucket   string
	Server   *s3test.Server
	Proxy    *s3test.Proxy
	Raw      *s3test.Raw
}

// servers are shared by the tests of a process; they end with it.
var servers = map[s3test.Config]*s3test.Shared{
	{Name: s3test.VersityGW}:            {Config: s3test.Config{Name: s3test.VersityGW}},
	{Name: s3test.MinIOName}:            {Config: s3test.Config{Name: s3test.MinIOName}},
	{Name: s3test.MinIOName, TLS: true}: {Config: s3test.Config{Name: s3test.MinIOName, TLS: true}},
}

// Versity returns a new bucket on versitygw.
func Versity(t T) *S3 { t.Helper(); return bucketOn(t, s3test.Config{Name: s3test.VersityGW}) }

// MinIO returns a new bucket on MinIO.
func MinIO(t T) *S3 { t.Helper(); return bucketOn(t, s3test.Config{Name: s3test.MinIOName}) }

// MinIOTLS returns a new bucket on a MinIO that speaks https; Endpoint is the
// server itself, so that clients see its certificate.
func MinIOTLS(t T) *S3 {
	t.Helper()
	s := bucketOn(t, s3test.Config{Name: s3test.MinIOName, TLS: true})
	s.Endpoint = s.Server.URL
	return s
}

// MinIONotifying returns a new bucket on a MinIO of its own that tells of all
// that happens in it: to a URL, with a bearer token.
func MinIONotifying(t T, webhook, token string) *S3 {
	t.Helper()
	s := newBucket(t, s3test.MinIONotifying(t, webhook, token))
	var err error
	if late := Until(startLimit, "MinIO to know its webhook", func() bool { // it answers before it does
		err = s.Raw.Notify(context.Background())
		return err == nil
	}); late != nil {
		t.Fatalf("%v: %v", late, err)
	}
	return s
}

func bucketOn(t T, c s3test.Config) *S3 {
	t.Helper()
	return newBucket(t, servers[c].Server(t))
}

func newBucket(t T, server *s3test.Server) *S3 {
	t.Helper()
	s := &S3{Server: server, Bucket: server.NewBucket(t), Proxy: server.Proxy(t)}
	s.Endpoint = s.Proxy.URL
	s.Raw = server.Raw(t, s.Bucket)
	return s
}

// stopServers ends the servers that tests have used.
func stopServers() error {
	for _, s := range servers {
		if err := s.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// Env is the environment for a daemon that uses the bucket.
func (s *S3) Env() []string {
	env := s3test.Environ()
	if s.Server.CAFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+s.Server.CAFile)
	}
	return env
}

// Objects returns the content of every object whose key begins with prefix.
func (s *S3) Objects(ctx context.Context, prefix string) (map[string][]byte, error) {
	keys, err := s.Raw.Keys(ctx, prefix)
	if err != nil {
		return nil, err
	}
	objects := make(map[string][]byte, len(keys))
	for _, key := range keys {
		_, body, err := s.Raw.Get(ctx, key)
		if s3test.IsNotFound(err) {
			continue // deleted since the listing
		}
		if err != nil {
			return nil, err
		}
		objects[key] = body
	}
	return objects, nil
}

// Uploads returns the keys of the multipart uploads that are under way or
// were forgotten.
func (s *S3) Uploads(ctx context.Context) ([]string, error) { return s.Raw.Uploads(ctx, "") }

// Slow makes the network between daemon and server slow and unreliable from
// now on: a few requests in a hundred are refused, throttled, or done without
// their answer arriving. seed decides which.
func (s *S3) Slow(seed uint64) {
	s.Fair()
	s.Proxy.Slow(15*time.Millisecond, 10<<20)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	for _, effect := range []s3test.Effect{s3test.Refuse(), s3test.SlowDown(), s3test.LoseAnswer(), s3test.InternalError()} {
		s.Proxy.Fault(s3test.Fault{Effect: effect, Match: func(*http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(100) < 2
		}})
	}
}

// Fair ends what Slow and other faults do.
func (s *S3) Fair() {
	s.Proxy.Heal()
	s.Proxy.Slow(0, 0)
	s.Proxy.Offline(false)
}
