package journal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

const (
	// maxValue bounds a value. All values stay below the threshold at which
	// badger would move them to its value log; see badgerOptions.
	maxValue = 512 << 10

	// arenaBlock is how much memory a transaction takes at once for the keys
	// and values that it collects: enough for a create.
	arenaBlock = 1 << 10

	// A walk reads firstBatch records, then more and more at once, to
	// lastBatch.
	firstBatch = 16
	lastBatch  = 1024
)

// A Tx reads and changes records in one transaction. It is valid during the
// call of the function that it was passed to and for one goroutine. In
// DB.View, changes fail.
//
// A method that looks for a record returns whether it was there; one that is
// not there is no error. Deleting what is not there is no error either.
//
// A walk calls its function for each record in the order of the keys, and ends
// with the function's first error; Stop ends it without one. The function may
// use the Tx, also to walk and to change the records that it walks; whether a
// walk meets records that are put meanwhile is not promised.
type Tx struct {
	db       *DB
	txn      *badger.Txn
	readOnly bool
	scratch  []byte            // of the key that is looked for
	arena    []byte            // of keys and values that are kept until the commit
	written  []chunkSet        // chunks that nothing refers to without the commit
	fresh    map[uint64][]byte // what they hold, by their number
	stale    []chunkSet        // chunks that nothing refers to after the commit
}

// get calls fn with the value at key, which is valid only during the call.
func (tx *Tx) get(key []byte, fn func(value []byte) error) (found bool, err error) {
	item, err := tx.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err == nil {
		err = item.Value(fn)
	}
	if err != nil {
		return false, ofBadger(err)
	}
	return true, nil
}

// set keeps key and value, which must come from tx.room, until the commit.
func (tx *Tx) set(key, value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("a record of %d bytes is too long, at most %d", len(value), maxValue)
	}
	return ofBadger(tx.txn.Set(key, value))
}

// delete keeps key, which must come from tx.room, until the commit.
func (tx *Tx) delete(key []byte) error { return ofBadger(tx.txn.Delete(key)) }

// room returns an empty slice to append about size bytes to, which stay
// untouched until the commit. keep must follow.
func (tx *Tx) room(size int) []byte {
	if cap(tx.arena)-len(tx.arena) < size {
		tx.arena = make([]byte, 0, max(arenaBlock, size))
	}
	return tx.arena[len(tx.arena):]
}

// keep marks what was appended to the slice from room as taken, and returns it.
func (tx *Tx) keep(b []byte) []byte {
	if len(b) <= cap(tx.arena)-len(tx.arena) {
		tx.arena = tx.arena[:len(tx.arena)+len(b)]
	}
	return b[:len(b):len(b)]
}

// A batch holds copies of consecutive records.
type batch struct {
	data []byte
	ends []int // of key, value, key, value … in data
}

func (b *batch) reset() { b.data, b.ends = b.data[:0], b.ends[:0] }

func (b *batch) add(item *badger.Item, keysOnly bool) error {
	b.data = append(b.data, item.Key()...)
	b.ends = append(b.ends, len(b.data))
	if !keysOnly {
		err := item.Value(func(v []byte) error {
			b.data = append(b.data, v...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.ends = append(b.ends, len(b.data))
	return nil
}

func (b *batch) len() int { return len(b.ends) / 2 }

func (b *batch) record(i int) (key, value []byte) {
	from := 0
	if i > 0 {
		from = b.ends[2*i-1]
	}
	return b.data[from:b.ends[2*i]], b.data[b.ends[2*i]:b.ends[2*i+1]]
}

// A scan says which records are walked.
type scan struct {
	prefix   []byte
	after    []byte // begin strictly behind this key; nil: at the prefix
	keysOnly bool   // do not read values
}

// walk calls fn for the records of s. Key and value are valid only during the
// call. Records are read in batches, with no iterator open while fn runs:
// badger allows a transaction that writes one iterator at a time.
func (tx *Tx) walk(s scan, fn func(key, value []byte) error) error {
	from := s.prefix
	if s.after != nil {
		from = append(bytes.Clone(s.after), 0)
	}
	var b batch
	for size := firstBatch; ; size = min(2*size, lastBatch) {
		b.reset()
		if err := tx.read(&b, s, from, size); err != nil {
			return ofBadger(err)
		}
		for i := range b.len() {
			key, value := b.record(i)
			if err := fn(key, value); errors.Is(err, Stop) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if b.len() < size {
			return nil
		}
		last, _ := b.record(b.len() - 1)
		from = append(bytes.Clone(last), 0)
	}
}

// read fills b with at most n records of s from a key on.
func (tx *Tx) read(b *batch, s scan, from []byte, n int) error {
	it := tx.txn.NewIterator(badger.IteratorOptions{Prefix: s.prefix})
	defer it.Close()
	for it.Seek(from); it.Valid() && b.len() < n; it.Next() {
		if err := b.add(it.Item(), s.keysOnly); err != nil {
			return err
		}
	}
	return nil
}
