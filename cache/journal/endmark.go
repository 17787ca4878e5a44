package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// An endMark says, in a file beside the database, how many changes were
// committed. Badger takes a log with a damaged record for one that a crash cut
// off there and starts with what comes before, and without its manifest it
// starts empty: only the mark tells that changes are missing. It is written
// through a mapping after each commit, so that it outlives the process, and may
// lag behind after a power cut, when it is not believed.
type endMark struct {
	mu  sync.Mutex // held during a commit: the mark follows the order of commits; a leaf
	seq uint64     // of the last commit
	m   []byte     // nil: there is no mark

	held bool // what is committed is not marked before release
}

const (
	endMarkName = "journal.end"
	endMarkSize = 4096
	endMarkKey  = 0x6d6f6f7266735f65 // the second word is the first xor this
)

// open maps the mark. A journal without one works.
func (e *endMark) open(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("end mark: %w", err)
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, endMarkSize) // a write to it never lacks room
	if errors.Is(err, syscall.EOPNOTSUPP) {
		_, err = f.WriteAt(make([]byte, 1), endMarkSize-1)
	}
	if err == nil {
		e.m, err = syscall.Mmap(int(f.Fd()), 0, endMarkSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("end mark: %w", err)
	}
	return nil
}

// read returns what the mark says, 0 if that is nothing.
func (e *endMark) read() uint64 {
	if e.m == nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(e.m)
	if n^endMarkKey != binary.LittleEndian.Uint64(e.m[8:]) {
		return 0
	}
	return n
}

// write marks the last commit; the caller holds e.mu.
func (e *endMark) write() {
	if e.m != nil {
		binary.LittleEndian.PutUint64(e.m, e.seq)
		binary.LittleEndian.PutUint64(e.m[8:], e.seq^endMarkKey)
	}
}

func (e *endMark) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		return nil
	}
	m := e.m
	e.m = nil
	return syscall.Munmap(m)
}

// check compares the journal with the mark; believed says that the mark cannot
// be ahead for another reason than damage.
func (e *endMark) check(tx *Tx, believed bool) error {
	have := uint64(0)
	_, err := tx.get([]byte{letterEnd}, func(v []byte) error {
		d := decode(v)
		have = d.uint64()
		return d.done()
	})
	if err != nil {
		return err
	}
	mark := e.read()
	if believed && mark > have {
		return fmt.Errorf("%w: its last %d changes are missing", ErrDamaged, mark-have)
	}
	e.seq = max(have, mark)
	return nil
}

// commit commits tx with its number.
func (e *endMark) commit(tx *Tx) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key, value := tx.keep(append(tx.room(1), letterEnd)), tx.keep(appendUint(append(tx.room(12), recordVersion), e.seq+1))
	if err := tx.set(key, value); err != nil {
		return err
	}
	if err := tx.txn.Commit(); err != nil {
		return ofBadger(err)
	}
	if e.seq++; !e.held {
		e.write()
	}
	return nil
}

// hold keeps the mark as it is until release. A mark ahead of the record that
// says which boot may believe it would, after a power cut, be believed for the
// record before it.
func (e *endMark) hold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = true
}

func (e *endMark) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = false
	e.write()
}

// Forget lets a new journal begin in dir, whose old one was moved away.
func Forget(dir string) error {
	err := os.Remove(filepath.Join(filepath.Dir(dir), endMarkName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
