package s3backend

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// asFile puts credentials into a file as ~/.aws/credentials is, in place of
// those in the environment.
func asFile(t *testing.T) (o Options, use func(id string)) {
	t.Helper()
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(v, "")
	}
	name := filepath.Join(t.TempDir(), "credentials")
	use = func(id string) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = s\naws_session_token = token-of-%s\n", id, id)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	use("OLD")
	return Options{CredentialsFile: name}, use
}

// Credentials that somebody renewed in their file are used as soon as S3 says
// that the old ones have expired, by requests with an answer in words and by
// those without.
func TestExpiredCredentialsAreHadAnew(t *testing.T) {
	for name, request := range map[string]func(*Client) error{
		"get":  func(c *Client) error { _, err := readAll(t, c, Get{Key: "k", Range: Range{0, 3}, Size: 9}); return err },
		"head": func(c *Client) error { _, err := c.Head(t.Context(), "k"); return err },
		"put":  func(c *Client) error { return put(c, t.Context(), "body") },
	} {
		t.Run(name, func(t *testing.T) {
			o, use := asFile(t)
			var refusals atomic.Int64
			c := fake(t, o, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if !strings.Contains(r.Header.Get("Authorization"), "Credential=NEW/") {
					use("NEW")
					refusals.Add(1)
					refusal(w, 400, "ExpiredToken", "The provided token has expired.")
					return
				}
				serve(w, r, "etag", "some text")
			})
			if err := request(c); err != nil {
				t.Fatal(err)
			}
			if err := request(c); err != nil {
				t.Fatal(err)
			}
			if n := refusals.Load(); n > 2 {
				t.Errorf("%d requests with the old credentials", n)
			}
		})
	}
}

// Credentials that nobody renewed are a failure of its own kind, after one
// request.
func TestExpiredCredentialsAreSaid(t *testing.T) {
	o, _ := asFile(t)
	c := fake(t, o, func(w http.ResponseWriter, r *http.Request) {
		refusal(w, 400, "ExpiredToken", "The provided token has expired.")
	})
	err := put(c, t.Context(), "body")
	wantKind(t, err, Expired)
	if strings.Contains(fmt.Sprint(err), "needs s3:") {
		t.Errorf("the error names a permission: %v", err)
	}
	if n := c.Counts()["PutObject"]; n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A clock that is an hour off is made up for, and the requests that follow cost
// no second try.
func TestWrongClockIsMadeUpFor(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		now := time.Now().Add(time.Hour)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 15*time.Minute {
			refusal(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return
		}
		serve(w, r, "etag", "some text")
	})
	for range 3 {
		if err := put(c, t.Context(), "body"); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Counts()["PutObject"]; n != 4 {
		t.Errorf("%d requests for three objects", n)
	}
}

// The clocks move apart and together again while requests are made: each is
// made up for.
func TestClockThatJumpsIsMadeUpFor(t *testing.T) {
	var ahead atomic.Int64 // of the server's clock
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		now := time.Now().Add(time.Duration(ahead.Load()))
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 15*time.Minute {
			refusal(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return
		}
		serve(w, r, "etag", "some text")
	})
	const year = 365 * 24 * time.Hour
	for _, d := range []time.Duration{0, time.Hour, -year} {
		ahead.Store(int64(d))
		if err := put(c, t.Context(), "body"); err != nil {
			t.Errorf("%v ahead: %v", d, err)
		}
		if _, err := c.Head(t.Context(), "k"); err != nil {
			t.Errorf("%v ahead: %v", d, err)
		}
	}
}
