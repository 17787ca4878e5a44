package s3backend

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// A portal's page passes for no answer, also where S3 would say nothing but
// "done", and if it has an ETag.
func TestPagePassesForNoChange(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", `"0123"`)
		_, _ = io.WriteString(w, "<html>Please log in.</html>") // the client may be gone
	})
	for name, err := range map[string]error{
		"delete":    c.Delete(t.Context(), Deletion{Key: "k"})[0],
		"delete if": c.Delete(t.Context(), Deletion{Key: "k", If: Condition{Match: "0123"}})[0],
		"put":       put(c, t.Context(), "body"),
		"abort":     c.Abort(t.Context(), "k", Upload{ID: "u"}),
	} {
		t.Log(name)
		wantKind(t, err, Corrupt)
	}
}

// A bucket that is busy until the time is up did answer.
func TestBusyUntilTheTimeIsUp(t *testing.T) {
	c := fake(t, Options{ReadTimeout: 600 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		refusal(w, 503, "SlowDown", "Please reduce your request rate.")
	})
	_, err := c.Head(t.Context(), "k")
	wantKind(t, err, Busy)
	_, err = c.Get(t.Context(), Get{Key: "k", Range: Range{0, 1}})
	wantKind(t, err, Busy)
	_, _, err = c.ListPage(t.Context(), "", "", 1)
	wantKind(t, err, Busy)
}

// A deletion that is refused for a change that nobody made is to be tried again.
func TestDeletionRefusedForNothing(t *testing.T) {
	etag := "same"
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			refusal(w, http.StatusPreconditionFailed, "PreconditionFailed", "changed")
			return
		}
		serve(w, r, etag, "some text")
	})
	wantKind(t, c.Delete(t.Context(), Deletion{Key: "k", If: Condition{Match: "same"}})[0], Busy)
	etag = "another"
	wantKind(t, c.Delete(t.Context(), Deletion{Key: "k", If: Condition{Match: "same"}})[0], Changed)
}
