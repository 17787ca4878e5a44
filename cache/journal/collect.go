package journal

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// collectBatch is how many records are deleted in one transaction.
const collectBatch = 1000

// Collect is called now and then. It takes back the reserve of disk space that
// was given up, when there is room again. Badger compacts its tables by
// itself, and its value log holds nothing that would have to be collected.
func (db *DB) Collect() error {
	if db.badger.IsClosed() {
		return fmt.Errorf("journal: collect: %w", ErrClosed)
	}
	db.ballast.fill()
	return nil
}

// DropAttributes removes the attributes that were put longest ago, until there
// are at most limit.
func (db *DB) DropAttributes(limit int) error {
	limit = max(limit, 0)
	oldest, err := db.attributesToDrop(limit)
	if err == nil && oldest != 0 {
		err = db.dropAttributesTo(oldest)
	}
	if err != nil {
		return fmt.Errorf("journal: drop attributes: %w", err)
	}
	return nil
}

// attributesToDrop returns the stamp of the youngest attributes that must go
// for limit to stay, 0 if none must.
func (db *DB) attributesToDrop(limit int) (int64, error) {
	var puts []int64
	err := db.View(func(tx *Tx) error {
		return tx.walk(scan{prefix: []byte{letterAttributes}}, func(_, value []byte) error {
			put, err := attributesPut(value)
			puts = append(puts, put)
			return err
		})
	})
	if err != nil || len(puts) <= limit {
		return 0, err
	}
	slices.Sort(puts)
	return puts[len(puts)-limit-1], nil
}

// dropAttributesTo removes the attributes that were put at or before a stamp,
// a batch in each transaction. Some that are put anew meanwhile may go as
// well: they are learnt again when they are needed.
func (db *DB) dropAttributesTo(oldest int64) error {
	var after []byte
	for {
		n := 0
		err := db.Update("trimmed", func(tx *Tx) error {
			s := scan{prefix: []byte{letterAttributes}, after: after}
			return tx.walk(s, func(key, value []byte) error {
				put, err := attributesPut(value)
				if err != nil {
					return err
				}
				after = slices.Clone(key)
				if put > oldest {
					return nil
				}
				if err := tx.delete(after); err != nil {
					return err
				}
				if n++; n == collectBatch {
					return Stop
				}
				return nil
			})
		})
		if err != nil || n < collectBatch {
			return err
		}
	}
}

// attributesPut returns when attributes were put, without decoding the rest.
func attributesPut(value []byte) (int64, error) {
	d := decode(value)
	put := d.int64()
	if d.bad {
		return 0, d.done()
	}
	return put, nil
}

// sweepChunks removes the chunks of extents that no record refers to: those of
// transactions that a crash prevented. Only Open may call it: in the chunks of
// a transaction that still runs it would see the same.
func (db *DB) sweepChunks() error {
	var lost [][]byte
	err := db.View(func(tx *Tx) error {
		return tx.walk(scan{prefix: []byte{letterChunk}, keysOnly: true}, func(key, _ []byte) error {
			used, err := tx.chunkInUse(key)
			if !used {
				lost = append(lost, slices.Clone(key))
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(lost, collectBatch) {
		err := db.badger.Update(func(txn *badger.Txn) error {
			for _, key := range batch {
				if err := txn.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return ofBadger(err)
		}
	}
	return nil
}

// chunkInUse reports whether the extents of the chunk's inode are made of it.
func (tx *Tx) chunkInUse(key []byte) (bool, error) {
	n, rest, err := keyNumber(key)
	if err == nil && len(rest) != 12 {
		err = fmt.Errorf("%w: chunk key %x", ErrDamaged, key)
	}
	if err != nil {
		return false, err
	}
	var head extentsHead
	tx.scratch = numberKey(tx.scratch[:0], letterExtents, n)
	_, err = tx.get(tx.scratch, func(v []byte) (err error) {
		head, err = decodeExtentsHead(Ino(n), v)
		return err
	})
	number, chunk := binary.BigEndian.Uint64(rest), binary.BigEndian.Uint32(rest[8:])
	return head.chunks.n == number && chunk < head.chunks.count, err
}
