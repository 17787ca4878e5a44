package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/moorfs/moorfs/tests/harness"
)

// The fixtures, by name.
const (
	nothing   = ""
	large     = "large"     // one large file, "large"
	beyond    = "beyond"    // one file of three times the cache
	middling  = "middling"  // one file of at most 128 MiB, "middling"
	several   = "several"   // as many bytes as large, in 64 files
	tree      = "tree"      // small files below "tree"
	small     = "small"     // fewer of them
	names     = "names"     // one directory of tiny files, "names"
	clonable  = "clonable"  // a tree that git knows
	veryLarge = "verylarge" // a very large tree; on one server only
)

const (
	filesPerDir = 50
	meanSize    = 10 << 10
	cloned      = 2000 // files at most in clonable
	readers     = 64   // files in several
	tiny        = 16   // bytes of a file in names
)

// A fixture is a directory on the local disk and buckets with the same files.
type fixture struct {
	name    string
	dir     string
	sums    manifest
	buckets map[place]string // that have its files
}

// A place is a server, and who wrote the files there.
type place struct {
	server string
	ours   bool
}

// fixture makes the fixture of that name, once.
func (l *lab) fixture(name string) (*fixture, error) {
	if f := l.fixtures[name]; f != nil {
		return f, nil
	}
	f := &fixture{name: name, dir: filepath.Join(harness.Dir(l.t), "files"), buckets: map[place]string{}}
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		return nil, err
	}
	if err := fill(f.dir, name, l.s.Sizes); err != nil {
		return nil, fmt.Errorf("fixture %s: %w", name, err)
	}
	var err error
	if name != veryLarge {
		f.sums, err = sumTree(f.dir)
	}
	l.fixtures[name] = f
	return f, err
}

// fill writes the files of a fixture below dir.
func fill(dir, name string, s sizes) error {
	switch name {
	case large:
		return writePattern(filepath.Join(dir, large), s.Large, firstSeed)
	case middling:
		return writePattern(filepath.Join(dir, middling), s.middling(), firstSeed)
	case beyond:
		return writePattern(filepath.Join(dir, beyond), 3*s.cache(), firstSeed)
	case several:
		for i := range readers {
			if err := writePattern(filepath.Join(dir, fmt.Sprintf("f%02d", i)), s.Large/readers, uint64(i)); err != nil {
				return err
			}
		}
		return nil
	case tree, clonable:
		n := s.Files
		if name == clonable {
			n = min(n, cloned)
		}
		return writeTree(filepath.Join(dir, "tree"), n, meanSize)
	case small:
		return writeTree(filepath.Join(dir, "tree"), s.Small, meanSize)
	case names:
		return writeFlat(filepath.Join(dir, "names"), s.Names)
	}
	return nil
}

// middling is the size of a file that is written in small pieces.
func (s sizes) middling() int64 { return min(s.Large/8, 128<<20) }

// cache is the size of a cache that is too small.
func (s sizes) cache() int64 { return max(s.Large/4, 32<<20) }

// writeTree writes n files of up to twice mean bytes, filesPerDir in a
// directory.
func writeTree(dir string, n int, mean int64) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%03d", i/filesPerDir))
		if i%filesPerDir == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		if err := writePattern(filepath.Join(sub, fmt.Sprintf("f%05d", i)), random.Int64N(2*mean), uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

func writeFlat(dir string, n int) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for i := range n {
		if err := writePattern(filepath.Join(dir, fmt.Sprintf("f%06d", i)), tiny, uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// Content is a function of its place, so that any piece can be checked alone.
// It repeats itself after that many bytes.
const patternSize = 1 << 30

const (
	firstSeed  = 1 // of what is there
	secondSeed = 2 // of what is written over it
)

// pattern fills p with the content at off, a multiple of eight.
func pattern(p []byte, off int64, seed uint64) {
	word := uint64(off%patternSize) / 8
	var last [8]byte
	for ; len(p) > 0; word++ {
		v := (word + seed<<40) * 0x9e3779b97f4a7c15
		v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
		v ^= v >> 27
		if len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, v)
			p = p[8:]
			continue
		}
		binary.LittleEndian.PutUint64(last[:], v)
		copy(p, last[:])
		return
	}
}

const patternPiece = 1 << 20

func writePattern(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, min(size, patternPiece))
	for off := int64(0); off < size; {
		n := min(size-off, int64(len(buf)))
		pattern(buf[:n], off, seed)
		if _, err := f.Write(buf[:n]); err != nil {
			f.Close()
			return err
		}
		off += n
	}
	return f.Close()
}
