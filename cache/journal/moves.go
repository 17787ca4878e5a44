package journal

import "fmt"

// Move returns what is left to be done in the bucket for a directory that was
// renamed.
func (tx *Tx) Move(dir Ino) (Move, bool, error) {
	var m Move
	tx.scratch = numberKey(tx.scratch[:0], letterMove, dir)
	found, err := tx.get(tx.scratch, func(v []byte) (err error) {
		m, err = decodeMove(v)
		return err
	})
	if err != nil {
		return Move{}, false, fmt.Errorf("journal: move of directory %d: %w", dir, err)
	}
	return m, found, nil
}

// PutMove sets the record that Move returns.
func (tx *Tx) PutMove(dir Ino, m Move) error {
	key := tx.keep(numberKey(tx.room(9), letterMove, dir))
	if err := tx.set(key, tx.keep(appendMove(tx.room(64), m))); err != nil {
		return fmt.Errorf("journal: move of directory %d: %w", dir, err)
	}
	return nil
}

// DeleteMove removes the record that Move returns.
func (tx *Tx) DeleteMove(dir Ino) error {
	if err := tx.delete(tx.keep(numberKey(tx.room(9), letterMove, dir))); err != nil {
		return fmt.Errorf("journal: move of directory %d: %w", dir, err)
	}
	return nil
}

// Moves walks the directories that Move knows, by number.
func (tx *Tx) Moves(fn func(dir Ino, m Move) error) error {
	return tx.walk(scan{prefix: []byte{letterMove}}, func(key, value []byte) error {
		n, _, err := keyNumber(key)
		if err != nil {
			return fmt.Errorf("journal: moves: %w", err)
		}
		m, err := decodeMove(value)
		if err != nil {
			return fmt.Errorf("journal: move of directory %d: %w", n, err)
		}
		return fn(Ino(n), m)
	})
}
