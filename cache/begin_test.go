package cache

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// TestWritesWhileAFlushBegins writes to a file whose upload begins at any
// moment: what was written last is in the journal and in the bucket.
func TestWritesWhileAFlushBegins(t *testing.T) {
	b := newBench(t)
	ino := b.write(Root, "f", []byte("x"))
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true, Append: true})
	b.ok(err)
	want := []byte("x")
	stop := make(chan struct{})
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-b.queue.waitFor([]string{"p/f"}).done:
			}
		}
	})
	for range 3000 {
		for range 3 {
			b.put(h, []byte("y"), 0)
			want = append(want, 'y')
		}
		b.ok(h.Flush(t.Context()))
		if rec, err := b.record(ino); err != nil || rec.Size != int64(len(want)) {
			t.Fatalf("after close the journal says %d bytes (%v), want %d", rec.Size, err, len(want))
		}
	}
	close(stop)
	flusher.Wait()
	h.Release()
	b.drain()
	if got := b.read(Root, "f"); !bytes.Equal(got, want) {
		t.Fatalf("%d bytes here, want %d", len(got), len(want))
	}
	b.bucket(map[string]string{"p/f": string(want)})
}

// TestAWaiterSeesTheChangeBeforeIt changes a file while its upload ends: who
// asks after that is not served by the upload.
func TestAWaiterSeesTheChangeBeforeIt(t *testing.T) {
	b := newBench(t)
	ino := b.write(Root, "f", []byte("0"))
	h, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	for i := range 1000 {
		c := byte('a' + i%26)
		b.put(h, []byte{c}, 0)
		b.ok(h.Flush(t.Context()))
		done := make(chan error, 1)
		go func() { done <- b.flushInode(t.Context(), ino) }()
		b.put(h, []byte{c - 32}, 0)
		b.ok(h.Flush(t.Context()))
		b.ok(b.flushInode(t.Context(), ino))
		b.ok(<-done)
		if got, _ := b.mem.Body("p/f"); string(got) != string(c-32) {
			t.Fatalf("round %d: the bucket has %q, want %q", i, got, c-32)
		}
	}
}

// A file that was just made is not published while nothing has been written to
// it: its writer may take time to begin.
func TestNewFileRestsBeforeItsFirstWrite(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, h, err := b.Create(t.Context(), Root, "f", New{Mode: 0o600})
	b.ok(err)
	defer h.Release()
	j, o, err := b.begin(task{key: "p/f"})
	b.ok(err)
	if j != nil || time.Until(o.due) < b.cfg.OpenRest/2 {
		t.Errorf("it is sent: %+v, %+v", j, o)
	}
}
