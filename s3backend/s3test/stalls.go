package s3test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Hang reads the request and never answers, until the client gives up: what a
// network does that is open on one side only.
func Hang() Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the client may be gone
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}
}

// HangAfter sends n bytes of the answer's body and then nothing.
func HangAfter(n int64) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&stopping{ResponseWriter: w, left: n, gone: r.Context().Done()}, r)
		})
	}
}

// Drip sends the answer's body byte by byte, with a pause after each.
func Drip(pause time.Duration) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&dripping{w, pause, r.Context().Done()}, r)
		})
	}
}

// Length says that the answer's body is delta bytes longer, or shorter, than
// it is; a shorter one ends there.
func Length(delta int64) Effect {
	return answering(func(w http.ResponseWriter) http.ResponseWriter { return &lengthening{w, delta, -1} })
}

// BreakRequest resets the connection when n bytes of the request's body have
// come; the server sees nothing.
func BreakRequest(n int64) Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, n) // there may be fewer
			reset(w)
		})
	}
}

// FlipSent changes one byte of the request's body, the one at the offset, on
// its way to the server.
func FlipSent(at int64) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = &flippedBody{r.Body, at}
			next.ServeHTTP(w, r)
		})
	}
}

type stopping struct {
	http.ResponseWriter
	left int64
	gone <-chan struct{}
}

func (w *stopping) Write(b []byte) (int, error) {
	n := min(int64(len(b)), w.left)
	w.left -= n
	if _, err := w.ResponseWriter.Write(b[:n]); err != nil {
		return 0, err
	}
	if n < int64(len(b)) {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the client may be gone
		<-w.gone
		panic(http.ErrAbortHandler)
	}
	return len(b), nil
}

type dripping struct {
	http.ResponseWriter
	pause time.Duration
	gone  <-chan struct{}
}

func (w *dripping) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := w.ResponseWriter.Write(b[i : i+1]); err != nil {
			return i, err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the client may be gone
		select {
		case <-w.gone:
			return i, fmt.Errorf("the client is gone")
		case <-time.After(w.pause):
		}
	}
	return len(b), nil
}

type lengthening struct {
	http.ResponseWriter
	delta int64
	left  int64 // -1: not limited
}

func (w *lengthening) WriteHeader(status int) {
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && n+w.delta >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(n+w.delta, 10))
		if w.delta < 0 {
			w.left = n + w.delta
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *lengthening) Write(b []byte) (int, error) {
	keep := b
	if w.left >= 0 {
		keep = b[:min(int64(len(b)), w.left)]
		w.left -= int64(len(keep))
	}
	if _, err := w.ResponseWriter.Write(keep); err != nil {
		return 0, err
	}
	return len(b), nil
}

type flippedBody struct {
	io.ReadCloser
	at int64 // relative to the next byte
}

func (f *flippedBody) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	if 0 <= f.at && f.at < int64(n) {
		b[f.at] ^= 0x55
	}
	f.at -= int64(n)
	return n, err
}
