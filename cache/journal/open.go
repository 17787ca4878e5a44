package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// RecommendedBallast is the least size of a ballast that keeps badger from
// meeting a full disk.
const RecommendedBallast = 96 << 20

// Options say which journal to open.
type Options struct {
	Dir      string // of the database; made if it is missing
	Identity Identity
	Log      *slog.Logger
	Visit    bool   // look at the journal, and mend it, without becoming its user: whoever's it is (Identity is of no interest), what Start says next time stays as it is; ErrNone if there is none
	Boot     string // id of the kernel's boot; empty: BootID
	Ballast  int64  // bytes of a file "ballast" beside Dir that is given up when the disk is full, see RecommendedBallast; 0: none, and free space is not watched
}

// Start says in what state Open found the journal.
type Start struct {
	Fresh    bool   // there was none
	Clean    bool   // Close ended it in order
	SameBoot bool   // the kernel has run ever since it was last open
	Boot     string // id of this boot
}

// Open opens or makes a journal, for this process alone, and marks it durably
// as in use. It fails with *OtherBucketError if it belongs elsewhere, with
// *FormatError if it is too new, and with an error that wraps ErrDamaged if it
// cannot be read. Other errors, as of permissions or a full disk, say nothing
// about the journal.
func Open(o Options) (*DB, Start, error) {
	start := Start{Boot: cmp.Or(o.Boot, BootID())}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "MANIFEST")); o.Visit && errors.Is(err, fs.ErrNotExist) {
		return nil, start, fmt.Errorf("journal: open %q: %w", o.Dir, ErrNone)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, start, fmt.Errorf("journal: open: %w", err)
	}
	b := newBallast(filepath.Join(filepath.Dir(o.Dir), "ballast"), o.Ballast, o.Log)
	if err := b.beforeOpen(); err != nil {
		return nil, start, fmt.Errorf("journal: open: %w", err)
	}
	if err := removeHalfMade(o.Dir); err != nil {
		return nil, start, fmt.Errorf("journal: open: %w", err)
	}
	bdb, err := openBadger(o)
	if err != nil {
		return nil, start, fmt.Errorf("journal: open %q: %w", o.Dir, err)
	}
	db := &DB{dir: o.Dir, log: o.Log, badger: bdb, ballast: b, visit: o.Visit}
	begin := db.begin
	if o.Visit {
		begin = db.beginVisit
	}
	if err := db.end.open(filepath.Join(filepath.Dir(o.Dir), endMarkName)); err != nil {
		o.Log.Warn("journal: damage of its end will not be noticed", "error", err)
	}
	if err := begin(o.Identity, &start); err != nil {
		// Closing what could not be begun must not mark it as clean.
		return nil, start, errors.Join(fmt.Errorf("journal: open %q: %w", o.Dir, err), bdb.Close(), db.end.close())
	}
	if !o.Visit {
		b.fill()
	}
	return db, start, nil
}

// Close marks the journal as closed in order, durably. No other method may be
// running or come later; a second Close does nothing. With ErrFull the disk has
// no room for it: all is there, as after a kill, and stays locked while this
// process lives.
func (db *DB) Close() error {
	if db.badger.IsClosed() {
		return nil
	}
	if err := db.ballast.beforeClose(); err != nil {
		return fmt.Errorf("journal: close: %w", errors.Join(err, db.Sync()))
	}
	var err error
	if !db.visit {
		err = db.commit("closed", func(tx *Tx) error {
			s, _, err := tx.state()
			if err != nil {
				return err
			}
			s.clean = true
			return tx.putState(s)
		})
	}
	// The mark says that all before it is on disk, hence comes only with it.
	if err = errors.Join(err, db.Sync()); err == nil && db.visit {
		db.end.release()
	}
	if closing := db.badger.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("journal: close: %w", closing))
	}
	// Badger has turned its logs into tables, whose names must survive as well.
	return errors.Join(err, syncDir(db.dir), db.end.close())
}

// begin compares the journal with what is asked for and marks it as in use.
func (db *DB) begin(want Identity, start *Start) error {
	if err := db.View(func(tx *Tx) error { return db.checkEnd(tx, start.Boot) }); err != nil {
		return err
	}
	db.end.hold()
	err := db.Update("opened", func(tx *Tx) error {
		s, found, err := tx.state()
		if err != nil {
			return err
		}
		if !found {
			if err := tx.mustBeEmpty(); err != nil {
				return err
			}
			s = &state{identity: want}
			start.Fresh = true
		}
		if s.identity != want {
			return &OtherBucketError{Have: s.identity, Want: want}
		}
		start.Clean = s.clean
		start.SameBoot = s.boot != "" && s.boot == start.Boot
		s.clean, s.boot = false, start.Boot
		if err := tx.putState(s); err != nil {
			return err
		}
		db.inodes.next, err = tx.next()
		db.inodes.end = db.inodes.next
		return err
	})
	if err == nil {
		err = db.sweepChunks()
	}
	if err == nil {
		err = db.Sync()
	}
	if err == nil {
		db.end.release()
	}
	return err
}

