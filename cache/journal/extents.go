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

// An extentsHead is what an E record holds itself.
type extentsHead struct {
	inline []byte   // encoded extents
	chunks chunkSet // or where these are
	sums   uint32   // as Extents.Sums
}

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

// AllExtents walks the extents of all inodes whose number is above after.
func (tx *Tx) AllExtents(after Ino, fn func(ino Ino, e *Extents) error) error {
	s := scan{prefix: []byte{letterExtents}, after: numberKey(nil, letterExtents, after), keysOnly: true}
	return tx.walk(s, func(key, _ []byte) error {
		n, _, err := keyNumber(key)
		if err != nil {
			return fmt.Errorf("journal: extents: %w", err)
		}
		e, found, err := tx.Extents(Ino(n))
		if err != nil || !found {
			return err
		}
		return fn(Ino(n), e)
	})
}

func (tx *Tx) extents(ino Ino) (*Extents, bool, error) {
	var e *Extents
	var head extentsHead
	tx.scratch = numberKey(tx.scratch[:0], letterExtents, ino)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		if head, err = decodeExtentsHead(ino, v); err == nil && head.chunks.count == 0 {
			e, err = decodeExtents(head.inline)
		}
		return err
	})
	if err == nil && found && head.chunks.count > 0 {
		e, err = tx.chunkedExtents(ino, head.chunks)
	}
	if e != nil {
		e.Sums = head.sums
	}
	return e, found, err
}

func (tx *Tx) chunkedExtents(ino Ino, chunks chunkSet) (*Extents, error) {
	if fresh, ok := tx.fresh[chunks.n]; ok {
		return decodeExtents(fresh)
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
			return nil, err
		}
	}
	return decodeExtents(whole)
}

// PutExtents sets which bytes of an inode's data file are content; e is not
// kept. Checksums of the groups from e.Sums on go.
func (tx *Tx) PutExtents(ino Ino, e *Extents) error {
	err := tx.replaceHead(ino, e.Sums)
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
	value, err := appendExtents(appendExtentsHead(tx.room(128), extentsInline, e.Sums), e)
	if err != nil {
		return err
	}
	if len(value) <= inlineExtents {
		return tx.set(key, tx.keep(value))
	}
	set, err := tx.writeChunks(ino, value[len(appendExtentsHead(nil, extentsInline, e.Sums)):])
	if err != nil {
		return err
	}
	head := appendExtentsHead(tx.room(24), extentsChunked, e.Sums)
	head = appendUint(head, set.n)
	return tx.set(key, tx.keep(appendUint(head, set.count)))
}

// DeleteExtents forgets which bytes of an inode's data file are content, and
// their checksums.
func (tx *Tx) DeleteExtents(ino Ino) error {
	err := tx.replaceHead(ino, 0)
	if err == nil {
		err = tx.delete(tx.keep(numberKey(tx.room(9), letterExtents, ino)))
	}
	if err != nil {
		return fmt.Errorf("journal: extents of inode %d: %w", ino, err)
	}
	return nil
}

func appendExtentsHead(b []byte, how byte, sums uint32) []byte {
	return appendUint(append(b, extentsVersion, how), sums)
}

func decodeExtentsHead(ino Ino, v []byte) (h extentsHead, err error) {
	d := decodeTo(extentsVersion, v)
	how := d.uint8()
	if d.version >= 2 {
		h.sums = d.uint32()
	}
	switch {
	case d.bad:
	case how == extentsInline:
		h.inline = d.b
		return h, nil
	case how == extentsChunked:
		h.chunks = chunkSet{ino: ino, n: d.uint64(), count: d.uint32()}
		if h.chunks.count == 0 {
			d.fail()
		}
	default:
		d.fail()
	}
	return h, d.done()
}

// replaceHead notes the chunks of the present record, if it has any, for
// removal after the commit, and removes the checksums of the groups from keep
// on.
func (tx *Tx) replaceHead(ino Ino, keep uint32) error {
	var head extentsHead
	tx.scratch = numberKey(tx.scratch[:0], letterExtents, ino)
	_, err := tx.get(tx.scratch, func(v []byte) (err error) {
		head, err = decodeExtentsHead(ino, v)
		return err
	})
	if err == nil && head.chunks.count != 0 {
		tx.stale = append(tx.stale, head.chunks)
	}
	for group := keep; err == nil && group < head.sums; group++ {
		err = tx.delete(tx.keep(sumsKey(tx.room(13), ino, group)))
	}
	return err
}

// Sums returns the checksums of a group of blocks, nil if nothing is recorded.
// Only groups below Extents.Sums may be.
func (tx *Tx) Sums(ino Ino, group uint32) (s Sums, err error) {
	tx.scratch = sumsKey(tx.scratch[:0], ino, group)
	_, err = tx.get(tx.scratch, func(v []byte) (err error) {
		s, err = decodeSums(v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal: checksums of inode %d: %w", ino, err)
	}
	return s, nil
}

// PutSums sets the checksums of a group of blocks; none remove the record. s
// is not kept. Extents.Sums must be put, too, if the group is not below it.
func (tx *Tx) PutSums(ino Ino, group uint32, s Sums) error {
	key := tx.keep(sumsKey(tx.room(13), ino, group))
	var err error
	if len(s) == 0 {
		err = tx.delete(key)
	} else {
		err = tx.set(key, tx.keep(appendSums(tx.room(16+8*len(s)), s)))
	}
	if err != nil {
		return fmt.Errorf("journal: checksums of inode %d: %w", ino, err)
	}
	return nil
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
