package cache

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/moorfs/moorfs/cache/extent"
)

// Whatever is written, cut or punched: what a checksum covers is what it was
// made of, and what comes in order is covered.
func TestSumsAgainstTheirBytes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r, bytes := rand.New(rand.NewPCG(seed, 3)), rand.NewChaCha8([32]byte{byte(seed)})
		data := make([]byte, 3*sumBlock+1000)
		size := int64(0)
		var s sums
		for range 200 {
			off := r.Int64N(size + 1)
			if r.IntN(3) == 0 {
				off = off / sumBlock * sumBlock
			}
			n := min(r.Int64N(sumBlock), int64(len(data))-off)
			switch r.IntN(5) {
			case 0, 1:
				off, n = size, min(r.Int64N(100_000), int64(len(data))-size)
				fallthrough
			case 2:
				_, _ = bytes.Read(data[off : off+n])
				s.put(off, data[off:off+n])
				size = max(size, off+n)
			case 3:
				n = min(n, size-off)
				clear(data[off : off+n])
				s.drop(off, n)
			case 4:
				if r.IntN(8) == 0 {
					s.truncate(off)
					clear(data[off:])
					size = off
				}
			}
			for _, c := range s.covered(extent.Range{Len: int64(len(data))}, false) {
				n, i, _ := sumAt(c.Off)
				if got := crc32.Checksum(data[c.Off:c.End()], castagnoli); got != s.at(n, i).CRC || c.End() > size {
					t.Fatalf("seed %d: %v of %d bytes is covered by %x, has %x", seed, c, size, s.at(n, i).CRC, got)
				}
			}
		}
	}
	var s sums
	for off := int64(0); off < 2*sumBlock; off += 4096 {
		s.put(off, make([]byte, 4096))
	}
	if got := extent.New(s.covered(extent.Range{Len: 1 << 30}, false)...); got.Len() != 2*sumBlock {
		t.Errorf("covered after writing in order: %v", got)
	}
}
