package s3backend

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const content = "the quick brown fox jumps over the lazy dog"

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// serve answers a GET as S3 does, with body in place of the object's bytes.
func serve(w http.ResponseWriter, r *http.Request, etag, body string) {
	w.Header().Set("ETag", `"`+etag+`"`)
	if r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != `"`+etag+`"` {
		refusal(w, http.StatusPreconditionFailed, "PreconditionFailed", "changed")
		return
	}
	off, end := 0, len(body)-1
	if h := r.Header.Get("Range"); h != "" {
		if _, err := fmt.Sscanf(h, "bytes=%d-%d", &off, &end); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, end, len(body)))
		w.Header().Set("Content-Length", fmt.Sprint(end-off+1))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	_, _ = io.WriteString(w, body[off:end+1]) // the client may have gone
}

func readAll(t *testing.T, c *Client, g Get) (string, error) {
	t.Helper()
	r, err := c.Get(t.Context(), g)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestGetYieldsTheRange(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { serve(w, r, hexMD5(content), content) })
	size := int64(len(content))
	for _, r := range []Range{{0, size}, {0, 1}, {size - 1, 1}, {4, 11}} {
		got, err := readAll(t, c, Get{Key: "k", At: ETag(hexMD5(content)), Range: r, Size: size})
		if err != nil || got != content[r.Off:r.End()] {
			t.Errorf("%+v: %q, %v", r, got, err)
		}
	}
	_, err := readAll(t, c, Get{Key: "k", At: "another", Range: Range{0, 3}, Size: size})
	wantKind(t, err, Changed)
	if _, err := c.Get(t.Context(), Get{Key: "k"}); err == nil {
		t.Error("an empty range was accepted")
	}
}

func TestAnswersThatAreNotTheObjectAreRefused(t *testing.T) {
	etag := hexMD5(content)
	for name, wrong := range map[string]http.HandlerFunc{
		"all instead of a range": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			serve(w, r, etag, content)
		},
		"another range": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=5-8")
			serve(w, r, etag, content)
		},
		"another size": func(w http.ResponseWriter, r *http.Request) { serve(w, r, etag, content+"!") },
		"another ETag": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			serve(w, r, hexMD5("x"), content)
		},
		"no ETag": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			serve(w, r, "", content)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake(t, Options{}, wrong)
			_, err := readAll(t, c, Get{Key: "k", At: ETag(etag), Range: Range{4, 4}, Size: int64(len(content))})
			wantKind(t, err, Corrupt)
			if n := c.Counts()["GetObject"]; n != corruptAttempts {
				t.Errorf("asked %d times, want %d", n, corruptAttempts)
			}
		})
	}
}

func TestBrokenDownloadGoesOnWhereItStood(t *testing.T) {
	var requests atomic.Int64
	var ranges []string
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("ETag", `"`+hexMD5(content)+`"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = io.WriteString(w, content[:10]) // and the connection closes, too early
			return
		}
		ranges = append(ranges, r.Header.Get("Range")+" "+r.Header.Get("If-Match"))
		serve(w, r, hexMD5(content), content)
	})
	size := int64(len(content))
	got, err := readAll(t, c, Get{Key: "k", Range: Range{0, size}, Size: size})
	if err != nil || got != content {
		t.Errorf("got %q, %v", got, err)
	}
	if want := fmt.Sprintf("bytes=10-%d %q", size-1, hexMD5(content)); len(ranges) != 1 || ranges[0] != want {
		t.Errorf("asked for %q, want %q", ranges, want)
	}
}

func TestReplacedWhileDownloading(t *testing.T) {
	var requests atomic.Int64
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = io.WriteString(w, content[:10])
			return
		}
		serve(w, r, "two", strings.ToUpper(content))
	})
	size := int64(len(content))
	got, err := readAll(t, c, Get{Key: "k", Range: Range{0, size}, Size: size})
	wantKind(t, err, Changed)
	if !strings.HasPrefix(content, got) {
		t.Errorf("torn: %q", got)
	}
}

func TestDownloadThatNeverResumesEnds(t *testing.T) {
	c := fake(t, impatient(), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "40")
		_, _ = io.WriteString(w, content[:10])
		w.(http.Flusher).Flush()
		<-r.Context().Done() // stands still
	})
	start := time.Now()
	got, err := readAll(t, c, Get{Key: "k", Range: Range{0, 40}, Size: 40})
	if err == nil || got != content[:10] {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestFlippedBitIsCorrupt(t *testing.T) {
	flipped := "T" + content[1:]
	sum := func(s string) string {
		h := crc32.New(castagnoliTable)
		_, _ = io.WriteString(h, s) // never fails
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	size := int64(len(content))
	for name, handle := range map[string]http.HandlerFunc{
		"CRC32C": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Checksum-Crc32c", sum(content))
			w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
			serve(w, r, "no-md5", flipped)
		},
		"MD5": func(w http.ResponseWriter, r *http.Request) { serve(w, r, hexMD5(content), flipped) },
	} {
		c := fake(t, Options{}, handle)
		got, err := readAll(t, c, Get{Key: "k", Range: Range{0, size}, Size: size})
		wantKind(t, err, Corrupt)
		if got != flipped || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestETagThatIsNoMD5IsNotTakenForOne(t *testing.T) {
	size := int64(len(content))
	for name, headers := range map[string]map[string]string{
		"KMS":       {headerSSE: SSEKMS},
		"SSE-C":     {prefixSSEC + "Algorithm": "AES256"},
		"composite": {"X-Amz-Checksum-Crc32c": "AAAAAA==", "X-Amz-Checksum-Type": "COMPOSITE", headerSSE: SSEKMS},
	} {
		c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			serve(w, r, hexMD5("something else"), content)
		})
		if got, err := readAll(t, c, Get{Key: "k", Range: Range{0, size}, Size: size}); err != nil || got != content {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
