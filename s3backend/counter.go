package s3backend

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Names under which Counts reports bytes.
const (
	bytesIn  = "BytesIn"
	bytesOut = "BytesOut"
)

// counter counts requests by operation, and bytes of bodies.
type counter struct {
	mu sync.Mutex // a leaf: nothing is called under it
	n  map[string]int64

	results map[Result]int64
	retries map[string]int64
}

func newCounter() *counter {
	return &counter{n: map[string]int64{}, results: map[Result]int64{}, retries: map[string]int64{}}
}

// A Result is how requests of one operation ended.
type Result struct {
	Operation string
	Status    string // of HTTP, as "200"; "timeout" or "network" if there was no answer
}

// result counts how an attempt ended.
func (c *counter) result(op string, req *http.Request, err error, status int) {
	r := Result{op, strconv.Itoa(status)}
	if err != nil {
		r.Status = "network"
		if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
			r.Status = "timeout"
		}
	}
	attempt, _, _ := strings.Cut(req.Header.Get("Amz-Sdk-Request"), ";")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[r]++
	if attempt != "" && attempt != "attempt=1" {
		c.retries[op]++
	}
}

// Results returns how many requests ended how, since New, and how many were
// repetitions, by operation.
func (c *Client) Results() (results map[Result]int64, retries map[string]int64) {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	return maps.Clone(c.counts.results), maps.Clone(c.counts.retries)
}

func (c *counter) add(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += n
}

func (c *counter) snapshot() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[string]int64, len(c.n))
	for k, v := range c.n {
		m[k] = v
	}
	return m
}

// Counts returns how many requests went out since New, retries included, by
// the name of the operation ("PutObject"), and the bytes of bodies sent and
// received ("BytesOut", "BytesIn").
func (c *Client) Counts() map[string]int64 { return c.counts.snapshot() }
