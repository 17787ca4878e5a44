package s3backend

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

// slowAnswer is how long S3 may take to begin an answer to a request that
// copies or assembles objects.
const slowAnswer = 10 * time.Minute

// sendStall is how long an upload may stand still.
const sendStall = 30 * time.Second

// transport stands between the SDK and the network: it counts, ends requests
// that stand still, and logs. Each attempt of a request passes it once.
type transport struct {
	next      aws.HTTPClient
	counts    *counter
	running   *underway
	gates     gates
	trouble   *atomic.Pointer[func(error)]
	log       *slog.Logger // nil: no debug log
	readStall time.Duration
}

// stalled is the cause of a request that was ended for standing still.
type stalled struct{}

func (stalled) Error() string        { return "no byte moved for too long" }
func (stalled) Timeout() bool        { return true }
func (stalled) Temporary() bool      { return true }
func (stalled) RetryableError() bool { return true }

// Do sends req. It is what the SDK calls.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	op := awsmiddleware.GetOperationName(req.Context())
	leave, err := t.enter(req.Context(), op)
	if err != nil {
		return nil, err
	}
	t.counts.add(op, 1)
	a := t.running.begin(op, req)
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{cancel: cancel, ctx: ctx, attempt: a, ended: func() { t.running.end(a) }, answer: answerTime(op, t.readStall), read: t.readStall,
		counts: t.counts, leave: leave, streams: op == "GetObject"}
	w.timer = time.AfterFunc(w.answer, func() { cancel(stalled{}) })
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		w.timer.Reset(sendStall)
		req.Body = &sending{w: w, body: req.Body}
	}
	start := time.Now()
	resp, err := t.next.Do(req)
	w.timer.Stop()
	a.touch()
	t.debug(op, start, exchange{req, resp, err})
	w.load = verdictOf(ctx, resp, err)
	noteAnswer(ctx, resp)
	t.tell(op, w.load, exchange{req, resp, err})
	if err == nil && isForeign(op, resp) {
		err = errors.Join(&foreign{resp.Header.Get("Content-Type")}, resp.Body.Close())
	}
	if err != nil {
		err = w.cause(err)
		t.counts.result(op, req, err, 0)
		w.over()
		return nil, err
	}
	t.counts.result(op, req, nil, resp.StatusCode)
	t.running.noteDate(resp.Header.Get("Date"))
	if !w.streams { // what is not content comes whole, or not at all
		w.timer.Reset(w.read)
	}
	resp.Body = &receiving{w: w, body: resp.Body}
	return resp, nil
}

// tell passes on that an attempt met trouble.
func (t *transport) tell(op string, load verdict, x exchange) {
	fn := t.trouble.Load()
	switch {
	case fn == nil || IsProbing(x.req.Context()):
	case load == loadMute:
		(*fn)(&Error{Op: op, Kind: Offline, Err: brief(x.err)})
	case x.err == nil && kindOfStatus(x.resp.StatusCode) == Busy:
		(*fn)(&Error{Op: op, Kind: Busy, Err: errors.New(x.resp.Status)})
	}
}

// A foreign answer is that of somebody between us and S3.
type foreign struct{ contentType string }

func (f *foreign) Error() string {
	return "the answer is not of S3: content of type " + strconv.Quote(f.contentType)
}

