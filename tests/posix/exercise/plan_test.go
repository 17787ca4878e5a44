package exercise

import (
	"fmt"
	"math/rand/v2"
)

// Files are of three sizes: most so small that they come and go as one, one of
// several blocks, one of several parts of an upload.
const (
	smallFile  = 256 << 10
	middleFile = 3 << 20
	largeFile  = 11 << 20 // more than two parts of 5 MiB
	mostBytes  = 40 << 20 // that all files together may have

	openSlots = 8
	mapSlots  = 4
	longest   = 512 << 10 // of one write: the kernel sends it as one request
)

// fileNames are the files of an exercise; limitOf their largest size.
var fileNames = []string{"a", "b", "c", "d", "e", "middle", "large"}

func limitOf(name string) int64 {
	switch name {
	case "large":
		return largeFile
	case "middle":
		return middleFile
	}
	return smallFile
}

// A plan makes programs. It follows them in a shadow of its own, so that a
// program depends on nothing but the seed.
type plan struct {
	random *rand.Rand
	sh     *shadow
	fills  uint64
	limits map[*content]int64
}

// weights says how often each action is taken.
var weights = []struct {
	do action
	n  int
}{
	{open, 550}, {closing, 350}, {read, 800}, {write, 1000}, {resize, 120}, {truncate, 60}, {punch, 120}, {zero, 100}, {allocate, 80},
	{duplicate, 150}, {holes, 100}, {fsync, 80}, {mmap, 120}, {load, 300}, {store, 300}, {msync, 50}, {munmap, 80}, {rename, 40},
	{exchange, 20}, {unlink, 40}, {stat, 80}, {whole, 60},
	{flush, 3}, {sending, 12}, {peek, 20}, {evict, 4}, {remount, 2}, {fresh, 3}, {crash, 4}, {foreign, 4},
}

// newProgram returns a random program.
func newProgram(seed uint64, steps int) []step {
	p := &plan{random: rand.New(rand.NewPCG(seed, 0)), sh: newShadow(), limits: map[*content]int64{}}
	total := 0
	for _, w := range weights {
		total += w.n
	}
	program := make([]step, 0, steps)
	for len(program) < steps {
		k := p.random.IntN(total)
		for _, w := range weights {
			if k -= w.n; k < 0 {
				if s, ok := p.next(w.do); ok {
					program = append(program, s)
				}
				break
			}
		}
	}
	return program
}

// next makes a step of an action and follows it.
func (p *plan) next(do action) (s step, ok bool) {
	s = step{Do: do, File: p.name(), H: 1 + p.random.IntN(openSlots), M: 1 + p.random.IntN(mapSlots)}
	switch do {
	case flush, sending, peek, evict:
		s.H, s.M = 0, 0
		if do != peek {
			s.File = ""
		}
		return s, true
	case remount, fresh, crash:
		p.sh.closeAll()
		return step{Do: do}, true
	case foreign:
		return p.foreign(s)
	case open, rename, exchange, unlink, stat, truncate, whole:
		s = p.named(s)
	case mmap, load, store, msync, munmap:
		s, ok = p.onMap(s)
		if !ok {
			return s, false
		}
	default:
		if s, ok = p.onSlot(s); !ok {
			return s, false
		}
	}
	if _, applies := p.sh.apply(s); !applies {
		return s, false
	}
	if c := p.sh.names[s.File]; c != nil && p.limits[c] == 0 {
		p.limits[c] = limitOf(s.File)
	}
	return s, p.forget()
}

// forget drops what only the comparison of contents needs.
func (p *plan) forget() bool {
	clear(p.sh.states)
	for _, c := range p.sh.names {
		c.settle()
	}
	return true
}

func (p *plan) name() string { return fileNames[p.random.IntN(len(fileNames))] }

func (p *plan) fill() uint64 {
	if p.random.IntN(20) == 0 {
		return 0
	}
	p.fills++
	return p.fills
}

func (p *plan) foreign(s step) (step, bool) {
	s = step{Do: foreign, File: s.File, N: p.upTo(limitOf(s.File)), Fill: p.fill()}
	if c := p.sh.names[s.File]; c != nil && p.sh.inUse(c) || p.sh.bytesInUse()+s.N > mostBytes {
		return s, false
	}
	c := newContent(filling(s.Fill, s.N))
	p.sh.names[s.File], p.limits[c] = c, limitOf(s.File)
	return s, true
}

// named completes a step that names a file.
func (p *plan) named(s step) step {
	s.M = 0
	if s.Do != open {
		s.H = 0
	}
	switch s.Do {
	case open:
		s.How = []string{"r", "w", "b", "b", "b"}[p.random.IntN(5)]
		for _, extra := range []struct {
			letter string
			one    int // in so many
		}{{"c", 2}, {"x", 30}, {"t", 12}, {"a", 6}, {"s", 30}, {"d", 6}} {
			if p.random.IntN(extra.one) == 0 {
				s.How += extra.letter
			}
		}
	case rename, exchange:
		// Large files keep their name, and with it their limit.
		s.File, s.Name = fileNames[p.random.IntN(5)], fileNames[p.random.IntN(5)]
	case truncate:
		s.N = p.upTo(p.room(p.sh.names[s.File], 0))
	case whole:
		s.N = []int64{4096, 5000, 65536, 100_000, 1 << 20}[p.random.IntN(5)]
	}
	return s
}

// room is how large a file may become by a change at off.
func (p *plan) room(c *content, off int64) int64 {
	if c == nil {
		return 0
	}
	spare := mostBytes - p.sh.bytesInUse() + int64(len(c.data))
	return max(0, min(p.limits[c], spare)-off)
}

// upTo returns a size or offset up to n: often small, or at a border of
// something.
func (p *plan) upTo(n int64) int64 {
	if n <= 0 {
		return 0
	}
	switch p.random.IntN(8) {
	case 0:
		return 0
	case 1:
		return n
	case 2:
		return min(n, p.random.Int64N(100))
	case 3:
		return p.random.Int64N(n+1) / pageSize * pageSize
	case 4:
		block := []int64{4096, 65536, 1 << 20, 4 << 20, 5 << 20}[p.random.IntN(5)]
		return max(0, min(n, p.random.Int64N(n+1)/block*block+p.random.Int64N(5)-2))
	}
	return p.random.Int64N(n + 1)
}

// String names a program by what it was made from.
func programName(seed uint64, steps int) string {
	return fmt.Sprintf("-exercise.seed %d -exercise.steps %d", seed, steps)
}
