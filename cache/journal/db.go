package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A DB is an open journal. All methods may be called concurrently, but Close,
// which comes last.
type DB struct {
	dir     string
	log     *slog.Logger
	badger  *badger.DB
	ballast *ballast
	syncs   syncGroup
	clock   atomic.Int64 // last stamp given out
	visit   bool         // see Options.Visit
	visited Identity
	end     endMark
	suspect []string // logs that Mend has to replace; its own

	inodes struct {
		mu   sync.Mutex
		next Ino // to hand out
		end  Ino // of the block that is reserved on disk
	}
}

// Update runs fn in a transaction and commits what it changed, all or nothing.
// The name says what happened, as "created"; with the build tag crashpoints
// the process can be killed at Point(name+":before") and Point(name+":after")
// of the commit. When Update returns nil the change survives the end of the
// process; see Sync for power loss. An error of fn aborts and is returned as
// it is. ErrFull says that the disk has no room; nothing was changed then.
//
// The caller serialises updates of the same records. fn may call View and
// NextIno.
func (db *DB) Update(name string, fn func(*Tx) error) error {
	return db.guarded(name, fn, db.ballast.guard)
}

// Free is Update for a change after which the caller gives space back: it may
// use part of what Update keeps free.
func (db *DB) Free(name string, fn func(*Tx) error) error {
	return db.guarded(name, fn, db.ballast.guardFreeing)
}

func (db *DB) guarded(name string, fn func(*Tx) error, guard func() error) error {
	if db.badger.IsClosed() {
		return fmt.Errorf("journal: %s: %w", name, ErrClosed)
	}
	if err := guard(); err != nil {
		return fmt.Errorf("journal: %s: %w", name, err)
	}
	return db.commit(name, fn)
}

// commit is Update without a look at the space on the disk.
func (db *DB) commit(name string, fn func(*Tx) error) error {
	tx := Tx{db: db, txn: db.badger.NewTransaction(true)}
	committed := false
	// Also if fn panics: a transaction that is never discarded would keep old
	// versions of records alive for the life of the process.
	defer func() {
		tx.txn.Discard()
		if !committed {
			db.dropChunks(tx.written)
		}
	}()
	if err := fn(&tx); err != nil {
		return err
	}
	if crashPoints {
		Point(name + ":before")
	}
	if err := db.end.commit(&tx); err != nil {
		return fmt.Errorf("journal: %s: %w", name, err)
	}
	committed = true
	if crashPoints {
		Point(name + ":after")
	}
	db.dropChunks(tx.stale)
	return nil
}

// dropChunks deletes chunks that nothing refers to. A failure costs space
// until the next Open, not the transaction.
func (db *DB) dropChunks(sets []chunkSet) {
	if err := db.deleteChunks(sets); err != nil {
		db.log.Warn("journal: chunks of extents stay on disk until the next start", "error", err)
	}
}

// View runs fn on an unchanging state of the journal. An error of fn is
// returned as it is.
func (db *DB) View(fn func(*Tx) error) error {
	if db.badger.IsClosed() {
		return fmt.Errorf("journal: view: %w", ErrClosed)
	}
	tx := Tx{db: db, txn: db.badger.NewTransaction(false), readOnly: true}
	defer tx.txn.Discard()
	return fn(&tx)
}

// inoBlock is how many inode numbers are reserved at once.
const inoBlock = 4096

// NextIno returns an inode number that was never returned before, also not
// before a crash or a power cut: data files are named by it.
func (db *DB) NextIno() (Ino, error) {
	n := &db.inodes
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == n.end {
		end := n.end + inoBlock
		err := db.Update("numbered", func(tx *Tx) error { return tx.putNext(end) })
		// A data file may reach the disk before the journal does: numbers
		// are used only once it is sure that they are not handed out again.
		if err == nil {
			err = db.Sync()
		}
		if err != nil {
			return 0, fmt.Errorf("journal: inode numbers: %w", err)
		}
		n.end = end
	}
	ino := n.next
	n.next++
	return ino, nil
}

// NumberAbove has NextIno return only numbers above ino.
func (db *DB) NumberAbove(ino Ino) error {
	n := &db.inodes
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next > ino {
		return nil
	}
	err := db.Update("numbered", func(tx *Tx) error { return tx.putNext(ino + 1) })
	if err != nil {
		return fmt.Errorf("journal: inode numbers: %w", err)
	}
	n.next, n.end = ino+1, ino+1 // the next call reserves a block behind it
	return nil
}

// putNext records that all numbers below next may have been handed out.
func (tx *Tx) putNext(next Ino) error {
	return tx.set([]byte{letterNext}, appendUint([]byte{recordVersion}, next))
}

// next returns the first number that was not handed out for sure.
func (tx *Tx) next() (Ino, error) {
	next := Root + 1
	_, err := tx.get([]byte{letterNext}, func(v []byte) error {
		d := decode(v)
		next = Ino(d.uint64())
		return d.done()
	})
	return next, err
}

// Size returns how many bytes the journal takes on the disk.
func (db *DB) Size() int64 {
	var size int64
	err := filepath.WalkDir(db.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		// Log files are sparse: what they take is not their length.
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			size += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		db.log.Warn("journal: cannot tell its size on disk", "error", err)
	}
	return size
}

// ignoreGone forgives that badger removes files while they are counted.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stamp returns the time in ns since 1970, but never the same twice.
func (db *DB) stamp() int64 {
	for {
		last := db.clock.Load()
		now := max(time.Now().UnixNano(), last+1)
		if db.clock.CompareAndSwap(last, now) {
			return now
		}
	}
}

// BootID identifies the running kernel: it changes with every boot. Where the
// kernel does not tell, it is empty, which equals no boot.
func BootID() string {
	if crashPoints {
		if id := pretendedBoot(); id != "" {
			return id
		}
	}
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// ofBadger turns badger's errors into those of this package.
func ofBadger(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, badger.ErrDBClosed), errors.Is(err, badger.ErrBlockedWrites):
		return ErrClosed
	case strings.Contains(err.Error(), "checksum"): // badger does not wrap this one
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
