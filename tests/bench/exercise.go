package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An answer is what an exercise found.
type answer struct {
	Seconds float64  // without the program's start
	First   float64  // until the first byte
	Sums    manifest `json:",omitempty"`
}

// An exercise is a program that uses a mount.
type exercise struct {
	name      string
	arguments []string
	do        func(args []string) (answer, error)
}

var exercises = []exercise{
	{"read", []string{"file", "block"}, readFile},
	{"write", []string{"file", "size", "block"}, writeFile},
	{"random-read", []string{"file", "block", "count", "jobs"}, randomRead},
	{"overwrite", []string{"file", "block", "order"}, overwrite},
	{"change", []string{"file", "offset"}, change},
	{"read-tree", []string{"directory"}, readTree},
	{"read-all", []string{"directory"}, readAll},
	{"rename", []string{"old", "new"}, rename},
	{"sum", []string{"directory"}, func(a []string) (answer, error) { m, err := sumTree(a[0]); return answer{Sums: m}, err }},
	{"shape", []string{"directory"}, shape},
}

// readFile reads a file from its beginning to its end.
func readFile(args []string) (a answer, err error) {
	buf := make([]byte, number(args[1]))
	start := time.Now()
	f, err := os.Open(args[0])
	if err != nil {
		return a, err
	}
	defer f.Close()
	for {
		n, err := f.Read(buf)
		if a.First == 0 && n > 0 {
			a.First = time.Since(start).Seconds()
		}
		if err == io.EOF {
			a.Seconds = time.Since(start).Seconds()
			return a, nil
		}
		if err != nil {
			return a, err
		}
	}
}

// made returns content that begins a file of that size; what follows is the
// same again. It is made before it is written.
func made(size int64, seed uint64) []byte {
	p := make([]byte, min(size, patternSize))
	pattern(p, 0, seed)
	return p
}

// writeFile writes a new file.
func writeFile(args []string) (a answer, err error) {
	size, block := number(args[1]), number(args[2])
	content := made(size, firstSeed)
	start := time.Now()
	f, err := os.Create(args[0])
	if err != nil {
		return a, err
	}
	for off := int64(0); off < size; {
		at := off % int64(len(content))
		n, err := f.Write(content[at:min(at+block, int64(len(content)), at+size-off)])
		if err != nil {
			return a, errors.Join(err, f.Close())
		}
		off += int64(n)
	}
	err = f.Close()
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

// checkEvery is how many reads there are to one that is compared: comparing
// takes as long as a read from memory.
const checkEvery = 16

// randomRead reads blocks here and there, by several at a time.
func randomRead(args []string) (a answer, err error) {
	block, count, jobs := number(args[1]), number(args[2]), int(number(args[3]))
	f, err := os.Open(args[0])
	if err != nil {
		return a, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return a, err
	}
	var wg sync.WaitGroup
	errs := make([]error, jobs)
	start := time.Now()
	for j := range jobs {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(j)))
			buf, want := make([]byte, block), make([]byte, block)
			for i := range count / int64(jobs) {
				off := random.Int64N(st.Size()/block) * block
				if _, err := f.ReadAt(buf, off); err != nil {
					errs[j] = err
					return
				}
				if i%checkEvery != 0 {
					continue
				}
				if pattern(want, off, firstSeed); !bytes.Equal(buf, want) {
					errs[j] = fmt.Errorf("%s: wrong bytes at %d", args[0], off)
					return
				}
			}
		})
	}
	wg.Wait()
	a.Seconds = time.Since(start).Seconds()
	return a, errors.Join(errs...)
}

// overwrite writes all blocks of a file again, "in order" or "at random".
func overwrite(args []string) (a answer, err error) {
	block := number(args[1])
	f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return a, err
	}
	st, err := f.Stat()
	if err != nil {
		return a, errors.Join(err, f.Close())
	}
	content := made(st.Size(), secondSeed)
	blocks := make([]int64, st.Size()/block)
	for i := range blocks {
		blocks[i] = int64(i) * block
	}
	if args[2] == "at random" {
		random := rand.New(rand.NewPCG(4, 4))
		random.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	}
	start := time.Now()
	for _, off := range blocks {
		if _, err := f.WriteAt(content[off:off+block], off); err != nil {
			return a, errors.Join(err, f.Close())
		}
	}
	err = f.Close()
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

const changed = 4096 // bytes

// change writes one block of a file, at an offset or at its "end".
func change(args []string) (a answer, err error) {
	content := made(changed, secondSeed)
	start := time.Now()
	f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return a, err
	}
	off := number(args[1])
	if args[1] == "end" {
		off, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = f.WriteAt(content, off)
	}
	err = errors.Join(err, f.Close())
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

// readTree reads all files below a directory one after the other, as tar and
// grep -r do.
func readTree(args []string) (a answer, err error) {
	buf := make([]byte, 64<<10)
	start := time.Now()
	err = filepath.WalkDir(args[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return drain(path, buf)
	})
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

// readAll reads all files of a directory at the same time.
func readAll(args []string) (a answer, err error) {
	entries, err := os.ReadDir(args[0])
	if err != nil {
		return a, err
	}
	errs := make([]error, len(entries))
	var wg sync.WaitGroup
	start := time.Now()
	for i, e := range entries {
		wg.Go(func() { errs[i] = drain(filepath.Join(args[0], e.Name()), make([]byte, 1<<20)) })
	}
	wg.Wait()
	a.Seconds = time.Since(start).Seconds()
	return a, errors.Join(errs...)
}

func drain(path string, buf []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
	return errors.Join(err, f.Close())
}

func rename(args []string) (a answer, err error) {
	start := time.Now()
	err = os.Rename(args[0], args[1])
	a.Seconds = time.Since(start).Seconds()
	return a, err
}

// shape lists regular files and their sizes.
func shape(args []string) (answer, error) {
	m := manifest{}
	err := filepath.WalkDir(args[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			m[strings.TrimPrefix(path, args[0]+"/")] = content{Size: info.Size()}
		}
		return err
	})
	return answer{Sums: m}, err
}

// number reads an argument that is a number; others are zero.
func number(arg string) int64 {
	n, _ := strconv.ParseInt(arg, 10, 64)
	return n
}
