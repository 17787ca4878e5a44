package s3backend

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// A logbook keeps what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// told collects the keys of changes.
type told struct {
	mu   sync.Mutex
	keys map[string]int
}

func (k *told) handle(changes ...Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range changes {
		k.keys[c.Key]++
	}
}

func (k *told) times(key string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[key]
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting in vain for %s", what)
		}
	}
}

func openQueue(t *testing.T, q *s3test.Queue) (*EventQueue, *logbook) {
	t.Helper()
	book := &logbook{}
	r, err := OpenEventQueue(t.Context(), Options{Log: slog.New(slog.NewTextHandler(book, nil))}, q.URL)
	if err != nil {
		t.Fatal(err)
	}
	return r, book
}

// reading runs a reader until the test ends.
func reading(t *testing.T, r *EventQueue) *told {
	t.Helper()
	k := &told{keys: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, k.handle)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

func TestQueueIsReadAndEmptied(t *testing.T) {
	q := s3test.NewQueue(t)
	r, book := openQueue(t, q)
	const many = 150
	for i := range many {
		q.Send(event("ObjectCreated:Put", fmt.Sprint("k", i), ""))
	}
	for _, body := range []string{testEvent, inSNS(testEvent), fromBridge, inSNS(fromMinIO), "what?", "{}", inSNS("who?")} {
		q.Send(body)
	}
	k := reading(t, r)
	until(t, "an empty queue", func() bool { return q.Left() == 0 })
	for i := range many {
		if n := k.times(fmt.Sprint("k", i)); n != 1 {
			t.Errorf("key %d was told of %d times", i, n)
		}
	}
	if k.times("d/a+b c%20.txt") != 1 || k.times("d/x y") != 1 {
		t.Errorf("wrapped events are missing in %v", k.keys)
	}
	if n := q.Requests("DeleteMessageBatch"); n > 40 {
		t.Errorf("%d messages took %d deletions", many+7, n)
	}
	if n := book.count("no S3 notification"); n != 1 {
		t.Errorf("three foreign messages are %d lines of the log", n)
	}
	q.Send(event("ObjectCreated:Put", "late", ""))
	until(t, "an event that comes while the reader waits", func() bool { return k.times("late") == 1 && q.Left() == 0 })
	if s := r.State(); s.Source != q.URL || s.Changes != many+3 || s.Refused != 3 || s.Failures != 0 || s.Error != "" || s.Last.IsZero() {
		t.Errorf("the state is %+v", s)
	}
}

func TestStateOfAQueueThatNobodyReaches(t *testing.T) {
	r, err := OpenEventQueue(t.Context(), Options{Log: slog.New(slog.DiscardHandler)}, "http://127.0.0.1:9/123456789012/q")
	if err != nil {
		t.Fatal(err)
	}
	for try := int64(1); try <= 2; try++ {
		if err := r.Check(t.Context(), func(...Change) {}); err != nil {
			t.Fatal(err)
		}
		if s := r.State(); s.Failures != try || s.Error == "" || s.Since.IsZero() || !s.Last.IsZero() {
			t.Errorf("the state is %+v", s)
		}
	}
}

func TestMessagesThatComeTwiceAreHandledTwice(t *testing.T) {
	q := s3test.NewQueue(t)
	q.Repeat(true)
	for _, key := range []string{"a", "b"} {
		q.Send(event("ObjectCreated:Put", key, ""))
	}
	r, _ := openQueue(t, q)
	k := reading(t, r)
	until(t, "an empty queue", func() bool { return q.Left() == 0 })
	if k.times("a") != 2 || k.times("b") != 2 {
		t.Errorf("told of %v", k.keys)
	}
}

func TestQueueThatFailsIsReadAgain(t *testing.T) {
	q := s3test.NewQueue(t)
	q.Refuse(&s3test.QueueError{Status: http.StatusInternalServerError, Code: "com.amazonaws.sqs#InternalError"})
	q.Send(event("ObjectCreated:Put", "a", ""))
	r, book := openQueue(t, q)
	k := reading(t, r)
	until(t, "a repetition", func() bool { return q.Requests("ReceiveMessage") >= 2 })
	if n := book.count("cannot be read"); n != 1 {
		t.Errorf("failing is %d lines of the log", n)
	}
	q.Refuse(nil)
	until(t, "the event", func() bool { return k.times("a") > 0 && q.Left() == 0 })
	until(t, "the log to say so", func() bool { return book.count("can be read again") == 1 })
}

func TestQueueThatCannotBeReadIsToldAtOnce(t *testing.T) {
	for code, want := range map[string]string{
		"com.amazonaws.sqs#QueueDoesNotExist":            "there is no queue",
		"com.amazon.coral.service#AccessDeniedException": "sqs:ReceiveMessage",
	} {
		q := s3test.NewQueue(t)
		q.Refuse(&s3test.QueueError{Status: http.StatusBadRequest, Code: code})
		r, _ := openQueue(t, q)
		if err := r.Check(t.Context(), func(...Change) {}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s gives %v", code, err)
		}
	}
	q := s3test.NewQueue(t)
	q.Send(event("ObjectCreated:Put", "a", ""))
	r, _ := openQueue(t, q)
	var keys []string
	if err := r.Check(t.Context(), func(changes ...Change) {
		for _, c := range changes {
			keys = append(keys, c.Key)
		}
	}); err != nil || !slices.Equal(keys, []string{"a"}) || q.Left() != 0 {
		t.Errorf("a first reading gives %v and error %v, and leaves %d", keys, err, q.Left())
	}
}

func TestURLsOfQueues(t *testing.T) {
	for _, u := range []string{"", "queue", "sqs.eu-west-1.amazonaws.com/1/q", "ftp://host/1/q", "https://sqs.eu-west-1.amazonaws.com", "https:///1/q"} {
		if _, err := OpenEventQueue(t.Context(), Options{}, u); err == nil {
			t.Errorf("%q is taken for the URL of a queue", u)
		}
	}
	for host, want := range map[string]string{"sqs.eu-west-1.amazonaws.com": "eu-west-1", "sqs-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"vpce-1-2.sqs.us-west-2.vpce.amazonaws.com": "us-west-2", "sqs.cn-north-1.amazonaws.com.cn": "cn-north-1", "localhost": "mine", "sqs.internal.example": "mine"} {
		if got := queueRegion(host, "", "mine"); got != want {
			t.Errorf("the region of %s is %s, want %s", host, got, want)
		}
	}
}
