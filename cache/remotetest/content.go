package remotetest

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/moorfs/moorfs/s3backend"
)

// content returns n random bytes, the same for the same seed.
func content(seed uint64, n int64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // cannot fail
	return b
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
