package journal_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

func BenchmarkCreate(b *testing.B) {
	db, _, err := journal.Open(journal.Options{Dir: filepath.Join(b.TempDir(), "db"), Identity: home, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rec := &journal.Inode{Kind: journal.File, State: journal.Armed, Mode: 0o644, Parent: journal.Root, Atime: 1 << 60, Mtime: 1 << 60, Ctime: 1 << 60, Btime: 1 << 60}
	for b.Loop() {
		ino, err := db.NextIno()
		if err != nil {
			b.Fatal(err)
		}
		rec.Name = strconv.Itoa(int(ino))
		err = db.Update("created", func(tx *journal.Tx) error {
			return errors.Join(tx.PutInode(ino, rec), tx.PutDirent(journal.Root, rec.Name, journal.Dirent{Ino: ino, Kind: journal.File}),
				tx.PutRow("prefix/"+rec.Name, &journal.Row{Want: journal.WantInode, Ino: ino}))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
