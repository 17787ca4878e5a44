package journal_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

// dirtyLogs returns how many kilobytes of the mapped logs in dir are not on
// the disk, from /proc/self/smaps.
func dirtyLogs(t *testing.T, dir string) int {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	must(t, err)
	defer func() { must(t, f.Close()) }()
	sum, inLog := 0, false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		field, rest, _ := strings.Cut(line, ":")
		switch {
		case strings.Contains(field, "-"): // addresses of the next mapping
			inLog = strings.Contains(line, dir) && strings.Contains(line, ".mem")
		case inLog && (field == "Private_Dirty" || field == "Shared_Dirty"):
			var kb int
			_, err := fmt.Sscan(rest, &kb)
			must(t, err)
			sum += kb
		}
	}
	must(t, lines.Err())
	return sum
}

// TestSyncCoversARotatedLog syncs at the moment when one log has been rotated
// out and is not a table yet, which is what badger's own Sync misses.
func TestSyncCoversARotatedLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	defer func() { must(t, db.Close()) }()
	var st syscall.Statfs_t
	must(t, syscall.Statfs(dir, &st))
	if tmpfs := int64(0x01021994); st.Type == tmpfs {
		t.Skip("memory is never written back to tmpfs")
	}
	note := make([]byte, 300<<10)
	for i := range 1000 {
		update(t, db, func(tx *journal.Tx) error { return tx.PutNote(fmt.Sprint(i), note) })
		logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
		must(t, err)
		if len(logs) < 2 {
			continue
		}
		if before := dirtyLogs(t, dir); before < 1<<10 {
			continue // already written back or turned into a table: nothing to be seen
		}
		must(t, db.Sync())
		if after := dirtyLogs(t, dir); after != 0 {
			t.Errorf("%d KiB of logs are not on the disk after Sync, with the logs %v", after, logs)
		}
		return
	}
	t.Fatal("no log was ever seen rotated")
}

// TestSyncByManyCallers has callers share syncs while logs are rotated.
func TestSyncByManyCallers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	const workers, each = 8, 40
	note := []byte(strings.Repeat("n", 200<<10)) // in all four times a memtable
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				err := db.Update("noted", func(tx *journal.Tx) error {
					return tx.PutNote(fmt.Sprint(w, "-", i), note)
				})
				if err == nil {
					err = db.Sync()
				}
				if err != nil {
					t.Errorf("worker %d, note %d: %v", w, i, err)
					return
				}
			}
		})
	}
	group.Wait()
	if size := db.Size(); size < workers*each*int64(len(note)) {
		t.Errorf("takes %d bytes of disk, holds %d", size, workers*each*len(note))
	}
	must(t, db.Close())
	db, _ = open(t, dir)
	view(t, db, func(tx *journal.Tx) error {
		for w := range workers {
			for i := range each {
				got, found, err := tx.Note(fmt.Sprint(w, "-", i))
				if err != nil || !found || string(got) != string(note) {
					return fmt.Errorf("worker %d, note %d: %v, %w", w, i, found, err)
				}
			}
		}
		return nil
	})
	must(t, db.Close())
}

func TestSyncFailsAfterAFailureUntilItIsMended(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	must(t, db.Mend()) // nothing to do
	update(t, db, func(tx *journal.Tx) error { return tx.PutNote("a", []byte("note")) })
	stray := filepath.Join(dir, "99999x.mem")
	must(t, os.WriteFile(stray, nil, 0o600))
	if err := db.Sync(); err == nil {
		t.Error("a log that cannot be told is synced")
	}
	logs, err := filepath.Glob(filepath.Join(dir, "0*.mem"))
	must(t, err)
	must(t, os.Remove(stray))
	if err := db.Sync(); err == nil {
		t.Error("a sync after one that failed says that all is well")
	}
	must(t, db.Mend())
	must(t, db.Sync())
	for _, log := range logs {
		if _, err := os.Stat(log); err == nil {
			t.Errorf("%s, which the disk may lack, is still there", log)
		}
	}
	must(t, db.Close())
	db, start := open(t, dir)
	if start.Fresh || !start.Clean {
		t.Errorf("found %+v", start)
	}
	view(t, db, func(tx *journal.Tx) error {
		if note, _, err := tx.Note("a"); err != nil || string(note) != "note" {
			t.Errorf("%q, %v", note, err)
		}
		return nil
	})
	must(t, db.Close())
}

func TestCloseAfterASyncThatFailed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db, _ := open(t, dir)
	stray := filepath.Join(dir, "stray.mem")
	must(t, os.WriteFile(stray, nil, 0o600))
	if err := db.Sync(); err == nil {
		t.Error("a log that cannot be told is synced")
	}
	must(t, os.Remove(stray))
	if err := db.Close(); err == nil {
		t.Error("Close says that all is durable after a failed sync")
	}
	db, start := open(t, dir)
	if start.Fresh {
		t.Error("nothing is left")
	}
	must(t, db.Close())
}
