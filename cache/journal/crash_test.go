package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

// childDir is the environment variable that makes the test binary a child that
// writes to the journal there until it is killed.
const childDir = "JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child prints the number of each change after it was committed. A change is
// an inode, its name and now and then long extents, all with that number.
func child(dir string) error {
	db, _, err := journal.Open(journal.Options{Dir: dir, Identity: home, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	long := anyExtents(30000)
	for {
		ino, err := db.NextIno()
		if err != nil {
			return err
		}
		err = db.Update("created", func(tx *journal.Tx) error {
			err := errors.Join(tx.PutInode(ino, &journal.Inode{Size: int64(ino)}),
				tx.PutDirent(journal.Root, strconv.Itoa(int(ino)), journal.Dirent{Ino: ino}))
			if ino%64 == 0 {
				long.Boot = strconv.Itoa(int(ino))
				err = errors.Join(err, tx.PutExtents(ino%128, long))
			}
			return err
		})
		if err != nil {
			return err
		}
		if ino%50 == 0 {
			if err := db.Sync(); err != nil {
				return err
			}
		}
		if _, err := fmt.Println(ino); err != nil {
			return err
		}
	}
}

// killed runs a child until it has reported n changes, kills it and returns
// the numbers that it reported.
func killed(t *testing.T, dir string, n int) []journal.Ino {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var done []journal.Ino
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		ino, err := strconv.Atoi(lines.Text())
		if err != nil {
			rest, _ := io.ReadAll(out)
			t.Fatalf("the child says %q%s", lines.Text(), rest)
		}
		if done = append(done, journal.Ino(ino)); len(done) == n {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child was not killed")
	}
	return done
}

func TestKilled(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	dir := filepath.Join(t.TempDir(), "db")
	var all []journal.Ino
	for round := range rounds {
		all = append(all, killed(t, dir, 1+(round*137)%900)...)
		// What badger itself can leave behind when it is killed.
		must(t, os.WriteFile(filepath.Join(dir, "90000.mem"), nil, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "090000.vlog"), nil, 0o600))

		db, start := open(t, dir)
		if start.Clean || start.Fresh || !start.SameBoot {
			t.Errorf("after a kill it starts as %+v", start)
		}
		view(t, db, func(tx *journal.Tx) error { return complete(tx, all) })
		must(t, db.Close())
	}
}

// complete checks that all reported changes are there and no other is there by
// half.
func complete(tx *journal.Tx, all []journal.Ino) error {
	for i, ino := range all {
		if i > 0 && ino <= all[i-1] {
			return fmt.Errorf("inode %d comes after %d", ino, all[i-1])
		}
		rec, found, err := tx.Inode(ino)
		if err != nil || !found || rec.Size != int64(ino) {
			return fmt.Errorf("inode %d: %v, %w", ino, found, err)
		}
	}
	names := 0
	err := tx.Dirents(journal.Root, "", func(name string, d journal.Dirent) error {
		names++
		_, found, err := tx.Inode(d.Ino)
		if err == nil && !found {
			err = fmt.Errorf("name %q has no inode", name)
		}
		return err
	})
	if err != nil {
		return err
	}
	// The last change of each round may be there without a report.
	if names < len(all) {
		return fmt.Errorf("%d names are there, %d were reported", names, len(all))
	}
	for _, ino := range []journal.Ino{0, 64} {
		if _, _, err := tx.Extents(ino); err != nil {
			return err
		}
	}
	return nil
}