// checkEnd fails if changes that were committed are missing; boot is the
// kernel's.
func (db *DB) checkEnd(tx *Tx, boot string) error {
	s, found, err := tx.state()
	if newer := new(FormatError); errors.As(err, &newer) {
		return nil // which begin says
	}
	if err != nil {
		return err
	}
	return db.end.check(tx, !found || s.clean || s.boot != "" && s.boot == boot)
}

// beginVisit only reads the marks. That of the end is not moved before all is
// durable: after an orderly close it is believed, whatever the boot.
func (db *DB) beginVisit(_ Identity, start *Start) error {
	defer db.end.hold()
	return db.View(func(tx *Tx) error {
		if err := db.checkEnd(tx, start.Boot); err != nil {
			return err
		}
		s, found, err := tx.state()
		if err != nil {
			return err
		}
		if !found {
			if err := tx.mustBeEmpty(); err != nil {
				return err
			}
			return ErrNone
		}
		db.visited = s.identity
		start.Clean = s.clean
		start.SameBoot = s.boot != "" && s.boot == start.Boot
		return nil
	})
}

// Identity returns whose journal is visited.
func (db *DB) Identity() Identity { return db.visited }

// badgerOptions keep badger small. What is not its default has a reason:
//
//   - SyncWrites off: see Sync.
//   - DetectConflicts off: callers serialise, see Update.
//   - Values never go to the value log (ValueThreshold above maxValue): its
//     space came back neither by deleting nor by collecting, and with one log
//     less there is less to make durable. It stays empty, hence its least size.
//   - No compression, so that blocks are read from the page cache and badger
//     needs no cache of its own; each is checked as it is read.
//   - Small memtables and tables, and few of them at the top: for memory, and
//     because merging tables takes their size again of the disk (ballast). A
//     transaction may hold 15 % of a memtable.
func badgerOptions(o Options) badger.Options {
	b := badger.DefaultOptions(o.Dir)
	b.Logger = badgerLog{o.Log}
	b.MetricsEnabled = false
	b.DetectConflicts = false
	b.SyncWrites = false
	b.MemTableSize = 8 << 20
	b.NumMemtables = 2
	b.BaseTableSize = 2 << 20
	b.TableSizeMultiplier = 1
	b.ValueThreshold = maxValue + 1
	b.ValueLogFileSize = 1 << 20
	b.Compression = options.None
	b.BlockCacheSize = 0
	b.IndexCacheSize = 16 << 20
	b.ChecksumVerificationMode = options.OnBlockRead
	b.NumLevelZeroTables = 2
	b.NumLevelZeroTablesStall = 4
	b.NumCompactors = 2
	return b
}

// notDamage lists what badger fails with for reasons outside its files. It
// keeps the text of most errors only, so the text is what is compared.
var notDamage = []string{
	"Cannot acquire directory lock",
	syscall.EACCES.Error(),
	syscall.EPERM.Error(),
	syscall.EROFS.Error(),
	syscall.ENOSPC.Error(),
	syscall.EDQUOT.Error(),
	syscall.EMFILE.Error(),
	syscall.ENFILE.Error(),
	syscall.ENOMEM.Error(),
	syscall.EIO.Error(),
}

// openBadger tells damage from other failures, also where badger panics.
func openBadger(o Options) (b *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	opts := badgerOptions(o)
	if err := checkTables(opts); err != nil {
		return nil, err
	}
	b, err = badger.Open(opts)
	if err == nil {
		return b, nil
	}
	for _, text := range notDamage {
		if strings.Contains(err.Error(), text) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// removeHalfMade removes log files of no length. Badger leaves one when it is
// killed between making and sizing it, or between emptying and removing it,
// and then refuses to open; there is nothing in it.
func removeHalfMade(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() != 0 {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// badgerLog hands badger's warnings and errors on; the rest is its own affair.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) { l.log.Error(line(format, args)) }

func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(line(format, args)) }

func (badgerLog) Infof(string, ...any) {}

func (badgerLog) Debugf(string, ...any) {}

func line(format string, args []any) string {
	return "journal: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}
