package cache

import (
	"errors"
	"sync"
	"testing"
)

// An open of a file that others removed has the caller look the name up again:
// with O_CREAT the program gets a new file, not an error.
func TestOpenOfWhatVanished(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.AttrTTL = 0 })
	b.mem.Set("p/f", []byte("content"), nil)
	ino := b.lookup("f")
	b.mem.Remove("p/f")
	for _, write := range []bool{false, true} {
		if _, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: write}); !errors.Is(err, ErrStale) || errors.Is(err, ErrNotExist) {
			t.Errorf("write %v: %v", write, err)
		}
	}
}

// A name that others give to other files all the time is still found, removed
// and renamed.
func TestNameReplacedAllTheTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	b.mem.Set("p/f", []byte("content"), nil)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := byte(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				b.mem.Set("p/f", []byte{i, i}, nil)
			}
		}
	}()
	var others sync.WaitGroup
	for range 300 {
		for range 3 {
			others.Go(func() { _, _ = b.Lookup(t.Context(), Root, "f") })
		}
		if _, err := b.Lookup(t.Context(), Root, "f"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	others.Wait()
	b.ok(b.Unlink(t.Context(), Root, "f"))
}
