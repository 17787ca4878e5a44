package anykey

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// Bucket is the name of a Server's only bucket.
const Bucket = "any-key"

// A Server is an endpoint on loopback. The test may use the bucket directly,
// concurrently with its clients.
type Server struct {
	*remotetest.Memory
	URL string // without a slash at the end

	http *httptest.Server
}

// Start starts a server with an empty bucket; Close ends it.
func Start() *Server {
	s := &Server{Memory: remotetest.NewMemory(remotetest.Settings{})}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close cuts all connections and ends the server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	var err error
	switch {
	case bucket != Bucket:
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	case key == "" && r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case key == "" && query.Has("list-type"):
		err = s.list(w, r, query)
	case key == "" && query.Has("uploads"):
		err = answer(w, uploadList{Bucket: Bucket})
	case key == "" || len(query) > 0 && !onlySDK(query):
		refuse(w, http.StatusNotImplemented, "NotImplemented")
	default:
		err = s.object(w, r, key)
	}
	if err != nil {
		explain(w, err)
	}
}

// onlySDK reports whether a query says nothing but which call of the SDK it
// is.
func onlySDK(query url.Values) bool { return len(query) == 1 && query.Has("x-id") }

func (s *Server) object(w http.ResponseWriter, r *http.Request, key string) error {
	switch r.Method {
	case http.MethodHead, http.MethodGet:
		return s.get(w, r, key)
	case http.MethodPut:
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			return s.copy(w, r, key)
		}
		return s.put(w, r, key)
	case http.MethodDelete:
		err := s.Delete(r.Context(), s3backend.Deletion{Key: key, If: condition(r)})[0]
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	return nil
}

func condition(r *http.Request) s3backend.Condition {
	return s3backend.Condition{Match: unquote(r.Header.Get("If-Match")), Absent: r.Header.Get("If-None-Match") == "*"}
}

func unquote(s string) s3backend.ETag { return s3backend.ETag(strings.Trim(s, `"`)) }

func quote(e s3backend.ETag) string { return `"` + string(e) + `"` }

func (s *Server) put(w http.ResponseWriter, r *http.Request, key string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	o, err := s.Put(r.Context(), s3backend.Put{Key: key, Body: strings.NewReader(string(body)), Size: int64(len(body)),
		If: condition(r), Meta: metaOf(r.Header), Headers: headersOf(r.Header)})
	if err == nil {
		w.Header().Set("ETag", quote(o.ETag))
	}
	return err
}

func (s *Server) copy(w http.ResponseWriter, r *http.Request, key string) error {
	source, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return err
	}
	source = strings.TrimPrefix(strings.TrimPrefix(source, "/"), Bucket+"/")
	from, err := s.Head(r.Context(), source)
	if err != nil {
		return err
	}
	if want := r.Header.Get("X-Amz-Copy-Source-If-Match"); want != "" && unquote(want) != from.ETag {
		return &s3backend.Error{Op: "copy", Key: source, Kind: s3backend.Changed}
	}
	o, err := s.Copy(r.Context(), s3backend.Copy{From: from, To: key, If: condition(r), Meta: metaOf(r.Header), Headers: headersOf(r.Header)})
	if err != nil {
		return err
	}
	return answer(w, copyResult{ETag: quote(o.ETag), LastModified: o.Modified})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) error {
	o, err := s.Head(r.Context(), key)
	if err != nil {
		return err
	}
	if c := condition(r); c.Match != "" && c.Match != o.ETag {
		return &s3backend.Error{Op: "get", Key: key, Kind: s3backend.Changed}
	}
	describe(w.Header(), o)
	body, _ := s.Body(key)
	span, partial := rangeOf(r, o.Size)
	if partial {
		w.Header().Set("Content-Range", "bytes "+strconv.FormatInt(span.Off, 10)+"-"+strconv.FormatInt(span.End()-1, 10)+"/"+strconv.FormatInt(o.Size, 10))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(span.Len, 10))
	if partial {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodGet {
		_, err = w.Write(body[span.Off:span.End()])
	}
	return err
}

// rangeOf returns the bytes that a request asks for.
func rangeOf(r *http.Request, size int64) (span s3backend.Range, partial bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || from > to || from >= size {
		return s3backend.Range{Len: size}, false
	}
	return s3backend.Range{Off: from, Len: min(to+1, size) - from}, true
}

const metaPrefix = "X-Amz-Meta-"

func metaOf(h http.Header) map[string]string {
	meta := map[string]string{}
	for name, v := range h {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok {
			meta[strings.ToLower(rest)] = strings.Join(v, ",")
		}
	}
	return meta
}

func headersOf(h http.Header) s3backend.Headers {
	return s3backend.Headers{ContentType: h.Get("Content-Type"), CacheControl: h.Get("Cache-Control")}
}

func describe(h http.Header, o s3backend.Object) {
	h.Set("ETag", quote(o.ETag))
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Type", o.Headers.ContentType)
	for name, v := range o.Meta {
		h.Set(metaPrefix+name, v)
	}
	maps.DeleteFunc(h, func(_ string, v []string) bool { return v[0] == "" })
}

// explain answers with an error of S3.
func explain(w http.ResponseWriter, err error) {
	var e *s3backend.Error
	if !errors.As(err, &e) {
		refuse(w, http.StatusBadRequest, "InvalidRequest")
		return
	}
	switch e.Kind {
	case s3backend.NotFound:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case s3backend.Changed:
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case s3backend.TooBig:
		refuse(w, http.StatusBadRequest, "KeyTooLongError")
	default:
		refuse(w, http.StatusBadRequest, "InvalidRequest")
	}
}
