package s3test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Raw is a small S3 client of one bucket that shares no code with s3backend.
// It may be used concurrently once Header is set.
type Raw struct {
	Bucket string
	Header http.Header // added to every request for one object (SSE-C keys, say)

	url    string
	client *http.Client
}

// A RawObject is one object as the server tells of it.
type RawObject struct {
	Key    string
	Size   int64
	ETag   string            // without quotes
	Meta   map[string]string // user metadata, lower-case names; not in listings
	Header http.Header       // the whole answer; not in listings
}

// A RawError is an answer of the server that is no success.
type RawError struct {
	Method, Path string
	Status       int
	Body         string
}

func (e *RawError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// IsNotFound reports whether the server said 404.
func IsNotFound(err error) bool {
	var e *RawError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// NewRaw returns a client of a bucket of s, which need not exist yet.
func NewRaw(s *Server, bucket string) (*Raw, error) {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", s.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &Raw{Bucket: bucket, url: s.URL, client: &http.Client{Transport: transport}}, nil
}

// List returns all objects whose keys begin with prefix, in the server's order.
func (w *Raw) List(ctx context.Context, prefix string) ([]RawObject, error) {
	all := []RawObject{}
	query := map[string]string{"list-type": "2", "prefix": prefix, "encoding-type": "url"}
	for {
		var page struct {
			IsTruncated           bool
			NextContinuationToken string
			EncodingType          string // some servers do not encode
			Contents              []struct {
				Key, ETag string
				Size      int64
			}
		}
		if err := w.getXML(ctx, query, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			key, err := o.Key, error(nil)
			if page.EncodingType == "url" {
				key, err = url.QueryUnescape(key)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, RawObject{Key: key, Size: o.Size, ETag: strings.Trim(o.ETag, `"`)})
		}
		if !page.IsTruncated {
			return all, nil
		}
		query["continuation-token"] = page.NextContinuationToken
	}
}

// Keys returns the keys that begin with prefix, sorted.
func (w *Raw) Keys(ctx context.Context, prefix string) ([]string, error) {
	objects, err := w.List(ctx, prefix)
	keys := make([]string, 0, len(objects))
	for _, o := range objects {
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys, err
}

// Get returns the object at key and its whole content.
func (w *Raw) Get(ctx context.Context, key string) (RawObject, []byte, error) {
	return w.object(ctx, rawRequest{method: http.MethodGet, key: key})
}

// Head returns the object at key.
func (w *Raw) Head(ctx context.Context, key string) (RawObject, error) {
	o, _, err := w.object(ctx, rawRequest{method: http.MethodHead, key: key})
	return o, err
}

// Put writes an object with user metadata.
func (w *Raw) Put(ctx context.Context, key string, body []byte, meta map[string]string) error {
	header := http.Header{}
	for name, v := range meta {
		header.Set("X-Amz-Meta-"+name, v)
	}
	_, _, err := w.object(ctx, rawRequest{method: http.MethodPut, key: key, body: body, header: header})
	return err
}

// Delete removes the object at key; a missing one is no error.
func (w *Raw) Delete(ctx context.Context, key string) error {
	_, err := w.do(ctx, rawRequest{method: http.MethodDelete, key: key})
	return err
}

// Abort gives up a multipart upload, whoever began it.
func (w *Raw) Abort(ctx context.Context, key, upload string) error {
	_, err := w.do(ctx, rawRequest{method: http.MethodDelete, key: key, query: map[string]string{"uploadId": upload}})
	return err
}

// Uploads returns the keys of the unfinished multipart uploads under prefix,
// one for each upload.
func (w *Raw) Uploads(ctx context.Context, prefix string) ([]string, error) {
	keys := []string{}
	query := map[string]string{"uploads": "", "prefix": prefix}
	for {
		var page struct {
			IsTruncated                       bool
			NextKeyMarker, NextUploadIdMarker string
			Upload                            []struct{ Key string }
		}
		if err := w.getXML(ctx, query, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Upload {
			keys = append(keys, u.Key)
		}
		if !page.IsTruncated {
			return keys, nil
		}
		query["key-marker"], query["upload-id-marker"] = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// CreateBucket makes the bucket.
func (w *Raw) CreateBucket(ctx context.Context) error {
	_, err := w.do(ctx, rawRequest{method: http.MethodPut})
	return err
}

// EnableVersioning turns the versioning of the bucket on.
func (w *Raw) EnableVersioning(ctx context.Context) error {
	body := `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`
	_, err := w.do(ctx, rawRequest{method: http.MethodPut, query: map[string]string{"versioning": ""}, body: []byte(body)})
	return err
}

// Notify has MinIO's webhook told of all that happens in the bucket, accesses
// included.
func (w *Raw) Notify(ctx context.Context) error {
	body := `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><QueueConfiguration><Queue>arn:minio:sqs:` + Region + `:` + webhookID +
		`:webhook</Queue><Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event><Event>s3:ObjectAccessed:*</Event></QueueConfiguration></NotificationConfiguration>`
	_, err := w.do(ctx, rawRequest{method: http.MethodPut, query: map[string]string{"notification": ""}, body: []byte(body)})
	return err
}

func (w *Raw) getXML(ctx context.Context, query map[string]string, v any) error {
	a, err := w.do(ctx, rawRequest{method: http.MethodGet, query: query})
	if err != nil {
		return err
	}
	return xml.Unmarshal(a.body, v)
}

func (w *Raw) object(ctx context.Context, q rawRequest) (RawObject, []byte, error) {
	a, err := w.do(ctx, q)
	if err != nil {
		return RawObject{}, nil, err
	}
	o := RawObject{Key: q.key, Size: int64(len(a.body)), Header: a.header, Meta: map[string]string{}}
	o.ETag = strings.Trim(a.header.Get("ETag"), `"`)
	if n := a.header.Get("Content-Length"); n != "" && q.method == http.MethodHead {
		if o.Size, err = strconv.ParseInt(n, 10, 64); err != nil {
			return o, nil, err
		}
	}
	for name, v := range a.header {
		if meta, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			o.Meta[meta] = strings.Join(v, ",")
		}
	}
	return o, a.body, nil
}
