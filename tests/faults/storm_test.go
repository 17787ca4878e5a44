package faults

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

const (
	stormFiles = 200
	stormTime  = 3 * time.Second
	// stormMost bounds what a bucket sees in stormTime: the requests that were
	// under way, their repetitions, and then a trickle.
	stormMost = 120
)

// However much is queued, a bucket that is busy and one that is away see few
// requests, the log has a line a state and not a line a request, and all
// arrives soon afterwards.
func TestNoStorm(t *testing.T) {
	for name, storm := range map[string]struct {
		begin, end func(*harness.S3)
		state      string
	}{
		"busy": {func(s *harness.S3) { s.Proxy.Fault(s3test.Fault{Effect: s3test.SlowDown()}) },
			func(s *harness.S3) { s.Proxy.Heal() }, "degraded"},
		"away": {func(s *harness.S3) { s.Proxy.Offline(true) }, func(s *harness.S3) { s.Proxy.Offline(false) }, "offline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t, 0, &tally{})
			l.mount()
			if _, err := os.ReadDir(l.m.Dir); err != nil {
				t.Fatal(err)
			}
			storm.begin(l.s3)
			before := l.s3.Proxy.Injected()
			want := map[string]string{}
			for i := range stormFiles {
				file := fmt.Sprintf("f%03d", i)
				want[file] = file
				if err := os.WriteFile(l.m.Path(file), []byte(file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			over := time.After(stormTime)
			if err := harness.Until(prompt, "state "+storm.state, func() bool { return strings.Contains(l.m.Log(), "bucket: "+storm.state) }); err != nil {
				t.Error(err)
			}
			<-over
			if n := l.s3.Proxy.Injected() - before; n > stormMost {
				t.Errorf("%d requests", n)
			} else {
				t.Logf("%d files were waiting; the bucket saw %d requests", stormFiles, n)
			}
			if n := strings.Count(l.m.Log(), "level=WARN") + strings.Count(l.m.Log(), "level=ERROR"); n > 8 {
				t.Errorf("%d lines in the log:\n%s", n, l.m.Log())
			}
			storm.end(l.s3)
			healed := time.Now()
			err := harness.Until(settled, "all files", func() bool {
				got, err := l.s3.Objects(context.Background(), "")
				if err != nil || len(got) != len(want) {
					return false
				}
				for name, body := range got {
					if want[name] != string(body) {
						t.Fatalf("%q holds %q", name, body)
					}
				}
				return true
			})
			if err != nil {
				t.Error(err)
			}
			t.Logf("all had arrived %v afterwards", time.Since(healed).Round(time.Millisecond))
		})
	}
}
