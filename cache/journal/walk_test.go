package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

func names(t *testing.T, tx *journal.Tx, parent journal.Ino, after string, limit int) []string {
	t.Helper()
	var got []string
	must(t, tx.Dirents(parent, after, func(name string, d journal.Dirent) error {
		if d != (journal.Dirent{Ino: 8, Kind: journal.File}) {
			t.Errorf("%q is %+v", name, d)
		}
		got = append(got, name)
		if len(got) == limit {
			return journal.Stop
		}
		return nil
	}))
	return got
}

func TestDirentsInByteOrder(t *testing.T) {
	db := temp(t)
	all := []string{"\x00", "\x00\x00", " ", "A", "a", "a\x00", "a\x01", "aa", "b", "\xc3\xa9", "\xff", "\xff\xff"}
	update(t, db, func(tx *journal.Tx) error {
		var errs []error
		for _, n := range slices.Backward(all) {
			errs = append(errs, tx.PutDirent(5, n, journal.Dirent{Ino: 8, Kind: journal.File}))
		}
		for _, beside := range []journal.Ino{4, 6, 5 << 8} {
			errs = append(errs, tx.PutDirent(beside, "of others", journal.Dirent{}))
		}
		return errors.Join(errs...)
	})
	view(t, db, func(tx *journal.Tx) error {
		if got := names(t, tx, 5, "", 0); !slices.Equal(got, all) {
			t.Errorf("got %q, want %q", got, all)
		}
		for i, n := range all {
			if got := names(t, tx, 5, n, 0); !slices.Equal(got, all[i+1:]) {
				t.Errorf("after %q: got %q, want %q", n, got, all[i+1:])
			}
		}
		if got := names(t, tx, 5, "ab", 2); !slices.Equal(got, []string{"b", "\xc3\xa9"}) {
			t.Errorf("two after a missing name: %q", got)
		}
		for dir, want := range map[journal.Ino]bool{5: true, 4: true, 7: false, 0: false} {
			if has, err := tx.HasDirents(dir); has != want || err != nil {
				t.Errorf("directory %d has names: %v, %v", dir, has, err)
			}
		}
		return nil
	})
}

func TestWalkEndsWithTheErrorOfItsFunction(t *testing.T) {
	db := temp(t)
	update(t, db, func(tx *journal.Tx) error {
		return errors.Join(tx.PutDirent(5, "a", journal.Dirent{}), tx.PutDirent(5, "b", journal.Dirent{}))
	})
	cause := errors.New("cause")
	calls := 0
	err := db.View(func(tx *journal.Tx) error {
		return tx.Dirents(5, "", func(string, journal.Dirent) error {
			calls++
			return cause
		})
	})
	if !errors.Is(err, cause) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

// TestWalkLongerThanABatch also walks within a walk and changes what it walks,
// in a transaction that holds part of the records only in memory.
func TestWalkLongerThanABatch(t *testing.T) {
	db := temp(t)
	const n = 5000
	name := func(i int) string { return fmt.Sprintf("%06d", i) }
	for half := range 2 {
		put := func(tx *journal.Tx) error {
			for i := half; i < n; i += 2 {
				if err := tx.PutDirent(5, name(i), journal.Dirent{Ino: journal.Ino(i)}); err != nil {
					return err
				}
			}
			return nil
		}
		if half == 0 {
			update(t, db, put)
			continue
		}
		update(t, db, func(tx *journal.Tx) error {
			if err := put(tx); err != nil {
				return err
			}
			at := 0
			err := tx.Dirents(5, "", func(got string, d journal.Dirent) error {
				if got != name(at) || d.Ino != journal.Ino(at) {
					return fmt.Errorf("%q is %d at %d", got, d.Ino, at)
				}
				at++
				if has, err := tx.HasDirents(5); !has || err != nil {
					return fmt.Errorf("within a walk: %v, %w", has, err)
				}
				if at%3 == 0 {
					return tx.DeleteDirent(5, got)
				}
				return nil
			})
			if err == nil && at != n {
				err = fmt.Errorf("walked %d of %d", at, n)
			}
			return err
		})
	}
	view(t, db, func(tx *journal.Tx) error {
		left := 0
		err := tx.Dirents(5, "", func(string, journal.Dirent) error { left++; return nil })
		if want := n - n/3; left != want {
			t.Errorf("%d names are left, want %d", left, want)
		}
		return err
	})
}

func TestInodesAndRows(t *testing.T) {
	db := temp(t)
	update(t, db, func(tx *journal.Tx) error {
		return errors.Join(tx.PutInode(300, anyInode()), tx.PutInode(2, &journal.Inode{Name: "two"}),
			tx.PutRow("a", anyRow()), tx.PutRow("a/b", anyRow()), tx.PutRow("a/", &journal.Row{Error: "slash"}), tx.PutRow("b", anyRow()), tx.DeleteRow("a"))
	})
	var got []string
	view(t, db, func(tx *journal.Tx) error {
		err := tx.Inodes(func(ino journal.Ino, i *journal.Inode) error {
			got = append(got, fmt.Sprintf("%d %q", ino, i.Name))
			return nil
		})
		for _, prefix := range []string{"", "a/"} {
			err = errors.Join(err, tx.Rows(prefix, func(key string, r *journal.Row) error {
				got = append(got, key+" "+r.Error)
				return nil
			}))
		}
		return err
	})
	want := []string{`2 "two"`, `300 "n\x00\xff%"`, "a/ slash", "a/b why", "b why", "a/ slash", "a/b why"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
