package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// A lane is a mount of a bucket of its own.
type lane struct {
	t   *testing.T
	n   int
	sum *tally
	s3  *harness.S3
	m   *harness.Mount
}

func newLane(t *testing.T, n int, sum *tally) *lane {
	return &lane{t: t, n: n, sum: sum, s3: harness.Versity(t)}
}

// mount mounts the bucket, which has all files by now: names are believed for
// an hour.
func (l *lane) mount() {
	l.m = harness.Start(l.t, harness.Spec{Source: "s3://" + l.s3.Bucket, Env: l.s3.Env(), Options: []string{
		"--endpoint-url", l.s3.Endpoint, "--read-timeout", readTimeout.String(), "--write-back", "0s", "--part-size", "5MiB",
		"--attr-ttl", "1h", "--list-ttl", "1h", "--negative-ttl", "1h"}})
}

// violation reports what must not be.
func (l *lane) violation(format string, args ...any) {
	l.t.Helper()
	l.sum.violations.Add(1)
	l.t.Errorf("lane %d: %s", l.n, fmt.Sprintf(format, args...))
}

// A usage is what a daemon holds. Every connection has a descriptor and two
// goroutines, and idle ones are kept for a minute.
type usage struct{ files, sockets, goroutines int }

// use returns what the daemon holds.
func (l *lane) use() (u usage) {
	dir := fmt.Sprintf("/proc/%d/fd", l.m.Pid())
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.t.Error(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			u.sockets++
		} else if err == nil {
			u.files++
		}
	}
	status, out := l.m.Run(prompt, "status", l.m.Dir, "--json")
	var report struct {
		Mounts []struct{ Goroutines int }
	}
	if err := json.NewDecoder(bytes.NewBufferString(out)).Decode(&report); status != 0 || err != nil || len(report.Mounts) != 1 {
		l.t.Errorf("status %d: %v: %s", status, err, out)
		return u
	}
	u.goroutines = report.Mounts[0].Goroutines
	return u
}

// noLeak waits until the daemon holds no more than before.
func (l *lane) noLeak(before usage) {
	var now usage
	few := func() bool {
		now = l.use()
		return now.files <= before.files+1 && now.goroutines-2*now.sockets <= before.goroutines-2*before.sockets+4
	}
	if err := harness.Until(30*time.Second, "nothing to be left", few); err != nil {
		l.violation("the daemon held %+v and holds %+v", before, now)
	}
}