// isForeign reports whether an answer that says success cannot be S3's: a page,
// where none was asked for, or anything at all where S3 says nothing. Pages may
// have an ETag.
func isForeign(op string, resp *http.Response) bool {
	if resp.StatusCode >= 300 {
		return false
	}
	switch op {
	case "GetObject", "HeadObject": // pages are objects, too
		return false
	case "DeleteObject", "AbortMultipartUpload":
		if resp.StatusCode != http.StatusNoContent && resp.ContentLength != 0 {
			return true
		}
	}
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// enter takes a place at the gate of an operation, and returns how to leave it.
// Probes take none: what they are to find out must not wait for what they do.
func (t *transport) enter(ctx context.Context, op string) (leave func(verdict), err error) {
	if IsProbing(ctx) {
		return func(verdict) {}, nil
	}
	g := t.gates.of(op)
	if err := g.enter(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	return func(v verdict) { g.leave(began, v) }, nil
}

// answerTime is how long the first byte of an answer may take.
func answerTime(op string, usual time.Duration) time.Duration {
	switch op {
	case "CompleteMultipartUpload", "CopyObject", "UploadPartCopy":
		return slowAnswer
	case "PutObject", "UploadPart", "DeleteObjects":
		return max(usual, 2*sendStall)
	}
	return usual
}

// A watch ends one attempt when nothing moves. Its timer runs only while we
// wait for the network, never while we wait for our own caller or disk.
type watch struct {
	ctx          context.Context
	cancel       context.CancelCauseFunc
	timer        *time.Timer
	answer, read time.Duration
	counts       *counter
	attempt      *attempt
	ended        func()
	streams      bool // the answer's body is content, which may take as long as it moves
	load         verdict
	leave        func(verdict) // the gate
	left         sync.Once
}

// over ends the attempt; it may be called twice.
func (w *watch) over() {
	w.left.Do(func() {
		w.timer.Stop()
		w.ended()
		w.leave(w.load)
		w.cancel(nil)
	})
}

// cause replaces the "context canceled" of our own timer by stalled.
func (w *watch) cause(err error) error {
	if s, ok := context.Cause(w.ctx).(stalled); ok {
		return s
	}
	return err
}

type sending struct {
	w    *watch
	body io.ReadCloser
}

func (s *sending) Read(p []byte) (int, error) {
	s.w.timer.Stop()
	n, err := s.body.Read(p)
	s.w.attempt.touch()
	s.w.counts.add(bytesOut, int64(n))
	if err != nil {
		s.w.timer.Reset(s.w.answer)
	} else {
		s.w.timer.Reset(sendStall)
	}
	return n, err
}

func (s *sending) Close() error { return s.body.Close() }

type receiving struct {
	w    *watch
	body io.ReadCloser
}

func (r *receiving) Read(p []byte) (int, error) {
	if r.w.streams {
		r.w.timer.Reset(r.w.read)
	}
	n, err := r.body.Read(p)
	if r.w.streams {
		r.w.timer.Stop()
	}
	r.w.attempt.touch()
	r.w.counts.add(bytesIn, int64(n))
	if err != nil && err != io.EOF {
		err = r.w.cause(err)
		if errors.As(err, new(stalled)) {
			r.w.load = loadMute
		}
	}
	return n, err
}

func (r *receiving) Close() error {
	err := r.body.Close()
	r.w.over()
	return err
}

type exchange struct {
	req  *http.Request
	resp *http.Response
	err  error
}

func (t *transport) debug(op string, start time.Time, x exchange) {
	if t.log == nil {
		return
	}
	attrs := []any{"op", op, "method", x.req.Method, "path", x.req.URL.Path, "query", x.req.URL.RawQuery,
		"took", time.Since(start).Round(time.Microsecond), "headers", redacted(x.req.Header)}
	if x.err != nil {
		t.log.Debug("s3 request failed", append(attrs, "error", x.err)...)
		return
	}
	t.log.Debug("s3 request", append(attrs, "status", x.resp.StatusCode, "answer", redacted(x.resp.Header))...)
}

// redacted returns headers for the log, without keys, tokens and signatures.
func redacted(h http.Header) slog.Value {
	attrs := make([]slog.Attr, 0, len(h))
	for name, values := range h {
		v := strings.Join(values, ", ")
		if secretHeader(name) {
			v = "[redacted]"
		}
		attrs = append(attrs, slog.String(name, v))
	}
	return slog.GroupValue(attrs...)
}

func secretHeader(name string) bool {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, "-customer-key-md5"):
		return false
	case strings.Contains(name, "customer-key"), strings.Contains(name, "security-token"),
		strings.Contains(name, "session-token"), name == "authorization", name == "cookie", name == "set-cookie":
		return true
	}
	return false
}
