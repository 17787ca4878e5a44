package s3backend

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rawKey = []byte("0123456789abcdef0123456789abcdef")

// spellings are how a secret might leak.
func spellings() []string {
	return []string{string(rawKey), base64.StdEncoding.EncodeToString(rawKey), fmt.Sprint(rawKey), fmt.Sprintf("%x", rawKey),
		"very-secret", "secret-token", "Signature="}
}

func wantNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, s := range spellings() {
		if strings.Contains(text, s) {
			t.Errorf("%s shows a secret: %s", where, text)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := newCustomerKey(rawKey)
	c := fake(t, Options{SSECKeys: []CustomerKey{k}}, nil)
	js, err := json.Marshal(c.opts.SSECKeys)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "keys", c.opts.SSECKeys)
	for where, text := range map[string]string{
		"%v": fmt.Sprintf("%v %v", k, c.opts), "%+v": fmt.Sprintf("%+v %+v %+v", k, c.opts, c), "%#v": fmt.Sprintf("%#v %#v %#v", k, c.opts, c),
		"%s": fmt.Sprintf("%s", k), "enc": fmt.Sprintf("%+v %#v", c.enc, c.enc), "struct": fmt.Sprintf("%+v", struct{ c *Client }{c}), "json": string(js), "log": log.String(),
	} {
		wantNoSecret(t, where, text)
	}
	if !strings.Contains(k.String(), k.MD5()) || k.MD5() == "" {
		t.Errorf("key prints as %s", k)
	}
}

func TestDebugLogIsRedacted(t *testing.T) {
	var log bytes.Buffer
	o := Options{SSECKeys: []CustomerKey{newCustomerKey(rawKey)}, Debug: true,
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	c := fake(t, o, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") == "" || r.Header.Get("X-Amz-Security-Token") == "" {
			t.Error("the request does not carry the secrets that must not be logged")
		}
		refusal(w, 400, "InvalidArgument", "no")
	})
	_, err := c.Copy(t.Context(), Copy{From: Object{Key: "a", ETag: "e"}, To: "b"})
	wantKind(t, err, Other)
	wantNoSecret(t, "error", fmt.Sprintf("%v %+v %#v", err, err, err))
	if !strings.Contains(log.String(), "op=CopyObject") || !strings.Contains(log.String(), "[redacted]") {
		t.Errorf("log: %s", log.String())
	}
	wantNoSecret(t, "log", log.String())
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	b64 := base64.StdEncoding.EncodeToString(rawKey)
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		want          string // part of the error; empty: it is read
	}{
		{"raw", string(rawKey), 0o600, ""},
		{"base64", b64, 0o400, ""},
		{"base64 and line feed", b64 + "\n", 0o600, ""},
		{"open to the group", b64, 0o640, "chmod 0600"},
		{"open to others", b64, 0o604, "chmod 0600"},
		{"short", "abc", 0o600, "neither 32 bytes nor their base64"},
		{"long", b64 + b64 + b64 + b64, 0o600, "neither 32 bytes nor their base64"},
	} {
		file := filepath.Join(dir, tc.name)
		if err := os.WriteFile(file, []byte(tc.content), tc.mode); err != nil {
			t.Fatal(err)
		}
		k, err := ReadCustomerKey(file)
		switch {
		case tc.want == "" && (err != nil || k.MD5() != newCustomerKey(rawKey).MD5()):
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want …%s…", tc.name, err, tc.want)
		case err != nil:
			wantNoSecret(t, tc.name, err.Error())
		}
	}
	if _, err := ReadCustomerKey(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestOptionsThatNoRequestCouldBeMadeOf(t *testing.T) {
	k := []CustomerKey{newCustomerKey(rawKey)}
	yes := true
	for want, o := range map[string]Options{
		"no bucket":                  {},
		"part size":                  {Bucket: "b", PartSize: 1 << 20},
		"none of AES256":             {Bucket: "b", SSE: "rot13"},
		"SSE-C excludes":             {Bucket: "b", SSE: SSES3, SSECKeys: k},
		"a KMS key id":               {Bucket: "b", SSE: SSES3, SSEKMSKeyID: "id"},
		"bucket key":                 {Bucket: "b", SSE: SSEDSSE, BucketKey: &yes},
		"no JSON object":             {Bucket: "b", SSE: SSEKMS, SSEKMSContext: "a=b"},
		"an SSE-C key is empty":      {Bucket: "b", SSECKeys: make([]CustomerKey, 1)},
		"external id":                {Bucket: "b", ExternalID: "x"},
		"unsigned":                   {Bucket: "b", NoSignRequest: true, Profile: "p"},
		"path style":                 {Bucket: "b", PathStyle: "maybe"},
		"checksum algorithm":         {Bucket: "b", ChecksumAlgorithm: "MD4"},
		"endpoint URL":               {Bucket: "b", EndpointURL: "localhost:9000"},
		"SSE-C needs https":          {Bucket: "b", EndpointURL: "http://192.0.2.1", SSECKeys: k},
		"CA bundle":                  {Bucket: "b", CABundle: "/does/not/exist"},
		"at least one upload":        {Bucket: "b", MaxUploads: -1},
		"is none of CRC64NVME, CRC3": {Bucket: "b", ChecksumAlgorithm: "crc32c"},
	} {
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want …%s…", o, err, want)
		}
	}
}
