package cache

import (
	"bytes"
	"testing"
)

// The scrubber finds what the disk damaged while the cache is in use: clean
// data is given up, the rest is kept from being sent; and the next pass finds
// nothing.
func TestScrubber(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	data := someBytes(3<<20, 1)
	b.mem.Set("p/clean", data, nil)
	b.mem.Set("p/open", data, nil)
	b.read(Root, "clean")
	dirty := b.write(Root, "dirty", data)
	h, err := b.Cache.Open(ctx, b.lookup("open"), OpenMode{})
	b.ok(err)
	defer h.Release()
	p := make([]byte, 1<<20)
	for off := int64(0); off < 3<<20; off += 1 << 20 {
		_, err := h.ReadAt(ctx, p, off)
		b.ok(err)
	}
	b.ok(b.syncAll())
	b.flip(b.lookup("clean"), 2<<20)
	b.flip(dirty, 1<<20)
	pass := func() (paced int64) {
		for after := Ino(0); ; {
			var err error
			after, err = b.scrubNext(ctx, after, func(n int64) error { paced += n; return nil })
			b.ok(err)
			if after == 0 {
				return paced
			}
		}
	}
	pass()
	if s := b.Status().Scrub; s.Again != sumBlock || s.Lost != sumBlock || s.Checked < 6<<20 {
		t.Errorf("status %+v", s)
	}
	if _, err := b.readAt(dirty, 1<<20, 10); err == nil {
		t.Error("damaged bytes are read")
	}
	if got := b.read(Root, "clean"); !bytes.Equal(got, data) {
		t.Error("reads other bytes")
	}
	b.refusedAsDamaged()
	if pass(); b.Status().Scrub.Lost != sumBlock || b.Status().Scrub.Again != sumBlock {
		t.Errorf("status after another pass %+v", b.Status().Scrub)
	}
}

// Nobody who reads or writes is in the scrubber's way: it is in theirs.
func TestScrubberWaitsForOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(Root, "f", []byte("f"))
	b.isBusy()
	if b.isBusy() {
		t.Error("busy although nobody asks for anything")
	}
	b.read(Root, "f")
	if !b.isBusy() {
		t.Error("not busy after a read")
	}
	b.write(Root, "g", []byte("g"))
	if !b.isBusy() {
		t.Error("not busy after a write")
	}
}
