package journal_test

import (
	"reflect"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

// The checksums of a file go with its extents, and those of its end when they
// are said to be fewer.
func TestSumsGoWithTheirExtents(t *testing.T) {
	db := temp(t)
	put := func(groups uint32, sums map[uint32]journal.Sums) {
		t.Helper()
		update(t, db, func(tx *journal.Tx) error {
			for g, s := range sums {
				if err := tx.PutSums(7, g, s); err != nil {
					return err
				}
			}
			return tx.PutExtents(7, &journal.Extents{Sums: groups})
		})
	}
	is := func(groups uint32, want map[uint32]journal.Sums) {
		t.Helper()
		view(t, db, func(tx *journal.Tx) error {
			e, found, err := tx.Extents(7)
			if err != nil || found && e.Sums != groups {
				t.Fatalf("extents %+v, %v, want %d groups", e, err, groups)
			}
			for g := range uint32(4) {
				s, err := tx.Sums(7, g)
				if err != nil || !reflect.DeepEqual(s, want[g]) {
					t.Fatalf("group %d: %v, %v, want %v", g, s, err, want[g])
				}
			}
			return nil
		})
	}
	a, b := journal.Sums{{Len: 5, CRC: 1}}, journal.Sums{{}, {Len: journal.SumBlock, CRC: 1 << 31}}
	put(3, map[uint32]journal.Sums{0: a, 2: b})
	is(3, map[uint32]journal.Sums{0: a, 2: b})
	put(3, map[uint32]journal.Sums{0: nil})
	is(3, map[uint32]journal.Sums{2: b})
	put(1, map[uint32]journal.Sums{0: b})
	is(1, map[uint32]journal.Sums{0: b})
	put(3, nil)
	is(3, map[uint32]journal.Sums{0: b})
	update(t, db, func(tx *journal.Tx) error { return tx.DeleteExtents(7) })
	is(0, nil)
}
