package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	gosync "sync"
)

// Names by class. A saved name is only ever replaced by rename, so a reader of
// the bucket must always find one whole payload there; the others are changed
// in place.
const (
	savedClass   = "saved-"
	placeClass   = "place-"
	scratchClass = "scratch-"
	dirClass     = "dir-"
	linkClass    = "link-"
	treeClass    = "tree-" // directories with files, renamed as a whole

	namesPerClass = 8
	bigFile       = 11 << 20 // three parts of 5 MiB
	writeUnit     = 1 << 20
	smallFile     = 96 << 10
)

// The writer process is this test binary with these in its environment.
const (
	writerEnv = "MOORFS_CRASH_WRITER" // the seed
	dirEnv    = "MOORFS_CRASH_DIR"    // the mount
	logEnv    = "MOORFS_CRASH_LOG"    // directory of the logs
)

const writers = 4

// logName and dirName are those of writer i.
func logName(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("writer-%d.log", i)) }
func dirName(i int) string             { return fmt.Sprintf("w%d", i) }

// writeUntilStopped is the writer process: it works until the daemon has gone
// or stdin ends.
func writeUntilStopped() error {
	seed, err := strconv.ParseUint(os.Getenv(writerEnv), 10, 64)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		_, err := os.Stdin.Read(make([]byte, 1))
		if err != nil {
			close(stop)
		}
	}()
	errs := make([]error, writers)
	var wg gosync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = writeAlone(i, seed, stop) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeAlone(i int, seed uint64, stop <-chan struct{}) error {
	log, err := os.OpenFile(logName(os.Getenv(logEnv), i), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w := newWriter(filepath.Join(os.Getenv(dirEnv), dirName(i)), log, seed, i)
	err = w.run(stop)
	if errors.Is(err, errGone) || isGone(err) {
		err = nil // the log says so
	}
	return errors.Join(err, log.Close())
}

// A writer is one goroutine and what it knows of its directory.
type writer struct {
	hand
	random *rand.Rand
	sizes  map[string]int64 // of the names there
	tmp    int
}

func newWriter(dir string, log *os.File, seed uint64, i int) *writer {
	return &writer{hand: hand{dir: dir, log: log}, random: rand.New(rand.NewPCG(seed, uint64(i))), sizes: map[string]int64{}}
}

func (w *writer) run(stop <-chan struct{}) error {
	there, err := readTree(w.dir)
	if err != nil {
		return err
	}
	for name, n := range there.nodes {
		if dir, base := filepath.Split(name); dir == "" {
			w.sizes[name] = int64(len(n.live))
		} else {
			name = base
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(name, scratchClass)); err == nil {
			w.tmp = max(w.tmp, n+1)
		}
	}
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := w.work(); err != nil {
			return err
		}
	}
}

// work does one thing that a program would do.
func (w *writer) work() error {
	place := w.pick(placeClass)
	_, there := w.sizes[place]
	switch n := w.random.IntN(100); {
	case n < 2:
		return w.save(bigFile + w.random.Int64N(writeUnit))
	case n < 30:
		return w.save(headerSize + w.random.Int64N(smallFile))
	case n < 45 && !there:
		return w.edit(step{Do: create, Name: place}, 0, w.random.Int64N(smallFile))
	case n < 45:
		return w.edit(step{Do: empty, Name: place}, 0, w.random.Int64N(smallFile))
	case n < 60 && there:
		return w.edit(step{Do: extend, Name: place}, -1, 1+w.random.Int64N(8<<10))
	case n < 72 && there:
		off := w.random.Int64N(w.sizes[place] + 6<<10) // now and then a hole
		return w.edit(step{Do: reopen, Name: place}, off, 1+w.random.Int64N(16<<10))
	case n < 76 && there:
		return w.cut(place)
	case n < 82:
		return w.remove()
	case n < 88:
		return w.move()
	case n < 89 && there:
		return w.do(step{Do: syncName, Name: place})
	case n < 90:
		return w.do(step{Do: syncDir})
	case n < 92 && there:
		return w.do(step{Do: chmod, Name: place, Mode: []uint32{0o600, 0o640, 0o755}[w.random.IntN(3)]})
	case n < 94:
		return w.toggle(w.pick(dirClass), mkdir, rmdir)
	case n < 96:
		return w.toggle(w.pick(linkClass), symlink, unlink)
	default:
		return w.tree(w.pick(treeClass), w.pick(treeClass))
	}
}

