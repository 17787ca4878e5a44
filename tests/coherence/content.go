package coherence

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Contents are made of blocks; the last may be shorter, but not too short for
// its header.
const (
	Block     = 4096
	header    = 32
	leastTail = 64
	magic     = 0x6d6f6f7266732d63
)

var table = crc32.MakeTable(crc32.Castagnoli)

// A Version is one content that somebody wrote. It does not change.
type Version struct {
	ID     uint64
	Key    int // for which it was written
	Writer int
	Size   int64

	base    *Version // where the blocks come from that are not own
	own     map[int64]bool
	sources []uint64 // ids of all blocks' sources; nil: all own
}

func (v *Version) String() string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("v%d (key %d, by %s, %d bytes)", v.ID, v.Key, partyName(v.Writer), v.Size)
}

// source returns the id that block i carries.
func (v *Version) source(i int64) uint64 {
	if v.base == nil || v.own[i] {
		return v.ID
	}
	return v.base.source(i)
}

func (v *Version) blocks() int64 { return (v.Size + Block - 1) / Block }

// blockLen is the length of block i.
func (v *Version) blockLen(i int64) int { return int(min(Block, v.Size-i*Block)) }

// Bytes returns own blocks from..to-1 of v, as its writer writes them.
func (v *Version) Bytes(from, to int64) []byte {
	p := make([]byte, min(to*Block, v.Size)-from*Block)
	for i := from; i < to; i++ {
		off := (i - from) * Block
		v.fill(p[off:min(off+Block, int64(len(p)))], i)
	}
	return p
}

// All returns the whole content of a version that is all own.
func (v *Version) All() []byte { return v.Bytes(0, v.blocks()) }

// fill makes block i: magic, id, place, length, key, writer, checksum, filler.
func (v *Version) fill(p []byte, i int64) {
	binary.BigEndian.PutUint64(p, magic)
	binary.BigEndian.PutUint64(p[8:], v.ID)
	binary.BigEndian.PutUint32(p[16:], uint32(i))
	binary.BigEndian.PutUint16(p[20:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[22:], uint16(v.Key))
	binary.BigEndian.PutUint32(p[24:], uint32(v.Writer))
	x := v.ID*0x9e3779b97f4a7c15 + uint64(i)
	for q := p[header:]; len(q) > 0; q = q[min(8, len(q)):] {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], x)
		copy(q, b[:])
	}
	binary.BigEndian.PutUint32(p[28:], checksum(p))
}

func checksum(p []byte) uint32 { return crc32.Update(crc32.Checksum(p[:28], table), table, p[header:]) }

// A seen block is one that was read: at its place, which version it is of.
type seen struct {
	i   int64
	len int
	id  uint64
}

// parse reads the blocks of p, which was read at off. An error names what no
// version ever had.
func parse(p []byte, off int64) (blocks []seen, err error) {
	for len(p) > 0 {
		b := p[:min(Block, len(p))]
		i := off / Block
		if len(b) < header || binary.BigEndian.Uint64(b) != magic {
			return blocks, fmt.Errorf("block %d is nothing that anybody wrote: %x…", i, b[:min(48, len(b))])
		}
		at, n := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint16(b[20:])
		id := binary.BigEndian.Uint64(b[8:])
		if int64(at) != i || int(n) != len(b) {
			return blocks, fmt.Errorf("block %d has %d bytes of block %d of v%d, which has %d", i, len(b), at, id, n)
		}
		if binary.BigEndian.Uint32(b[28:]) != checksum(b) {
			return blocks, fmt.Errorf("block %d of v%d is damaged", i, id)
		}
		blocks = append(blocks, seen{i, len(b), id})
		p, off = p[len(b):], off+int64(len(b))
	}
	return blocks, nil
}

// matches reports whether v has all of these blocks.
func (v *Version) matches(blocks []seen) bool {
	for _, b := range blocks {
		if b.i >= v.blocks() || v.source(b.i) != b.id || v.blockLen(b.i) != b.len {
			return false
		}
	}
	return true
}
