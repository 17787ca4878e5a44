package cache

import (
	"context"
	"io"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A sipping bucket reads what it is sent in small pieces, as an HTTP client does.
type sipping struct{ *remotetest.Memory }

func (s sipping) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	p.Body = sips{p.Body}
	return s.Memory.Put(ctx, p)
}

type sips struct{ io.ReaderAt }

func (s sips) ReadAt(p []byte, off int64) (n int, err error) {
	const sip = 16 << 10
	for n < len(p) && err == nil {
		var k int
		k, err = s.ReaderAt.ReadAt(p[n:min(n+sip, len(p))], off+int64(n))
		n += k
	}
	return n, err
}

// A small change of a large object costs few requests: what goes with it in its
// part is brought in large pieces, once, however it is read.
func TestPatchOfALargeObject(t *testing.T) {
	t.Parallel()
	const part = 8 << 20
	mem := remotetest.NewMemory(remotetest.Settings{PartSize: part})
	b := newBench(t, func(c *Config) { c.PartSize, c.Remote = part, sipping{mem} }).on(mem)
	data := someBytes(4*part, 3)
	b.mem.Set("p/f", data, nil)
	h, err := b.Cache.Open(t.Context(), b.lookup("f"), OpenMode{Write: true})
	b.ok(err)
	b.put(h, []byte("changed"), 2*part-3)
	b.ok(h.Flush(t.Context()))
	h.Release()
	copy(data[2*part-3:], "changed")
	b.mem.ResetCounts()
	b.drain()
	b.bucket(map[string]string{"p/f": string(data)})
	if n := b.mem.Counts()["get"]; n > 2*part/fetchUnit+2 {
		t.Errorf("%d requests for two parts", n)
	}
}