// tree makes a directory with files, renames it, or adds a file to it.
func (w *writer) tree(from, to string) error {
	_, there := w.sizes[from]
	_, taken := w.sizes[to]
	if there && !taken {
		delete(w.sizes, from)
		w.sizes[to] = 0
		return w.do(step{Do: rename, Name: from, To: to})
	}
	if !there {
		if err := w.do(step{Do: mkdir, Name: from}); err != nil {
			return err
		}
		w.sizes[from] = 0
	}
	for range 1 + w.random.IntN(3) {
		name := fmt.Sprintf("%s/%s%d", from, scratchClass, w.tmp)
		w.tmp++
		size := headerSize + w.random.Int64N(8<<10)
		if err := w.do(step{Do: create, Name: name}); err != nil {
			return err
		}
		if err := w.do(step{Do: write, Size: size, Len: size, Seed: w.random.Uint64()}); err != nil {
			return err
		}
		if err := w.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) pick(class string) string {
	return class + strconv.Itoa(w.random.IntN(namesPerClass))
}

// save is an editor's save: a new file, written in pieces, renamed over.
func (w *writer) save(size int64) error {
	tmp := scratchClass + strconv.Itoa(w.tmp)
	w.tmp++
	if err := w.do(step{Do: create, Name: tmp}); err != nil {
		return err
	}
	seed := w.random.Uint64()
	for from := int64(0); from < size; from += writeUnit {
		n := min(writeUnit, size-from)
		if err := w.do(step{Do: write, Off: from, Size: size, From: from, Len: n, Seed: seed}); err != nil {
			return err
		}
	}
	if err := w.finish(); err != nil {
		return err
	}
	to := w.pick(savedClass)
	if err := w.do(step{Do: rename, Name: tmp, To: to}); err != nil {
		return err
	}
	w.sizes[to] = size
	return nil
}

// edit opens a file as told, writes once or twice and closes it. off -1 appends.
func (w *writer) edit(open step, off, size int64) error {
	if err := w.do(open); err != nil {
		return err
	}
	end := w.sizes[open.Name]
	if open.Do == create || open.Do == empty {
		end = 0
	}
	for range 1 + w.random.IntN(2) {
		if err := w.do(step{Do: write, Off: off, Size: size, Len: size, Seed: w.random.Uint64()}); err != nil {
			return err
		}
		if off < 0 {
			end += size
		} else {
			end = max(end, off+size)
			off += w.random.Int64N(size + 1)
		}
	}
	w.sizes[open.Name] = end
	return w.finish()
}

// finish closes the open file, one time in three after an fsync.
func (w *writer) finish() error {
	if w.random.IntN(3) == 0 {
		if err := w.do(step{Do: sync}); err != nil {
			return err
		}
	}
	return w.do(step{Do: closing})
}

func (w *writer) cut(name string) error {
	size := w.random.Int64N(2*w.sizes[name] + 1)
	if err := w.do(step{Do: truncate, Name: name, Size: size}); err != nil {
		return err
	}
	w.sizes[name] = size
	return nil
}

// remove unlinks a file: what a crash has left of a save, or any.
func (w *writer) remove() error {
	name := w.pick([]string{savedClass, placeClass}[w.random.IntN(2)])
	for n := range w.sizes {
		if strings.HasPrefix(n, scratchClass) && (!strings.HasPrefix(name, scratchClass) || n < name) {
			name = n
		}
	}
	if _, there := w.sizes[name]; !there {
		return nil
	}
	delete(w.sizes, name)
	return w.do(step{Do: unlink, Name: name})
}

// move renames a saved file to a saved name, another's or a free one.
func (w *writer) move() error {
	from, to := w.pick(savedClass), w.pick(savedClass)
	size, there := w.sizes[from]
	if !there || from == to {
		return nil
	}
	delete(w.sizes, from)
	w.sizes[to] = size
	return w.do(step{Do: rename, Name: from, To: to})
}

// toggle makes name if it is missing and removes it otherwise.
func (w *writer) toggle(name string, make, remove action) error {
	if _, there := w.sizes[name]; there {
		delete(w.sizes, name)
		return w.do(step{Do: remove, Name: name})
	}
	w.sizes[name] = 0
	return w.do(step{Do: make, Name: name, To: "target-of-" + name})
}
