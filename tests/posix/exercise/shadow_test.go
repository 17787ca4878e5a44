package exercise

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"strings"
	"syscall"
)

const pageSize = 4096

// A shadow is what the files of an exercise must hold. It knows nothing of a
// mount: apply says what a system call shows on any local filesystem.
//
// For what a crash may do, each file keeps the bytes that were replaced since
// it was last closed or synced: afterwards a byte may be the newest or one of
// these. For what a flush may show while others write, states has a hash of
// every content that a small file ever had.
type shadow struct {
	names  map[string]*content
	slots  map[int]*slot
	maps   map[int]*mapping
	seed   maphash.Seed
	states map[uint64]bool

	// blurred are the names under which the bucket may have seen single pages
	// of what was stored through a map.
	blurred map[string]bool
}

// A content is a file, named or not.
type content struct {
	data     []byte
	replaced []patch // since it was last settled
	low      int64   // its smallest size since then
	high     int64   // its largest
	mapped   bool    // changed through a map: the bucket may have seen single pages of that
}

// A patch is bytes that were at an offset.
type patch struct {
	off  int64
	data []byte
}

type slot struct {
	c                          *content
	canRead, canWrite, appends bool
	direct, wrote              bool
}

type mapping struct {
	c      *content
	off, n int64
	how    string
	own    map[int64][]byte // of a private map: pages written to, by index in the file
}

func newShadow() *shadow {
	return &shadow{names: map[string]*content{}, slots: map[int]*slot{}, maps: map[int]*mapping{}, seed: maphash.MakeSeed(),
		states: map[uint64]bool{}, blurred: map[string]bool{}}
}

// sharpen is for the moment when the bucket has what the files have.
func (sh *shadow) sharpen() {
	shared := map[*content]bool{}
	for _, m := range sh.maps {
		shared[m.c] = shared[m.c] || m.how == "shared"
	}
	for _, c := range sh.names {
		c.mapped = shared[c]
	}
	clear(sh.blurred)
	sh.blur()
}

// blur notes which names have contents that are changed through maps.
func (sh *shadow) blur() {
	for name, c := range sh.names {
		if c.mapped {
			sh.blurred[name] = true
		}
	}
}

// statesUpTo is the size of files whose states are kept.
const statesUpTo = 1 << 20

// note remembers the content as one that the file had.
func (sh *shadow) note(c *content) {
	if len(c.data) <= statesUpTo {
		sh.states[maphash.Bytes(sh.seed, c.data)] = true
	}
}

// had reports whether some file had this content at some moment.
func (sh *shadow) had(data []byte) bool { return sh.states[maphash.Bytes(sh.seed, data)] }

func newContent(data []byte) *content {
	return &content{data: data, low: int64(len(data)), high: int64(len(data))}
}

// settle makes the content one that survives a crash.
func (c *content) settle() {
	c.replaced, c.low, c.high = nil, int64(len(c.data)), int64(len(c.data))
}

// put writes p at off.
func (c *content) put(off int64, p []byte) {
	end := off + int64(len(p))
	c.keep(off, end)
	if end > int64(len(c.data)) {
		c.cut(end)
	}
	copy(c.data[off:], p)
}

// keep remembers what is about to be replaced.
func (c *content) keep(off, end int64) {
	if end = min(end, int64(len(c.data))); off < end {
		c.replaced = append(c.replaced, patch{off, bytes.Clone(c.data[off:end])})
	}
}

// cut sets the size.
func (c *content) cut(size int64) {
	old := int64(len(c.data))
	c.keep(size, old)
	switch {
	case size <= old:
		c.data = c.data[:size:size]
	default:
		c.data = append(c.data, make([]byte, size-old)...)
	}
	c.low, c.high = min(c.low, size), max(c.high, size)
}

// admits says what is wrong with a content found after a crash; nil: nothing.
func (c *content) admits(found []byte) error {
	if n := int64(len(found)); n < c.low || n > c.high {
		return fmt.Errorf("%d bytes, want %d to %d", n, c.low, c.high)
	}
	for i, b := range found {
		if i < len(c.data) && c.data[i] == b || b == 0 && int64(i) >= c.low {
			continue
		}
		if !c.once(int64(i), b) {
			return fmt.Errorf("byte %d of %d is %#x, which it was not since the file was last closed or synced", i, len(found), b)
		}
	}
	return nil
}

// once reports whether the byte at i was b since the file was last settled.
func (c *content) once(i int64, b byte) bool {
	for _, p := range c.replaced {
		if i >= p.off && i < p.off+int64(len(p.data)) && p.data[i-p.off] == b {
			return true
		}
	}
	return false
}

