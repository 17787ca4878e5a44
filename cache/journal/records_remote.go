package journal

import (
	"fmt"

	"github.com/moorfs/moorfs/s3backend"
)

// Row returns the row of a key, nil if there is none.
func (tx *Tx) Row(key string) (*Row, bool, error) {
	var r *Row
	tx.scratch = textKey(tx.scratch[:0], letterRow, key)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		r, err = decodeRow(v)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("journal: row of key %q: %w", key, err)
	}
	return r, found, nil
}

// PutRow sets the row of a key; r is not kept.
func (tx *Tx) PutRow(key string, r *Row) error {
	k := tx.keep(textKey(tx.room(1+len(key)), letterRow, key))
	if err := tx.set(k, tx.keep(appendRow(tx.room(128), r))); err != nil {
		return fmt.Errorf("journal: row of key %q: %w", key, err)
	}
	return nil
}

// DeleteRow removes the row of a key.
func (tx *Tx) DeleteRow(key string) error {
	if err := tx.delete(tx.keep(textKey(tx.room(1+len(key)), letterRow, key))); err != nil {
		return fmt.Errorf("journal: row of key %q: %w", key, err)
	}
	return nil
}

// Rows walks the rows of the keys that begin with prefix.
func (tx *Tx) Rows(prefix string, fn func(key string, r *Row) error) error {
	return tx.walk(scan{prefix: textKey(nil, letterRow, prefix)}, func(k, value []byte) error {
		key := string(k[1:])
		r, err := decodeRow(value)
		if err != nil {
			return fmt.Errorf("journal: row of key %q: %w", key, err)
		}
		return fn(key, r)
	})
}

// Attributes returns what a HEAD said of the version of the object at key that
// has this ETag and time of modification (ns since 1970).
func (tx *Tx) Attributes(key string, etag s3backend.ETag, modified int64) (Attributes, bool, error) {
	var a *attributesRecord
	tx.scratch = textKey(tx.scratch[:0], letterAttributes, key)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		a, err = decodeAttributes(v)
		return err
	})
	if err != nil {
		return Attributes{}, false, fmt.Errorf("journal: attributes of key %q: %w", key, err)
	}
	if !found || a.etag != etag || a.modified != modified {
		return Attributes{}, false, nil
	}
	return a.Attributes, true, nil
}

// PutAttributes keeps what a HEAD said of one version of the object at key,
// in place of any other version.
func (tx *Tx) PutAttributes(key string, etag s3backend.ETag, modified int64, a Attributes) error {
	k := tx.keep(textKey(tx.room(1+len(key)), letterAttributes, key))
	r := attributesRecord{put: tx.db.stamp(), etag: etag, modified: modified, Attributes: a}
	if err := tx.set(k, tx.keep(appendAttributes(tx.room(256), &r))); err != nil {
		return fmt.Errorf("journal: attributes of key %q: %w", key, err)
	}
	return nil
}

// PutConflict records a parked file; when is in ns since 1970.
func (tx *Tx) PutConflict(when int64, ino Ino, c Conflict) error {
	key := tx.keep(conflictKey(tx.room(17), when, ino))
	if err := tx.set(key, tx.keep(appendConflict(tx.room(256), &c))); err != nil {
		return fmt.Errorf("journal: conflict of inode %d: %w", ino, err)
	}
	return nil
}

// DeleteConflict removes the record that PutConflict made.
func (tx *Tx) DeleteConflict(when int64, ino Ino) error {
	if err := tx.delete(tx.keep(conflictKey(tx.room(17), when, ino))); err != nil {
		return fmt.Errorf("journal: conflict of inode %d: %w", ino, err)
	}
	return nil
}

// Conflicts walks all conflicts, the oldest first.
func (tx *Tx) Conflicts(fn func(when int64, ino Ino, c Conflict) error) error {
	return tx.walk(scan{prefix: []byte{letterConflict}}, func(key, value []byte) error {
		when, rest, err := keyNumber(key)
		var ino uint64
		if err == nil {
			// The rest is one more number; keyNumber skips a letter.
			ino, _, err = keyNumber(append([]byte{letterConflict}, rest...))
		}
		if err != nil {
			return fmt.Errorf("journal: conflicts: %w", err)
		}
		c, err := decodeConflict(value)
		if err != nil {
			return fmt.Errorf("journal: conflict of inode %d: %w", ino, err)
		}
		return fn(int64(when), Ino(ino), c)
	})
}

// PutOrphan remembers an inode that has no name any more but is open, so that
// it is collected after a crash.
func (tx *Tx) PutOrphan(ino Ino) error {
	key := tx.keep(numberKey(tx.room(9), letterOrphan, ino))
	if err := tx.set(key, tx.keep(append(tx.room(1), recordVersion))); err != nil {
		return fmt.Errorf("journal: orphan %d: %w", ino, err)
	}
	return nil
}

// Orphan reports whether PutOrphan remembered an inode.
func (tx *Tx) Orphan(ino Ino) (bool, error) {
	tx.scratch = numberKey(tx.scratch[:0], letterOrphan, ino)
	found, err := tx.get(tx.scratch, func([]byte) error { return nil })
	if err != nil {
		return false, fmt.Errorf("journal: orphan %d: %w", ino, err)
	}
	return found, nil
}

// DeleteOrphan forgets what PutOrphan remembered.
func (tx *Tx) DeleteOrphan(ino Ino) error {
	if err := tx.delete(tx.keep(numberKey(tx.room(9), letterOrphan, ino))); err != nil {
		return fmt.Errorf("journal: orphan %d: %w", ino, err)
	}
	return nil
}

// Orphans walks the inodes that PutOrphan remembered.
func (tx *Tx) Orphans(fn func(ino Ino) error) error {
	return tx.walk(scan{prefix: []byte{letterOrphan}, keysOnly: true}, func(key, _ []byte) error {
		n, _, err := keyNumber(key)
		if err != nil {
			return fmt.Errorf("journal: orphans: %w", err)
		}
		return fn(Ino(n))
	})
}

// Note returns a small fact that PutNote kept.
func (tx *Tx) Note(name string) ([]byte, bool, error) {
	var note []byte
	tx.scratch = textKey(tx.scratch[:0], letterNote, name)
	found, err := tx.get(tx.scratch, func(v []byte) error {
		d := decode(v)
		note = []byte(d.string())
		return d.done()
	})
	if err != nil {
		return nil, false, fmt.Errorf("journal: note %q: %w", name, err)
	}
	return note, found, nil
}

// PutNote keeps a small fact beyond this mount, in place of an earlier one of
// that name.
func (tx *Tx) PutNote(name string, note []byte) error {
	key := tx.keep(textKey(tx.room(1+len(name)), letterNote, name))
	value := tx.keep(appendString(append(tx.room(16+len(note)), recordVersion), note))
	if err := tx.set(key, value); err != nil {
		return fmt.Errorf("journal: note %q: %w", name, err)
	}
	return nil
}
