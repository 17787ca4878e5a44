package journal_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/moorfs/moorfs/cache/journal"
)

var home = journal.Identity{Endpoint: "https://s3.example", Bucket: "b", Prefix: "p/"}

func options(t *testing.T, dir string) journal.Options {
	return journal.Options{Dir: dir, Identity: home, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// open opens the journal in dir; the test closes it.
func open(t *testing.T, dir string) (*journal.DB, journal.Start) {
	t.Helper()
	db, start, err := journal.Open(options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return db, start
}

// temp opens a new journal that is closed with the test.
func temp(t *testing.T) *journal.DB {
	t.Helper()
	db, _ := open(t, filepath.Join(t.TempDir(), "db"))
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, db *journal.DB, fn func(tx *journal.Tx) error) {
	t.Helper()
	must(t, db.Update("tested", fn))
}

func view(t *testing.T, db *journal.DB, fn func(tx *journal.Tx) error) {
	t.Helper()
	must(t, db.View(fn))
}

func TestStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, start := open(t, dir)
	if !start.Fresh || start.Clean || start.SameBoot || start.Boot != journal.BootID() || start.Boot == "" {
		t.Errorf("a new journal starts as %+v", start)
	}
	must(t, db.Close())
	must(t, db.Close())
	if err := db.Update("late", func(*journal.Tx) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("an update after Close gives %v", err)
	}
	if err := db.View(func(*journal.Tx) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("a view after Close gives %v", err)
	}

	db, start = open(t, dir)
	if start.Fresh || !start.Clean || !start.SameBoot {
		t.Errorf("a journal that was closed starts as %+v", start)
	}
	if _, _, err := journal.Open(options(t, dir)); err == nil || errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a journal that is in use is opened again: %v", err)
	}
	must(t, db.Close())
}

func TestOtherBucketIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	must(t, db.Close())
	for _, other := range []journal.Identity{
		{Endpoint: "https://other.example", Bucket: "b", Prefix: "p/"},
		{Endpoint: home.Endpoint, Bucket: "c", Prefix: "p/"},
		{Endpoint: home.Endpoint, Bucket: "b", Prefix: ""},
	} {
		o := options(t, dir)
		o.Identity = other
		_, _, err := journal.Open(o)
		var refused *journal.OtherBucketError
		if !errors.As(err, &refused) || refused.Have != home || refused.Want != other {
			t.Errorf("opened for %v: %v", other, err)
		}
	}
	db, start := open(t, dir)
	if !start.Clean {
		t.Error("a refused open left its mark")
	}
	must(t, db.Close())
}

// raw sets a record behind the journal's back.
func raw(t *testing.T, dir string, key, value []byte) {
	t.Helper()
	b, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	must(t, err)
	must(t, b.Update(func(txn *badger.Txn) error { return txn.Set(key, value) }))
	must(t, b.Close())
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	must(t, db.Close())
	raw(t, dir, []byte("Z"), []byte{9, 2, 1, 2, 3})
	_, _, err := journal.Open(options(t, dir))
	var newer *journal.FormatError
	if !errors.As(err, &newer) || newer.Have != 2 || errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a journal of format 2 gives %v", err)
	}
}

func TestDamage(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(t *testing.T, dir string)
	}{
		{"manifest", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("no manifest at all"), 0o600))
		}},
		{"missing table", func(t *testing.T, dir string) {
			tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
			must(t, err)
			if len(tables) == 0 {
				t.Fatal("no table to remove")
			}
			must(t, os.Remove(tables[0]))
		}},
		{"state", func(t *testing.T, dir string) { raw(t, dir, []byte("Z"), []byte{1}) }},
		{"empty state", func(t *testing.T, dir string) { raw(t, dir, []byte("Z"), nil) }},
		{"number", func(t *testing.T, dir string) { raw(t, dir, []byte("N"), []byte{7}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			db, _ := open(t, dir)
			must(t, db.Close())
			tc.harm(t, dir)
			if _, _, err := journal.Open(options(t, dir)); !errors.Is(err, journal.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}

func TestRecordsWithoutStateAreDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	must(t, os.MkdirAll(dir, 0o700))
	raw(t, dir, []byte("O12345678"), []byte{1})
	if _, _, err := journal.Open(options(t, dir)); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

func TestDamagedRecordIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	must(t, db.Close())
	raw(t, dir, []byte("I\x00\x00\x00\x00\x00\x00\x00\x0c"), []byte{1, 1, 1})
	db, _ = open(t, dir)
	err := db.View(func(tx *journal.Tx) error {
		_, _, err := tx.Inode(12)
		return err
	})
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "inode 12") {
		t.Errorf("a damaged inode gives %v", err)
	}
	must(t, db.Close())
}

func TestDirectoryThatCannotBeMadeIsNoDamage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, _, err := journal.Open(options(t, filepath.Join(file, "db"))); err == nil || errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestNumbersAreNeverHandedOutTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	last := journal.Root
	for range 3 {
		db, _ := open(t, dir)
		for range 5000 {
			ino, err := db.NextIno()
			must(t, err)
			if ino <= last {
				t.Fatalf("%d comes after %d", ino, last)
			}
			last = ino
		}
		must(t, db.Close())
	}
}

func TestBallast(t *testing.T) {
	dir := t.TempDir()
	o := options(t, filepath.Join(dir, "db"))
	o.Ballast = 1 << 20
	db, _, err := journal.Open(o)
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, "ballast"))
	must(t, err)
	if info.Size() != o.Ballast {
		t.Errorf("the ballast has %d bytes, want %d", info.Size(), o.Ballast)
	}
	must(t, db.Collect())
	must(t, db.Close())
	if err := db.Collect(); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Collect after Close gives %v", err)
	}

	// More than any disk has free: the reserve is given up, and that is
	// still not enough.
	var log bytes.Buffer
	o.Ballast = 1 << 60
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	must(t, os.Truncate(filepath.Join(dir, "ballast"), 0))
	if _, _, err := journal.Open(o); !errors.Is(err, journal.ErrFull) {
		t.Errorf("a full disk gives %v", err)
	}
}

// A power cut during a visit is no damage: what was journalled last is not there,
// but the mark of the journal's end may be.
func TestPowerCutDuringAVisit(t *testing.T) {
	before, after := t.TempDir(), t.TempDir()
	db, _ := open(t, filepath.Join(before, "db"))
	must(t, db.Close())
	must(t, os.CopyFS(after, os.DirFS(before))) // what is on the disk
	o := options(t, filepath.Join(before, "db"))
	o.Visit = true
	visit, _, err := journal.Open(o)
	must(t, err)
	update(t, visit, func(tx *journal.Tx) error { return tx.PutInode(5, &journal.Inode{}) })
	mark, err := os.ReadFile(filepath.Join(before, "journal.end")) // what the kernel may have written
	must(t, err)
	must(t, os.WriteFile(filepath.Join(after, "journal.end"), mark, 0o600))
	o = options(t, filepath.Join(after, "db"))
	o.Boot = "another"
	db, start, err := journal.Open(o)
	must(t, err)
	if !start.Clean {
		t.Error("the end of the last user is forgotten")
	}
	must(t, errors.Join(db.Close(), visit.Close()))
	db, _ = open(t, filepath.Join(before, "db"))
	must(t, db.Close())
}
