package journal

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Extents of a file that was written in a million places are longer than
// badger takes in one value, or even in one transaction. From inlineExtents on
// they are cut into chunks of chunkSize, which are committed before the
// transaction under a number of their own; the E record then only says which.
// Nothing refers to chunks of a transaction that did not happen: they are
// removed by it, or after a crash by Open.
const (
	inlineExtents = 64 << 10
	chunkSize     = 256 << 10
)

// How an E record holds its extents.
const (
	extentsInline byte = iota
	extentsChunked
)

// chunkSet names the chunks of one version of a file's extents.
type chunkSet struct {
	ino   Ino
	n     uint64
	count uint32
}

// Extents returns which bytes of an inode's data file are content, nil if
// nothing is recorded.
func (tx *Tx) Extents(ino Ino) (*Extents, bool, error) {
	e, found, err := tx.extents(ino)
	if err != nil {
		return nil, false, fmt.Errorf("journal: extents of inode %d: %w", ino, err)
	}
	return e, found, nil
}

func (tx *Tx) extents(ino Ino) (*Extents, bool, error) {
	var e *Extents
	var chunks chunkSet
	tx.scratch = numberKey(tx.scratch[:0], letterExtents, ino)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		var inline []byte
		if inline, chunks, err = decodeExtentsHead(ino, v); err == nil && chunks.count == 0 {
			e, err = decodeExtents(inline)
		}
		return err
	})
	if err != nil || !found || chunks.count == 0 {
		return e, found, err
	}
	if fresh, ok := tx.fresh[chunks.n]; ok {
		e, err = decodeExtents(fresh)
		return e, true, err
	}
	var whole []byte
	for c := range chunks.count {
		tx.scratch = chunkKey(tx.scratch[:0], ino, chunks.n, c)
		found, err := tx.get(tx.scratch, func(v []byte) error {
			whole = append(whole, v...)
			return nil
		})
		if err == nil && !found {
			err = fmt.Errorf("%w: chunk %d of %d is missing", ErrDamaged, c, chunks.count)
		}
		if err != nil {
			return nil, false, err
		}
	}
	e, err = decodeExtents(whole)
	return e, true, err
}

// PutExtents sets which bytes of an inode's data file are content; e is not
// kept.
func (tx *Tx) PutExtents(ino Ino, e *Extents) error {
	err := tx.replaceChunks(ino)
	if err == nil {
		err = tx.putExtents(ino, e)
	}
	if err != nil {
		return fmt.Errorf("journal: extents of inode %d: %w", ino, err)
	}
	return nil
}

func (tx *Tx) putExtents(ino Ino, e *Extents) error {
	key := tx.keep(numberKey(tx.room(9), letterExtents, ino))
	value, err := appendExtents(append(tx.room(128), recordVersion, extentsInline), e)
	if err != nil {
		return err
	}
	if len(value) <= inlineExtents {
		return tx.set(key, tx.keep(value))
	}
	set, err := tx.writeChunks(ino, value[2:])
	if err != nil {
		return err
	}
	head := append(tx.room(24), recordVersion, extentsChunked)
	head = appendUint(head, set.n)
	return tx.set(key, tx.keep(appendUint(head, set.count)))
}

// DeleteExtents forgets which bytes of an inode's data file are content.
func (tx *Tx) DeleteExtents(ino Ino) error {
	err := tx.replaceChunks(ino)
	if err == nil {
		err = tx.delete(tx.keep(numberKey(tx.room(9), letterExtents, ino)))
	}
	if err != nil {
		return fmt.Errorf("journal: extents of inode %d: %w", ino, err)
	}
	return nil
}

// decodeExtentsHead returns the encoded extents, or where their chunks are.
func decodeExtentsHead(ino Ino, v []byte) (inline []byte, chunks chunkSet, err error) {
	d := decode(v)
	how := d.uint8()
	switch {
	case d.bad:
	case how == extentsInline:
		return d.b, chunkSet{}, nil
	case how == extentsChunked:
		chunks = chunkSet{ino: ino, n: d.uint64(), count: d.uint32()}
		if chunks.count == 0 {
			d.fail()
		}
	default:
		d.fail()
	}
	return nil, chunks, d.done()
}

// replaceChunks notes the chunks of the present record, if it has any, for
// removal after the commit.
func (tx *Tx) replaceChunks(ino Ino) error {
	var chunks chunkSet
	tx.scratch = numberKey(tx.scratch[:0], letterExtents, ino)
	_, err := tx.get(tx.scratch, func(v []byte) (err error) {
		_, chunks, err = decodeExtentsHead(ino, v)
		return err
	})
	if err == nil && chunks.count != 0 {
		tx.stale = append(tx.stale, chunks)
	}
	return err
}

// writeChunks commits data in chunks that nothing refers to yet.
func (tx *Tx) writeChunks(ino Ino, data []byte) (chunkSet, error) {
	set := chunkSet{ino: ino, n: uint64(tx.db.stamp())}
	if tx.readOnly {
		return set, badger.ErrReadOnlyTxn
	}
	// The state that tx reads is older than the chunks.
	if tx.fresh == nil {
		tx.fresh = map[uint64][]byte{}
	}
	tx.fresh[set.n] = data
	defer func() { tx.written = append(tx.written, set) }()
	for len(data) > 0 {
		n := min(len(data), chunkSize)
		chunk, key := data[:n], chunkKey(nil, ino, set.n, set.count)
		set.count++
		err := tx.db.badger.Update(func(txn *badger.Txn) error { return txn.Set(key, chunk) })
		if err != nil {
			return set, ofBadger(err)
		}
		data = data[n:]
	}
	return set, nil
}

// deleteChunks removes chunks that nothing refers to any more. It is enough
// that it mostly succeeds: Open finds what is left.
func (db *DB) deleteChunks(sets []chunkSet) error {
	for _, s := range sets {
		err := db.badger.Update(func(txn *badger.Txn) error {
			for c := range s.count {
				if err := txn.Delete(chunkKey(nil, s.ino, s.n, c)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("journal: chunks of extents of inode %d: %w", s.ino, ofBadger(err))
		}
	}
	return nil
}
