package cache

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// fsync is for the file, whoever wrote it: sync(1) opens it for reading.
func TestSyncByReader(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Durability = DurableBucket })
	ctx := t.Context()
	ino := b.write(Root, "f", []byte("old"))
	w, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
	b.ok(err)
	defer w.Release()
	b.put(w, []byte("new"), 0)
	r, err := b.Cache.Open(ctx, ino, OpenMode{})
	b.ok(err)
	defer r.Release()
	b.ok(r.Sync(ctx))
	b.bucket(map[string]string{"p/f": "new"})
}

// What was written before stat is asked is in its answer, also while the file
// is closed or sent.
func TestAttrWhileSaved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	ino := b.write(Root, "f", nil)
	h, err := b.Cache.Open(ctx, ino, OpenMode{Write: true})
	b.ok(err)
	defer h.Release()
	const writes, readers = 3000, 4
	var written atomic.Int64
	errs := make(chan error, readers)
	for range readers {
		go func() {
			for least := int64(0); least < writes; {
				least = written.Load()
				a, err := b.Attr(ctx, ino)
				if err == nil && a.Size < least {
					err = fmt.Errorf("%d bytes, after %d were written", a.Size, least)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for n := range int64(writes) {
		_, err = h.WriteAt(ctx, []byte{1}, n)
		b.ok(err)
		written.Store(n + 1)
		b.ok(h.Flush(ctx))
	}
	for range readers {
		b.ok(<-errs)
	}
}

// st_blocks is the same whether the file is open, closed or sent; a hole has
// none as long as only the cache holds the file.
func TestBlocks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	blocks := func(ino Ino, want int64) {
		t.Helper()
		a, err := b.Attr(ctx, ino)
		b.ok(err)
		if a.Blocks != want {
			t.Errorf("%d blocks, want %d", a.Blocks, want)
		}
	}
	ino := b.write(Root, "f", []byte("x"))
	blocks(ino, 8)
	h, err := b.Cache.Open(ctx, ino, OpenMode{})
	b.ok(err)
	blocks(ino, 8)
	b.drain()
	blocks(ino, 8)
	h.Release()
	blocks(ino, 8)
	sparse := b.write(Root, "sparse", nil)
	size := int64(1 << 20)
	_, err = b.SetAttr(ctx, sparse, AttrChange{Size: &size})
	b.ok(err)
	blocks(sparse, 0)
}
