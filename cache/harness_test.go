package cache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// A bench is a cache on a bucket in memory, reopened at will.
type bench struct {
	*Cache
	t   testing.TB
	mem *remotetest.Memory
	cfg Config
}

// slow is a delay that no test waits out: work happens when asked for.
const slow = time.Hour

func newBench(t testing.TB, edit ...func(*Config)) *bench {
	t.Helper()
	mem := remotetest.NewMemory(remotetest.Settings{})
	cfg := Config{Dir: t.TempDir(), Remote: mem, Endpoint: "memory", Bucket: "bucket", Prefix: "p/", Host: "host",
		Log:  slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Size: 1 << 30, WriteBack: slow, WriteBackMax: slow, OpenRest: slow, Durability: DurableLocal,
		AttrTTL: slow, ListTTL: slow, NegativeTTL: slow, Attrs: AttrsExact, Uid: 1, Gid: 2, FileMode: 0o644, DirMode: 0o755, Xattrs: true,
		MaxUploads: 4, MaxDownloads: 8, PartSize: 5 << 20, ReadAhead: 8 << 20, ReadTimeout: 10 * time.Second}
	for _, e := range edit {
		e(&cfg)
	}
	b := &bench{t: t, mem: mem, cfg: cfg}
	b.open()
	t.Cleanup(func() {
		if b.Cache != nil {
			if err := b.Cache.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if os.Getenv("CACHE_LOG") != "" {
		os.Stderr.Write(p)
	}
	return len(p), nil
}

func (b *bench) open() {
	b.t.Helper()
	c, err := Open(context.Background(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	c.Start(noKernel{})
	b.Cache = c
}

// reopen closes the cache and opens it again, as unmount and mount do.
func (b *bench) reopen() {
	b.t.Helper()
	if err := b.Cache.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) is(err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Fatalf("got error %v, want %v", err, want)
	}
}

func (b *bench) lookup(path ...string) Ino {
	b.t.Helper()
	ino := Root
	for _, name := range path {
		a, err := b.Lookup(b.t.Context(), ino, name)
		b.ok(err)
		ino = a.Ino
	}
	return ino
}

func (b *bench) write(dir Ino, name string, data []byte) Ino {
	b.t.Helper()
	ctx := b.t.Context()
	var h *Handle
	a, err := b.Lookup(ctx, dir, name)
	if errors.Is(err, ErrNotExist) {
		a, h, err = b.Create(ctx, dir, name, New{Mode: 0o600, Uid: 7, Gid: 8})
	} else if err == nil {
		h, err = b.Cache.Open(ctx, a.Ino, OpenMode{Write: true, Truncate: true})
	}
	b.ok(err)
	b.put(h, data, 0)
	b.ok(h.Flush(ctx))
	h.Release()
	return a.Ino
}

func (b *bench) put(h *Handle, data []byte, off int64) {
	b.t.Helper()
	for len(data) > 0 {
		n := min(len(data), 1<<20)
		_, err := h.WriteAt(b.t.Context(), data[:n], off)
		b.ok(err)
		data, off = data[n:], off+int64(n)
	}
}

func (b *bench) read(dir Ino, name string) []byte {
	b.t.Helper()
	data, err := b.tryRead(dir, name)
	b.ok(err)
	return data
}

func (b *bench) tryRead(dir Ino, name string) ([]byte, error) {
	ctx := b.t.Context()
	a, err := b.Lookup(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	h, err := b.Cache.Open(ctx, a.Ino, OpenMode{})
	if err != nil {
		return nil, err
	}
	defer h.Release()
	data := make([]byte, 0, a.Size+1)
	for {
		n, err := h.ReadAt(ctx, data[len(data):cap(data)], int64(len(data)))
		if data = data[:len(data)+n]; err != nil || n == 0 {
			return data, err
		}
		data = slices.Grow(data, 1)
	}
}

func (b *bench) drain() {
	b.t.Helper()
	b.ok(b.Drain(b.t.Context(), nil))
}

// bucket fails unless exactly these keys hold these contents.
func (b *bench) bucket(want map[string]string) {
	b.t.Helper()
	for key, body := range want {
		got, ok := b.mem.Body(key)
		if !ok {
			b.t.Errorf("bucket lacks %q; it has %q", key, b.mem.Keys())
		} else if string(got) != body {
			b.t.Errorf("%q holds %d bytes %.40q, want %d bytes %.40q", key, len(got), got, len(body), body)
		}
	}
	for _, key := range b.mem.Keys() {
		if _, ok := want[key]; !ok {
			b.t.Errorf("bucket has %q too", key)
		}
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

func (b *bench) names(dir Ino) []string {
	b.t.Helper()
	var names []string
	after := ""
	for {
		entries, err := b.ReadDir(b.t.Context(), dir, after, 3)
		b.ok(err)
		if len(entries) == 0 {
			return names
		}
		for _, e := range entries {
			names = append(names, e.Name)
		}
		after = names[len(names)-1]
	}
}

func (b *bench) listed(dir Ino, want ...string) {
	b.t.Helper()
	if got := b.names(dir); !slices.Equal(got, want) {
		b.t.Fatalf("directory has %q, want %q", got, want)
	}
}

var _ io.ReaderAt = (*frozen)(nil)
