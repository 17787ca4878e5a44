package script

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// TestRightsBelowAPrefix: whoever may do everything below a prefix, and nothing
// elsewhere in the bucket, mounts it and works.
func TestRightsBelowAPrefix(t *testing.T) {
	const prefix = "team/"
	s3 := harness.Versity(t)
	ctx := context.Background()
	if err := s3.Raw.Put(ctx, prefix+"there", []byte("content"), nil); err != nil {
		t.Fatal(err)
	}
	outside := func(r *http.Request) bool {
		if q := r.URL.Query(); q.Has("delete") {
			return false // the keys are in the body
		}
		key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/"+s3.Bucket), "/")
		if key == "" {
			key = r.URL.Query().Get("prefix")
		}
		return !strings.HasPrefix(key, prefix)
	}
	s3.Proxy.Fault(s3test.Fault{Match: outside, Effect: s3test.Denied()})
	m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket + "/team", Env: s3.Env(), Options: []string{"--endpoint-url", s3.Endpoint}})
	if b, err := os.ReadFile(m.Path("there")); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if err := os.WriteFile(m.Path("new"), []byte("ours"), 0o644); err != nil {
		t.Error(err)
	}
	if err := os.Remove(m.Path("there")); err != nil {
		t.Error(err)
	}
	if status, out := m.Run(waitLimit, "flush", m.Dir); status != 0 {
		t.Fatalf("flush: %d: %s", status, out)
	}
	if keys, err := s3.Raw.Keys(ctx, ""); err != nil || len(keys) != 1 || keys[0] != prefix+"new" {
		t.Errorf("the bucket has %q, %v", keys, err)
	}
}
