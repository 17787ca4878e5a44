package faults

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// TestUploadAbortedByOthers has somebody abort an upload in parts, as a
// lifecycle rule does, before a part is sent and before it is completed: it
// begins anew, and in the end the object is whole and no upload is left.
func TestUploadAbortedByOthers(t *testing.T) {
	l := newLane(t, 0, new(tally))
	l.mount()
	var aborted atomic.Int32
	abort := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := l.s3.Raw.Abort(context.Background(), "f", r.URL.Query().Get("uploadId")); err != nil {
				t.Errorf("abort: %v", err)
			}
			aborted.Add(1)
			next.ServeHTTP(w, r)
		})
	}
	l.s3.Proxy.Fault(s3test.Fault{Match: s3test.On("UploadPart"), Skip: 1, Times: 1, Effect: abort})
	l.s3.Proxy.Fault(s3test.Fault{Match: s3test.On("CompleteMultipartUpload"), Times: 1, Effect: abort})
	body := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
	l.m.Do(t, "writing", func() error { return os.WriteFile(l.m.Path("f"), body, 0o644) })
	if status, out := l.m.Run(settled, "flush", l.m.Dir); status != 0 {
		t.Fatalf("moorfs flush: %s", out)
	}
	if n := aborted.Load(); n != 2 {
		t.Errorf("aborted %d times", n)
	}
	if _, got, err := l.s3.Raw.Get(context.Background(), "f"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes in the bucket, %v", len(got), err)
	}
	if err := harness.Until(settled, "no upload to be left", func() bool {
		left, err := l.s3.Uploads(context.Background())
		return err == nil && len(left) == 0
	}); err != nil {
		t.Error(err)
	}
	if err := l.m.Unmount(); err != nil {
		t.Error(err)
	}
}
