package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	mendNote  = "mend"
	mendPiece = 256 << 10
	// mendMost is more than a memtable holds.
	mendMost = 48
	// mendWait bounds how long Mend waits for badger to make tables of logs.
	mendWait = 10 * time.Second
)

// Mend makes Sync work again after it has failed, once the disk works: nil if
// there is nothing to mend. What the kernel did not write of the logs it calls
// written, so they are not synced once more but replaced: their memtable, which
// has all that they should hold, is filled up, and badger makes a synced table
// of it. One call at a time; an error says that it is to be tried again.
func (db *DB) Mend() error {
	g := &db.syncs
	g.mu.Lock()
	broken := g.broken
	g.mu.Unlock()
	if broken == nil {
		return nil
	}
	if err := db.replaceLogs(); err != nil {
		return fmt.Errorf("journal: mend: %w", err)
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	if err := db.syncLogs(); err != nil {
		db.suspect = nil // these too
		return err
	}
	g.mu.Lock()
	g.broken = nil
	g.mu.Unlock()
	db.suspect = nil
	return nil
}

// replaceLogs returns when the logs that were there when it was first called
// after a failure are tables.
func (db *DB) replaceLogs() error {
	if db.suspect == nil {
		logs, err := filepath.Glob(filepath.Join(db.dir, "*.mem"))
		if err != nil {
			return err
		}
		db.suspect = logs
		if err := db.fillMemtable(); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(mendWait); !db.replaced(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the logs cannot be made tables yet")
		}
	}
	return nil
}

// fillMemtable writes until badger has put the memtable in use aside.
func (db *DB) fillMemtable() error {
	junk := make([]byte, mendPiece)
	newest := ""
	if len(db.suspect) > 0 {
		newest = slices.Max(db.suspect)
	}
	for range mendMost {
		if err := db.Update("mended", func(tx *Tx) error { return tx.PutNote(mendNote, junk) }); err != nil {
			db.suspect = nil
			return err
		}
		logs, err := filepath.Glob(filepath.Join(db.dir, "*.mem"))
		if err == nil && len(logs) > 0 && slices.Max(logs) > newest {
			break
		}
	}
	return db.Update("mended", func(tx *Tx) error { return tx.PutNote(mendNote, nil) })
}

// replaced reports whether no suspect log is left.
func (db *DB) replaced() bool {
	return !slices.ContainsFunc(db.suspect, func(path string) bool {
		_, err := os.Lstat(path)
		return !errors.Is(err, fs.ErrNotExist)
	})
}
