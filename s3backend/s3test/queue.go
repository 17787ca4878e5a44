package s3test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Queue is a queue of SQS in this process, which speaks its JSON protocol.
// As the real one's, its messages come again until they are deleted, in any
// order, now and then twice.
type Queue struct {
	URL string // as clients name the queue

	server *http.Server
	closed chan struct{}

	mu       sync.Mutex // guards what follows
	messages []*message
	arrived  chan struct{} // closed when a message may have come to be seen
	refusal  *QueueError
	requests map[string]int
	hidden   time.Duration
	twice    bool
	received int
}

type message struct {
	id, body string
	hidden   time.Time // not seen before
	handed   int       // how often it was received
}

// A QueueError is what SQS refuses requests with.
type QueueError struct {
	Status int
	Code   string // as com.amazonaws.sqs#QueueDoesNotExist
}

// NewQueue starts a queue that lives as long as the test.
func NewQueue(t TB) *Queue {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	q := &Queue{closed: make(chan struct{}), arrived: make(chan struct{}), requests: map[string]int{}, hidden: 30 * time.Second}
	q.server = &http.Server{Handler: http.HandlerFunc(q.serve), ReadHeaderTimeout: time.Minute}
	q.URL = "http://" + l.Addr().String() + "/123456789012/events"
	go func() { _ = q.server.Serve(l) }() // ends with Close, and says so
	t.Cleanup(func() {
		close(q.closed)
		if err := q.server.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return q
}

// Send puts a message into the queue.
func (q *Queue) Send(body string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.received++
	q.messages = append(q.messages, &message{id: "m" + strconv.Itoa(q.received), body: body})
	q.wake()
}

// Left returns how many messages are not deleted.
func (q *Queue) Left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

// Requests returns how many requests of an operation came.
func (q *Queue) Requests(operation string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.requests[operation]
}

// Refuse has all requests fail, until it is called with nil.
func (q *Queue) Refuse(r *QueueError) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refusal = r
	q.wake()
}

// Repeat has every message come twice, the second time without a wait.
func (q *Queue) Repeat(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.twice = on
}

func (q *Queue) wake() {
	close(q.arrived)
	q.arrived = make(chan struct{})
}

func (q *Queue) serve(w http.ResponseWriter, r *http.Request) {
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	var in struct {
		QueueUrl                             string
		MaxNumberOfMessages, WaitTimeSeconds int
		Entries                              []struct{ Id, ReceiptHandle string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !ok || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") ||
		!strings.Contains(r.Header.Get("Authorization"), "/sqs/aws4_request") || in.QueueUrl != q.URL {
		answer(w, http.StatusBadRequest, map[string]string{"__type": "com.amazon.coral.service#InvalidAddress", "message": fmt.Sprint("bad request: ", err)})
		return
	}
	q.mu.Lock()
	q.requests[operation]++
	refusal := q.refusal
	q.mu.Unlock()
	switch {
	case refusal != nil:
		w.Header().Set("X-Amzn-Query-Error", refusal.Code[strings.IndexByte(refusal.Code, '#')+1:]+";Sender")
		answer(w, refusal.Status, map[string]string{"__type": refusal.Code, "message": "refused by the test"})
	case operation == "ReceiveMessage":
		q.receive(w, r, in.MaxNumberOfMessages, time.Duration(in.WaitTimeSeconds)*time.Second)
	case operation == "DeleteMessageBatch":
		deleted := []map[string]string{}
		for _, e := range in.Entries {
			q.remove(e.ReceiptHandle)
			deleted = append(deleted, map[string]string{"Id": e.Id})
		}
		answer(w, http.StatusOK, map[string]any{"Successful": deleted, "Failed": []string{}})
	default:
		answer(w, http.StatusBadRequest, map[string]string{"__type": "com.amazon.coral.service#UnknownOperationException", "message": operation})
	}
}

// receive answers with messages, newest first, and waits for them.
func (q *Queue) receive(w http.ResponseWriter, r *http.Request, most int, wait time.Duration) {
	end := time.After(wait)
	for {
		got, arrived := q.take(max(1, most))
		if len(got) > 0 || wait == 0 {
			answer(w, http.StatusOK, map[string]any{"Messages": got})
			return
		}
		select {
		case <-arrived:
		case <-end:
			wait = 0
		case <-r.Context().Done():
			return
		case <-q.closed:
			wait = 0
		}
	}
}

func (q *Queue) take(most int) (got []map[string]string, arrived <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for i := len(q.messages) - 1; i >= 0 && len(got) < most; i-- {
		m := q.messages[i]
		if m.hidden.After(now) {
			continue
		}
		if m.handed++; !q.twice || m.handed > 1 {
			m.hidden = now.Add(q.hidden)
		}
		got = append(got, map[string]string{"MessageId": m.id, "ReceiptHandle": fmt.Sprintf("%s-%d", m.id, m.handed), "Body": m.body})
	}
	return got, q.arrived
}

// remove deletes the message of a receipt. While messages repeat only the
// second receipt counts.
func (q *Queue) remove(receipt string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id, n, _ := strings.Cut(receipt, "-")
	for i, m := range q.messages {
		if m.id == id && (!q.twice || n != "1") {
			q.messages = append(q.messages[:i:i], q.messages[i+1:]...)
			return
		}
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone
}
