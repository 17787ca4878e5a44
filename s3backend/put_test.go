package s3backend

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestChecksumsOfPartsCombine(t *testing.T) {
	for name, c := range checksums {
		r := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			var parts []Part
			var all strings.Builder
			for n := range 1 + r.IntN(5) {
				b := make([]byte, r.IntN(5000))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				sum, err := c.of(strings.NewReader(string(b)))
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, Part{Number: int32(n + 1), Size: int64(len(b)), CRC: sum})
				all.Write(b)
			}
			want, err := c.of(strings.NewReader(all.String()))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.combine(parts); got != want {
				t.Fatalf("%s of %d parts: %s, want %s", name, len(parts), got, want)
			}
		}
	}
	if got := checksums[CRC32C].combine([]Part{{Size: 1, CRC: "AAAAAA=="}, {Size: 1}}); got != "" {
		t.Errorf("a missing checksum gives %q", got)
	}
}

// The check values of the CRC catalogue, for "123456789".
func TestChecksumsAreTheOnesOfS3(t *testing.T) {
	if got := crc64.Checksum([]byte("123456789"), nvmeTable); got != 0xae8b14860a799888 {
		t.Errorf("CRC-64/NVME %#x", got)
	}
	if got := crc32.Checksum([]byte("123456789"), castagnoliTable); got != 0xe3069283 {
		t.Errorf("CRC-32C %#x", got)
	}
}

func TestPartsSuffice(t *testing.T) {
	c := &Client{opts: Options{PartSize: DefaultPartSize}}
	for _, size := range []int64{1, 16 << 20, 100 << 30, 156_250 << 20, 5 << 40, 48 << 40} {
		p := c.partSize(size)
		if n := (size + p - 1) / p; n > maxParts || p < DefaultPartSize || p%(1<<20) != 0 {
			t.Errorf("%d bytes: %d parts of %d", size, n, p)
		}
	}
}

// bucket is as much of a server as tests of writes need.
type bucket struct {
	mu      sync.Mutex
	methods []string
	headers []http.Header
	echo    http.Header // of the answer to every write
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	b.methods, b.headers = append(b.methods, r.Method), append(b.headers, r.Header.Clone())
	for k, v := range b.echo {
		w.Header()[k] = v
	}
	w.Header().Set("ETag", `"`+hexMD5(string(body))+`"`)
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
	}
}

func TestUnsealedObjectIsRefusedAndWithdrawn(t *testing.T) {
	key := newCustomerKey(rawKey)
	for name, tc := range map[string]struct {
		o       Options
		echo    http.Header
		cond    Condition
		deletes int
	}{
		"SSE-C ignored":           {Options{SSECKeys: []CustomerKey{key}}, nil, Condition{Absent: true}, 1},
		"SSE-S3 ignored":          {Options{SSE: SSES3}, nil, Condition{Absent: true}, 1},
		"KMS became SSE-S3":       {Options{SSE: SSEKMS}, http.Header{headerSSE: {SSES3}}, Condition{Absent: true}, 1},
		"another KMS key":         {Options{SSE: SSEKMS, SSEKMSKeyID: "mine"}, http.Header{headerSSE: {SSEKMS}, headerKMSKey: {"arn:aws:kms:r:1:key/its"}}, Condition{Absent: true}, 1},
		"replaced, no version":    {Options{SSE: SSES3}, nil, Condition{Match: "old"}, 0},
		"replaced, has a version": {Options{SSE: SSES3}, http.Header{"X-Amz-Version-Id": {"v1"}}, Condition{Match: "old"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bucket{echo: tc.echo}
			c := fake(t, tc.o, b.ServeHTTP)
			_, err := c.Put(t.Context(), Put{Key: "k", Body: stringBody("secret"), Size: 6, If: tc.cond})
			wantKind(t, err, Unsealed)
			if got := strings.Count(strings.Join(b.methods, " "), http.MethodDelete); got != tc.deletes {
				t.Errorf("requests %v, want %d deletions", b.methods, tc.deletes)
			}
		})
	}
}

func TestPutSaysAllThatWasAsked(t *testing.T) {
	yes := true
	b := &bucket{echo: http.Header{headerSSE: {SSEKMS}, headerKMSKey: {"arn:aws:kms:eu-west-1:1:key/abc"}}}
	c := fake(t, Options{SSE: SSEKMS, SSEKMSKeyID: "abc", SSEKMSContext: `{"a":"b"}`, BucketKey: &yes, ACL: "bucket-owner-full-control",
		StorageClass: "STANDARD_IA", RequestPayer: true, ExpectedBucketOwner: "123456789012"}, b.ServeHTTP)
	o, err := c.Put(t.Context(), Put{Key: "k", Body: stringBody("abc"), Size: 3, If: Condition{Match: "old"},
		Meta: map[string]string{"file-mtime": "1ns", "title": "né  "}, Headers: Headers{ContentType: "text/plain", CacheControl: "no-store"}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Size != 3 || o.ETag != ETag(hexMD5("abc")) || o.StorageClass != "STANDARD_IA" || o.Modified.IsZero() || o.Meta["title"] != "né  " {
		t.Errorf("object %+v", o)
	}
	h := b.headers[0]
	for name, want := range map[string]string{
		headerSSE: SSEKMS, headerKMSKey: "abc", headerKMSContext: base64.StdEncoding.EncodeToString([]byte(`{"a":"b"}`)), headerBucketKey: "true",
		headerACL: "bucket-owner-full-control", headerStorageClass: "STANDARD_IA", "X-Amz-Request-Payer": "requester",
		"X-Amz-Expected-Bucket-Owner": "123456789012", "If-Match": `"old"`, "Content-Type": "text/plain", "Cache-Control": "no-store",
		"X-Amz-Meta-File-Mtime": "1ns", "X-Amz-Meta-Title": encodeWord("né  "), "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if h.Get("X-Amz-Checksum-Crc64nvme") == "" {
		t.Error("no checksum was sent")
	}
}

func TestMetadataSurvivesHeaders(t *testing.T) {
	for _, v := range []string{"", "plain", " led", "trailed ", "two  spaces", "ünï", "=?UTF-8?B?eA==?=", "tab\tbed", "line\nfeed", "\x00", "日本"} {
		word := encodeWord(v)
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q became %q", v, word)
		}
		if got := decodeMeta(map[string]string{"X": word})["x"]; got != v {
			t.Errorf("%q came back as %q", v, got)
		}
	}
}

func TestKeysAreEscapedForCopySources(t *testing.T) {
	c := &Client{opts: Options{Bucket: "b"}}
	if got, want := *c.copySource(Object{Key: "a b+c/é%\x01?#", Version: "v&1"}), "b/a%20b%2Bc/%C3%A9%25%01%3F%23?versionId=v%261"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeyRingOrder(t *testing.T) {
	var m keyMemory
	if got := fmt.Sprint(m.order("k", 2)); got != "[0 1 -1]" {
		t.Errorf("unknown: %s", got)
	}
	m.note("k", noKey)
	if got := fmt.Sprint(m.order("k", 2)); got != "[-1 0 1]" {
		t.Errorf("opened without: %s", got)
	}
	m.note("k", 0)
	if len(m.opened) != 0 {
		t.Errorf("the first key is remembered: %v", m.opened)
	}
	for i := range remembered + 1 {
		m.note(fmt.Sprint(i), 1)
	}
	if len(m.opened) > remembered {
		t.Errorf("%d keys are remembered", len(m.opened))
	}
}