// difference says in a few words how two contents differ; empty: not at all.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			last := n - 1
			for got[last] == want[last] {
				last--
			}
			return fmt.Sprintf("%d bytes, want %d; they differ from byte %d (%#x, want %#x) to %d; zeros from there: %d, want %d", len(got),
				len(want), i, got[i], want[i], last, leadingZeros(got[i:]), leadingZeros(want[i:]))
		}
	}
	return fmt.Sprintf("%d bytes, want %d; equal as far as they go", len(got), len(want))
}

func leadingZeros(p []byte) int { return len(p) - len(bytes.TrimLeft(p, "\x00")) }

// apply does a step and returns what it must show; applies is false for a step
// that makes no sense here, as the close of an empty slot.
func (sh *shadow) apply(s step) (want result, applies bool) {
	switch s.Do {
	case open:
		return sh.open(s)
	case mmap, load, store, msync, munmap:
		defer sh.blur()
		return sh.map_(s)
	case rename, exchange, unlink, stat, truncate, whole:
		defer sh.blur()
		return sh.named(s)
	}
	at := sh.slots[s.H]
	if at == nil {
		return want, false
	}
	want, applies = sh.slot(at, s)
	if applies && want.Errno == 0 && s.Do != closing {
		want.Size = int64(len(at.c.data))
	}
	return want, applies
}

func (sh *shadow) open(s step) (result, bool) {
	if sh.slots[s.H] != nil {
		return result{}, false
	}
	c := sh.names[s.File]
	switch {
	case c == nil && !strings.Contains(s.How, "c"):
		return result{Errno: syscall.ENOENT}, true
	case c != nil && strings.Contains(s.How, "c") && strings.Contains(s.How, "x"):
		return result{Errno: syscall.EEXIST}, true
	case c == nil:
		c = newContent(nil)
		sh.names[s.File] = c
		sh.note(c)
	case strings.Contains(s.How, "t"):
		sh.resize(c, 0)
	}
	sh.slots[s.H] = &slot{c: c, canRead: strings.ContainsAny(s.How, "rb"), canWrite: strings.ContainsAny(s.How, "wb"),
		appends: strings.Contains(s.How, "a"), direct: strings.Contains(s.How, "d")}
	return result{Size: int64(len(c.data))}, true
}

// closeAll is what an end of the mount does.
func (sh *shadow) closeAll() {
	for _, at := range sh.slots {
		if at.canWrite {
			at.c.settle()
		}
	}
	clear(sh.slots)
	clear(sh.maps)
}

// write is write(2). The kernel sends what it writes into a first page that it
// does not have whole in a request of its own.
func (sh *shadow) write(c *content, off int64, data []byte) {
	if head := (pageSize - off%pageSize) % pageSize; head < int64(len(data)) {
		c.put(off, data[:head])
		sh.note(c)
		off, data = off+head, data[head:]
	}
	c.put(off, data)
}

// slot does the steps of an open file.
func (sh *shadow) slot(at *slot, s step) (want result, applies bool) {
	c, size := at.c, int64(len(at.c.data))
	switch s.Do {
	case closing:
		if at.canWrite {
			c.settle()
		}
		delete(sh.slots, s.H)
		return want, true
	case fsync:
		c.settle()
		return want, true
	case holes:
		return want, true
	case read:
		if !at.canRead {
			return result{Errno: syscall.EBADF}, true
		}
		if s.Off < size {
			want.Data = bytes.Clone(c.data[s.Off:min(size, s.Off+s.N)])
		}
		want.N = int64(len(want.Data))
		return want, true
	case duplicate:
		return sh.duplicate(at, s)
	}
	if !at.canWrite {
		if s.Do == resize {
			return result{Errno: syscall.EINVAL}, true
		}
		return result{Errno: syscall.EBADF}, true
	}
	switch s.Do {
	case write:
		off := s.Off
		if at.appends {
			off = size
		}
		sh.write(c, off, filling(s.Fill, s.N))
		want.N = s.N
		at.wrote = at.wrote || s.N > 0
	case resize:
		sh.resize(c, s.N)
	case allocate:
		if s.How != "keep" && s.Off+s.N > size {
			c.cut(s.Off + s.N)
		}
	case punch, zero:
		end := s.Off + s.N
		if s.Do == punch || s.How == "keep" {
			end = min(end, size)
		}
		if end > s.Off {
			c.put(s.Off, make([]byte, end-s.Off))
		}
	}
	sh.note(c)
	return want, true
}
