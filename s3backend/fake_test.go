package s3backend

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_SESSION_TOKEN": "secret-token",
		"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(k, v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// fake returns a client of a server that answers as handle does.
func fake(t *testing.T, o Options, handle http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	o.EndpointURL, o.Bucket = s.URL, "bucket"
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c.Use(Capabilities{PutIf: true, CompleteIf: true, Checksums: true, MD5ETag: true})
	return c
}

// refusal answers as S3 does: status, code and message.
func refusal(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "REQ1")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

// impatient returns options whose reads give up soon.
func impatient() Options { return Options{ReadTimeout: 600 * time.Millisecond} }

func wantKind(t *testing.T, err error, want Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", want)
	} else if got := KindOf(err); got != want {
		t.Errorf("kind %v, want %v: %v", got, want, err)
	}
}

func put(c *Client, ctx context.Context, body string) error {
	_, err := c.Put(ctx, Put{Key: "k", Body: stringBody(body), Size: int64(len(body))})
	return err
}
