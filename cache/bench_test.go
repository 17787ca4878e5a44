package cache

import (
	"fmt"
	"testing"
)

// BenchmarkSmallFiles is what an untar asks of the cache for each file.
func BenchmarkSmallFiles(b *testing.B) {
	c := newBench(b)
	data := make([]byte, 4096)
	ctx := b.Context()
	for i := 0; b.Loop(); i++ {
		_, h, err := c.Create(ctx, Root, fmt.Sprint("f", i), New{Mode: 0o644})
		c.ok(err)
		_, err = h.WriteAt(ctx, data, 0)
		c.ok(err)
		c.ok(h.Flush(ctx))
		h.Release()
	}
}

// BenchmarkLookup is a stat of a known name.
func BenchmarkLookup(b *testing.B) {
	c := newBench(b)
	c.write(Root, "f", nil)
	for b.Loop() {
		_, err := c.Lookup(b.Context(), Root, "f")
		c.ok(err)
	}
}

// BenchmarkFlushSmallFiles is the way of a small file to the bucket.
func BenchmarkFlushSmallFiles(b *testing.B) {
	c := newBench(b)
	for i := range 2000 {
		c.write(Root, fmt.Sprint("f", i), []byte("x"))
	}
	b.ResetTimer()
	c.drain()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/2000, "us/file")
}
