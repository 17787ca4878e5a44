package cache

import "testing"

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
