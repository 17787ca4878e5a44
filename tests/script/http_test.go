package script

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// A watched is a mount with --http.
type watched struct {
	*harness.Mount
	s3      *harness.S3
	t       *testing.T
	address string
}

func watch(t *testing.T, options ...string) *watched {
	t.Helper()
	s3 := harness.Versity(t)
	m := harness.Start(t, harness.Spec{Source: "s3://" + s3.Bucket, Env: s3.Env(),
		Options: append([]string{"--endpoint-url", s3.Endpoint, "--http", "0", "--attrs", "list", "--write-back", "1h"}, options...)})
	var found []string
	err := harness.Until(waitLimit, "the log has the address", func() bool {
		found = regexp.MustCompile(`msg=http address=(\S+)`).FindStringSubmatch(m.Log())
		return found != nil
	})
	if err != nil {
		t.Fatalf("%v: %s", err, m.Log())
	}
	return &watched{Mount: m, s3: s3, t: t, address: found[1]}
}

// get asks for a path as a browser would that was told host.
func (w *watched) get(path, host string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+w.address+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = host
	client := http.Client{Timeout: waitLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// has waits until a page has a line.
func (w *watched) has(path, line string) {
	w.t.Helper()
	last := ""
	err := harness.Until(waitLimit, fmt.Sprintf("%s has %q", path, line), func() bool {
		_, last = w.get(path, w.address)
		return strings.Contains(last, line)
	})
	if err != nil {
		w.t.Errorf("%v:\n%s", err, last)
	}
}

func TestHTTP(t *testing.T) {
	w := watch(t)
	ctx := context.Background()
	for path, want := range map[string]string{
		"/healthz": "ok\n", "/status": `"state": "online"`, "/": "s3://" + w.s3.Bucket, "/metrics": "moorfs_network_state{state=\"online\"} 1\n",
	} {
		if status, body := w.get(path, "localhost"); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %q: %s", path, status, want, body)
		}
		if status, body := w.get(path, "evil.example"); status != http.StatusForbidden || strings.Contains(body, w.s3.Bucket) {
			t.Errorf("%s for another host: %d: %s", path, status, body)
		}
		_, body := w.get(path, w.address)
		for _, secret := range w.s3.Env() {
			if name, value, _ := strings.Cut(secret, "="); strings.Contains(name, "SECRET") && strings.Contains(body, value) {
				t.Errorf("%s shows %s", path, name)
			}
		}
	}
	if err := os.WriteFile(w.Path("file"), []byte("ours"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.has("/metrics", `moorfs_requests_total{operation="create",outcome="ok"} 1`)
	w.has("/metrics", `moorfs_written_bytes_total 4`)
	w.has("/metrics", `moorfs_queue_keys{state="waiting"} 1`)
	if _, err := os.Stat(w.Path("no such file")); err == nil {
		t.Error("it exists")
	}
	w.has("/metrics", `moorfs_requests_total{operation="write",outcome="ok"} 1`)
	if err := w.s3.Raw.Put(ctx, "file", []byte("theirs"), nil); err != nil {
		t.Fatal(err)
	}
	w.has("/metrics", "moorfs_conflicts 0\n")
	if status, out := w.Run(waitLimit, "flush", w.Dir); status != 0 {
		t.Fatalf("flush: %d: %s", status, out)
	}
	w.has("/metrics", "moorfs_conflicts 1\n")
	w.has("/metrics", `moorfs_s3_requests_total{operation="PutObject",status="412"}`)
}

// TestHealthOfADetachedMount: what is no longer there is not well.
func TestHealthOfADetachedMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to detach a mount")
	}
	w := watch(t)
	f, err := os.Create(w.Path("open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Unmount(w.Dir, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if status, body := w.get("/healthz", w.address); status != http.StatusServiceUnavailable || !strings.Contains(body, w.Dir) {
		t.Errorf("%d: %s", status, body)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-w.Died():
	case <-time.After(waitLimit):
		t.Error("the daemon goes on")
	}
}

// TestStuck: a request that waits for S3 is reported once with its stack, and
// shown while it waits.
func TestStuck(t *testing.T) {
	w := watch(t, "--stuck-after", "300ms")
	if err := w.s3.Raw.Put(context.Background(), "slow", []byte("content"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.Path("slow")); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	w.s3.Proxy.Fault(s3test.Fault{Match: s3test.On("GetObject"), Effect: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			next.ServeHTTP(out, r)
		})
	}})
	read := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(w.Path("slow"))
		read <- err
	}()
	w.has("/metrics", `moorfs_stuck_requests{side="kernel"} 1`)
	w.has("/metrics", `moorfs_stuck_requests{side="s3"} 1`)
	if status, body := w.get("/healthz", w.address); status != http.StatusServiceUnavailable ||
		!regexp.MustCompile(`^1 request has not been answered for 300ms: (open|read) "slow" \(inode \d+\) for process \d+, since \S+\n$`).MatchString(body) {
		t.Errorf("/healthz while a request is stuck: %d: %s", status, body)
	}
	status, out := w.Run(waitLimit, "status", w.Dir)
	if status != 0 || !regexp.MustCompile(`stuck +(open|read) "slow" \(inode \d+\) for process \d+`).MatchString(out) ||
		!regexp.MustCompile(`stuck +S3: GetObject /\S+/slow`).MatchString(out) {
		t.Errorf("moorfs status: %d: %s", status, out)
	}
	close(release)
	if err := <-read; err != nil {
		t.Error(err)
	}
	if status, body := w.get("/healthz", w.address); status != http.StatusOK {
		t.Errorf("/healthz when it was answered: %d: %s", status, body)
	}
	w.has("/metrics", `moorfs_stuck_requests{side="kernel"} 0`)
	for _, message := range []string{`msg="a request is stuck"`, `msg="a request to S3 is stuck"`} {
		lines := regexp.MustCompile(regexp.QuoteMeta(message)+`.*`).FindAllString(w.Log(), -1)
		if len(lines) != 1 || !strings.Contains(lines[0], ".go:") {
			t.Errorf("%s: %d lines, %.500q", message, len(lines), lines)
		}
	}
	if !strings.Contains(w.Log(), "cache.(*file).fetch") {
		t.Errorf("the stack is not that of the fetch: %s", w.Log())
	}
}
