package powercut

import "maps"

const blockSize = 4096

type block [blockSize]byte

// A content is what a file holds. Blocks that are missing are holes; what a
// block has behind size is zero. A block that two contents share is never
// changed.
type content struct {
	size   int64
	blocks map[int64]*block
}

func newContent() content { return content{blocks: map[int64]*block{}} }

func (c content) clone() content { return content{c.size, maps.Clone(c.blocks)} }

// A file is what its users see of it and what a cut would leave of it for sure.
type file struct {
	live, safe content
	changed    map[int64]struct{} // blocks in which the two differ, perhaps
	low        int64              // the least size since the last sync
}

func newFile() *file {
	return &file{live: newContent(), safe: newContent(), changed: map[int64]struct{}{}}
}

// own returns a block of live to be changed.
func (f *file) own(i int64) *block {
	f.changed[i] = struct{}{}
	b := f.live.blocks[i]
	switch {
	case b == nil:
		b = new(block)
	case b == f.safe.blocks[i]:
		copied := *b
		b = &copied
	}
	f.live.blocks[i] = b
	return b
}

func (f *file) write(p []byte, off int64) {
	for len(p) > 0 {
		i, skip := off/blockSize, off%blockSize
		n := copy(f.own(i)[skip:], p)
		p, off = p[n:], off+int64(n)
		f.live.size = max(f.live.size, off)
	}
}

func (f *file) read(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), f.live.size-off))]
	for done := 0; done < len(p); {
		at := off + int64(done)
		part := p[done:min(len(p), done+int(blockSize-at%blockSize))]
		if b := f.live.blocks[at/blockSize]; b != nil {
			copy(part, b[at%blockSize:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(p)
}

func (f *file) truncate(size int64) {
	if size < f.live.size {
		f.zero(size, f.live.size)
		f.low = min(f.low, size)
	}
	f.live.size = size
}

// zero makes [from, to) read as zeros, whole blocks as holes.
func (f *file) zero(from, to int64) {
	for from < to {
		i := from / blockSize
		end := min(to, (i+1)*blockSize)
		if b := f.live.blocks[i]; b != nil {
			if from == i*blockSize && (end == from+blockSize || end >= f.live.size) {
				delete(f.live.blocks, i)
				f.changed[i] = struct{}{}
			} else {
				clear(f.own(i)[from-i*blockSize : end-i*blockSize])
			}
		}
		from = end
	}
}

// seek returns the next offset at or behind off that is data, or a hole.
func (f *file) seek(off int64, data bool) (int64, bool) {
	if off >= f.live.size {
		return 0, false
	}
	for off < f.live.size && (f.live.blocks[off/blockSize] != nil) != data {
		off = (off/blockSize + 1) * blockSize
	}
	if off >= f.live.size {
		return f.live.size, !data
	}
	return off, true
}

// sync makes the file durable as it is.
func (f *file) sync() {
	for i := range f.changed {
		if b := f.live.blocks[i]; b != nil {
			f.safe.blocks[i] = b
		} else {
			delete(f.safe.blocks, i)
		}
	}
	clear(f.changed)
	f.safe.size, f.low = f.live.size, f.live.size
}

// giveUp is a sync that failed: what was written since the last is seen as long
// as the power lasts, and no later sync writes it.
func (f *file) giveUp() { clear(f.changed) }
