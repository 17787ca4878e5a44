package s3backend

import (
	"sync"
	"time"
)

// An EventState says how a source of notifications is. Counters begin with it.
type EventState struct {
	Source   string    `json:"source"`          // the address that is listened on, or the queue's URL
	Error    string    `json:"error,omitempty"` // why none can come at the moment
	Since    time.Time `json:"since,omitzero"`  // when that began
	Last     time.Time `json:"last,omitzero"`   // when the last notification came
	Changes  int64     `json:"changes"`         // that were handed on
	Refused  int64     `json:"refused"`         // what came and was no notification, or had not the secret
	Failures int64     `json:"failures"`        // how often the source could not be read
}

// An eventBook keeps an EventState. It may be used concurrently.
type eventBook struct {
	mu    sync.Mutex // a leaf
	state EventState
}

// State returns how the source is.
func (b *eventBook) State() EventState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// took notes what one notification, or several, said.
func (b *eventBook) took(changes []Change) {
	if len(changes) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Last = time.Now()
	b.state.Changes += int64(len(changes))
}

func (b *eventBook) refused() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Refused++
}

// ended notes how an attempt to read the source ended, and reports whether that
// is another way than before.
func (b *eventBook) ended(err error) (other bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.state
	if other = (err != nil) != (s.Error != ""); other {
		s.Since = time.Time{}
		if err != nil {
			s.Since = time.Now()
		}
	}
	if s.Error = ""; err != nil {
		s.Error = err.Error()
		s.Failures++
	}
	return other
}
