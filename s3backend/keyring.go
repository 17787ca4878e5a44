package s3backend

import (
	"errors"
	"net/http"
	"sync"
)

// noKey stands for "no SSE-C key" beside the indices of the ring.
const noKey = -1

// remembered bounds keyMemory.
const remembered = 10_000

// keyMemory remembers which key of the ring opened an object, where it was
// not the first: at most a few thousand, then it starts anew.
type keyMemory struct {
	mu     sync.Mutex // a leaf
	opened map[string]int
}

func (m *keyMemory) note(key string, index int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index == 0 {
		delete(m.opened, key)
		return
	}
	if m.opened == nil || len(m.opened) >= remembered {
		m.opened = map[string]int{}
	}
	m.opened[key] = index
}

// order returns the indices to try for a key, the likeliest first, noKey
// among them.
func (m *keyMemory) order(key string, ring int) []int {
	m.mu.Lock()
	first, known := m.opened[key]
	m.mu.Unlock()
	order := make([]int, 0, ring+1)
	if known {
		order = append(order, first)
	}
	for i := range ring + 1 {
		if i == ring {
			i = noKey
		}
		if !known || i != first {
			order = append(order, i)
		}
	}
	return order
}

// opening calls try with the keys of the ring, and with none, until one opens
// the object. If none does, the error of the attempt without a key decides
// what is the matter: only it tells a wrong key from a missing permission.
func (c *Client) opening(key string, try func(CustomerKey) error) error {
	if len(c.enc.ring) == 0 {
		return try(CustomerKey{})
	}
	var plain error
	for _, i := range c.keys.order(key, len(c.enc.ring)) {
		k := CustomerKey{}
		if i != noKey {
			k = c.enc.ring[i]
		}
		err := try(k)
		if err == nil {
			c.keys.note(key, i)
			return nil
		}
		if !otherKeyMayHelp(err) {
			return err
		}
		if i == noKey {
			plain = err
		}
	}
	return withKeys(plain)
}

// withKeys turns "needs a key" into "wrong key" for a client that tried some.
func withKeys(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == NeedsKey {
		e.Kind = WrongKey
	}
	return err
}

// otherKeyMayHelp reports whether err may mean that the key is not the
// object's: S3 answers 400 to a key missing or superfluous, 403 to a wrong one.
func otherKeyMayHelp(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case NeedsKey, WrongKey, Denied, Other:
		return e.status == http.StatusBadRequest || e.status == http.StatusForbidden
	}
	return false
}
