package s3backend

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestStuck: a request is stuck while nothing of it moves, and not afterwards.
func TestStuck(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	})
	done := make(chan error)
	go func() {
		_, err := c.Head(context.Background(), "some/key")
		done <- err
	}()
	<-asked
	if got := c.Stuck(time.Hour); len(got) != 0 {
		t.Errorf("stuck for an hour: %+v", got)
	}
	got := c.Stuck(0)
	if len(got) != 1 || got[0].Operation != "HeadObject" || got[0].Path != "/bucket/some/key" || !got[0].New {
		t.Fatalf("got %+v", got)
	}
	if !strings.Contains(got[0].Stack, "TestStuck") {
		t.Errorf("not its stack: %q", got[0].Stack)
	}
	if got = c.Stuck(0); len(got) != 1 || got[0].New || got[0].Stack != "" {
		t.Errorf("the second time: %+v", got)
	}
	close(answer)
	wantKind(t, <-done, NotFound)
	if got = c.Stuck(0); len(got) != 0 {
		t.Errorf("after its end: %+v", got)
	}
	results, _ := c.Results()
	if len(results) != 1 || results[Result{"HeadObject", "404"}] != 1 {
		t.Errorf("results: %v", results)
	}
	if skew := c.Skew(); skew < 59*time.Minute || skew > 61*time.Minute {
		t.Errorf("the server's clock is ahead by %v", skew)
	}
}

// TestResultsOfRepetitions: what was asked again is counted as such.
func TestResultsOfRepetitions(t *testing.T) {
	first := true
	c := fake(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if first {
			first = false
			refusal(w, http.StatusServiceUnavailable, "SlowDown", "")
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	_, err := c.Head(t.Context(), "key")
	wantKind(t, err, NotFound)
	results, retries := c.Results()
	if results[Result{"HeadObject", "503"}] != 1 || results[Result{"HeadObject", "404"}] != 1 || retries["HeadObject"] != 1 {
		t.Errorf("results %v, retries %v", results, retries)
	}
}
