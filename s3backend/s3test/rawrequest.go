package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A rawRequest is about an object if it has a key, about the bucket if not.
type rawRequest struct {
	method, key string
	query       map[string]string
	header      http.Header
	body        []byte
}

type rawAnswer struct {
	header http.Header
	body   []byte
}

// do sends one signed request and reads the answer; one that is not 2xx is a
// *RawError.
func (w *Raw) do(ctx context.Context, q rawRequest) (rawAnswer, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, w.url, bytes.NewReader(q.body))
	if err != nil {
		return rawAnswer{}, err
	}
	path := "/" + w.Bucket
	if q.key != "" {
		path += "/" + q.key
		r.Header = w.Header.Clone()
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for name, v := range q.header {
		r.Header[name] = v
	}
	r.URL.Path, r.URL.RawPath = path, escape(path, "/")
	pairs := []string{}
	for name, v := range q.query {
		pairs = append(pairs, escape(name, "")+"="+escape(v, ""))
	}
	slices.Sort(pairs)
	r.URL.RawQuery = strings.Join(pairs, "&")
	sign(r, q.body, time.Now())
	answer, err := w.client.Do(r)
	if err != nil {
		return rawAnswer{}, err
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return rawAnswer{}, fmt.Errorf("%s %s: %w", q.method, path, err)
	}
	if answer.StatusCode/100 != 2 {
		return rawAnswer{}, &RawError{Method: q.method, Path: path, Status: answer.StatusCode, Body: string(body)}
	}
	return rawAnswer{answer.Header, body}, nil
}
