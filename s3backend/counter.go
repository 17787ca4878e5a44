package s3backend

import "sync"

// Names under which Counts reports bytes.
const (
	bytesIn  = "BytesIn"
	bytesOut = "BytesOut"
)

// counter counts requests by operation, and bytes of bodies.
type counter struct {
	mu sync.Mutex // a leaf: nothing is called under it
	n  map[string]int64
}

func newCounter() *counter { return &counter{n: map[string]int64{}} }

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
