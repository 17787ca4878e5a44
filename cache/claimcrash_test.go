package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A heldPut keeps the first put back, before or after it takes effect.
type heldPut struct {
	*remotetest.Memory
	applied     bool
	once        sync.Once
	came, goOn  chan struct{}
	thenFailing error
}

func (h *heldPut) Put(ctx context.Context, p s3backend.Put) (o s3backend.Object, err error) {
	first := false
	h.once.Do(func() { first = true })
	if !first {
		return h.Memory.Put(ctx, p)
	}
	if h.applied {
		if o, err = h.Memory.Put(ctx, p); err != nil {
			return o, err
		}
	}
	close(h.came)
	<-h.goOn
	if h.thenFailing != nil || h.applied {
		return o, h.thenFailing
	}
	return h.Memory.Put(ctx, p)
}

// While a key is being claimed its row's work waits, however often it is asked
// for: nothing of the claim is swept away, and who made the name has it.
func TestWorkWaitsForAClaim(t *testing.T) {
	t.Parallel()
	for name, kind := range claimed {
		for _, applied := range []bool{false, true} {
			b, put := claimHeld(t, applied)
			made := make(chan error)
			go func() { made <- b.makeOne(t.Context(), name, kind) }()
			<-put.came
			ctx, cancel := context.WithTimeout(t.Context(), 4*sameInodeWait)
			var left *Unfinished
			if err := b.Drain(ctx, nil); !errors.As(err, &left) {
				t.Errorf("%s: nothing is left to do: %v", name, err)
			}
			cancel()
			if n := b.mem.Counts()["delete"]; n > 0 {
				t.Errorf("%s: %d deletions", name, n)
			}
			close(put.goOn)
			b.ok(<-made)
			b.ok(b.drainSoon())
			b.is(b.makeOne(t.Context(), name, kind), ErrExist)
			if len(b.mem.Keys()) != 1 {
				t.Errorf("the bucket has %q", b.mem.Keys())
			}
		}
	}
}

// A daemon that dies in the middle of a claim leaves nothing, whether the
// object was made or is made by the last gasp of the request; nor does it take
// away what others made there since.
func TestCrashInTheMiddleOfAClaim(t *testing.T) {
	t.Parallel()
	for name := range claimed {
		for _, applied := range []bool{false, true} {
			for _, theirs := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, applied %v, theirs %v", name, applied, theirs), func(t *testing.T) {
					t.Parallel()
					crashWhileClaiming(t, name, applied, theirs)
				})
			}
		}
	}
}

func crashWhileClaiming(t *testing.T, name string, applied, theirs bool) {
	kind := claimed[name]
	b, put := claimHeld(t, applied)
	made := make(chan error)
	go func() { made <- b.makeOne(t.Context(), name, kind) }()
	<-put.came
	after := b.crash(func(c *Config) { c.Remote = put.Memory })
	want := map[string]string{}
	if theirs {
		b.mem.Set("p/"+name, []byte("theirs"), nil)
		want["p/"+name] = "theirs"
	}
	after.ok(after.drainSoon())
	after.bucket(want)
	if !theirs {
		after.ok(after.makeOne(t.Context(), name, kind))
	}
	put.thenFailing = errKilled
	close(put.goOn)
	if err := <-made; !errors.Is(err, errKilled) {
		t.Errorf("the dead one says %v", err)
	}
	b.stop()
}

func claimHeld(t *testing.T, applied bool) (*bench, *heldPut) {
	put := &heldPut{applied: applied, came: make(chan struct{}), goOn: make(chan struct{})}
	b := newBench(t, byBucket, func(c *Config) {
		put.Memory = c.Remote.(*remotetest.Memory)
		c.Remote = put
	})
	b.names(Root)
	return b, put
}
