package remotetest

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"

	"github.com/moorfs/moorfs/s3backend"
)

// content returns n bytes that look random; another seed gives others.
func content(seed uint64, n int64) []byte {
	b := make([]byte, (n+7)/8*8)
	x := seed + 1
	for i := 0; i < len(b); i += 8 { // xorshift
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return b[:n]
}

// A watched body remembers what was read of it.
type watched struct {
	io.ReaderAt

	mu    sync.Mutex
	reads []s3backend.Range
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 {
		w.reads = append(w.reads, s3backend.Range{Off: off, Len: int64(n)})
	}
	return n, err
}

// touched reports whether a byte of r was read.
func (w *watched) touched(r s3backend.Range) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.reads, func(read s3backend.Range) bool {
		return read.Off < r.End() && r.Off < read.End()
	})
}
