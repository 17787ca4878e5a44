package s3test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// An Effect is what a fault does to a request. The next handler, if called,
// lets the server do the request and writes its answer.
type Effect func(next http.Handler) http.Handler

// Refuse resets the connection; the server sees nothing.
func Refuse() Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reset(w) })
	}
}

// LoseAnswer lets the server do the request and resets the connection in
// place of the answer.
func LoseAnswer() Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&discard{header: http.Header{}}, r)
			reset(w)
		})
	}
}

// BreakAfter closes the connection when n bytes of the answer's body have been
// sent.
func BreakAfter(n int64) Effect {
	return answering(func(w http.ResponseWriter) http.ResponseWriter { return &breaking{w, n} })
}

// Truncate ends the answer's body after n bytes as if that were all of it.
func Truncate(n int64) Effect {
	return answering(func(w http.ResponseWriter) http.ResponseWriter { return &truncating{w, n} })
}

// FlipByte changes one byte of the answer's body, the one at the offset.
func FlipByte(at int64) Effect {
	return answering(func(w http.ResponseWriter) http.ResponseWriter { return &flipping{w, at} })
}

// Delay waits before the request is passed on, or until the client gives up.
func Delay(d time.Duration) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pause(r.Context(), d) != nil {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// SlowDown answers 503 SlowDown in place of the server.
func SlowDown() Effect { return Refusal(http.StatusServiceUnavailable, "SlowDown") }

// InternalError answers 500 InternalError in place of the server.
func InternalError() Effect { return Refusal(http.StatusInternalServerError, "InternalError") }

// Denied answers 403 AccessDenied in place of the server.
func Denied() Effect { return Refusal(http.StatusForbidden, "AccessDenied") }

// Refusal answers with an S3 error in place of the server.
func Refusal(status int, code string) Effect {
	body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>%s</Code><Message>made up by a test</Message><RequestId>TEST0000</RequestId></Error>`, code)
	return Answer(status, "application/xml", body)
}

// HTML answers 200 with the page of some captive portal in place of the
// server.
func HTML() Effect {
	return Answer(http.StatusOK, "text/html", "<html><body>Please log in to the network.</body></html>")
}

// Answer answers so in place of the server.
func Answer(status int, contentType, body string) Effect {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else a client that still sends sees a reset
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("X-Amz-Request-Id", "TEST0000")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body) // the client may be gone
		})
	}
}

// reset ends the connection of a request with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if slow, ok := conn.(*slowConn); ok {
		if tcp, ok := slow.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // at worst an ordinary close
		}
	}
	_ = conn.Close() // nothing is left to be said to the client
}

func answering(wrap func(http.ResponseWriter) http.ResponseWriter) Effect {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

type breaking struct {
	http.ResponseWriter
	left int64
}

func (w *breaking) Write(b []byte) (int, error) {
	if int64(len(b)) < w.left {
		w.left -= int64(len(b))
		return w.ResponseWriter.Write(b)
	}
	_, _ = w.ResponseWriter.Write(b[:w.left])                // the client may be gone
	_ = http.NewResponseController(w.ResponseWriter).Flush() // likewise
	panic(http.ErrAbortHandler)
}

type truncating struct {
	http.ResponseWriter
	left int64
}

// WriteHeader drops the length, which would give the loss away.
func (w *truncating) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w *truncating) Write(b []byte) (int, error) {
	keep := b[:min(int64(len(b)), w.left)]
	w.left -= int64(len(keep))
	if _, err := w.ResponseWriter.Write(keep); err != nil {
		return 0, err
	}
	return len(b), nil
}

type flipping struct {
	http.ResponseWriter
	at int64 // relative to the next byte
}

func (w *flipping) Write(b []byte) (int, error) {
	if 0 <= w.at && w.at < int64(len(b)) {
		changed := append([]byte(nil), b...)
		changed[w.at] ^= 0x55
		b, w.at = changed, -1
	} else {
		w.at -= int64(len(b))
	}
	return w.ResponseWriter.Write(b)
}
