package s3backend

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
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
	t.counts.add(op, 1)
	a := t.running.begin(op, req)
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{cancel: cancel, ctx: ctx, attempt: a, answer: answerTime(op, t.readStall), read: t.readStall, counts: t.counts}
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
	if err != nil {
		t.running.end(a)
		err = w.cause(err)
		t.counts.result(op, req, err, 0)
		cancel(nil)
		return nil, err
	}
	t.counts.result(op, req, nil, resp.StatusCode)
	t.running.noteDate(resp.Header.Get("Date"))
	w.ended = func() { t.running.end(a) }
	resp.Body = &receiving{w: w, body: resp.Body}
	return resp, nil
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
	ended        func() // of the body of the answer
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
	r.w.timer.Reset(r.w.read)
	n, err := r.body.Read(p)
	r.w.timer.Stop()
	r.w.attempt.touch()
	r.w.counts.add(bytesIn, int64(n))
	if err != nil && err != io.EOF {
		err = r.w.cause(err)
	}
	return n, err
}

func (r *receiving) Close() error {
	r.w.timer.Stop()
	err := r.body.Close()
	r.w.cancel(nil)
	r.w.ended()
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
