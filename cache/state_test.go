package cache

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

// TestStateTable prints the table as setState carries it out and compares it
// with the one that was reviewed.
func TestStateTable(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-17s", "")
	for s := journal.Clean; s <= journal.Orphan; s++ {
		fmt.Fprintf(&b, "%-11s", stateNames[s])
	}
	b.WriteByte('\n')
	for e := range eventCount {
		fmt.Fprintf(&b, "%-17s", e)
		for s := journal.Clean; s <= journal.Orphan; s++ {
			rec := &journal.Inode{State: s, Name: "x"}
			next := "·"
			if err := setState(rec, e); err != nil {
				next = "–"
			} else if rec.State != s {
				next = stateNames[rec.State]
			}
			fmt.Fprintf(&b, "%-11s", next)
		}
		b.WriteByte('\n')
	}
	const golden = "testdata/states.txt"
	if *updateGolden {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table of transitions is\n%s\nnot as in %s\n%s", b.String(), golden, want)
	}
}

func TestStateOfNoInodeIsRefused(t *testing.T) {
	if err := setState(&journal.Inode{}, changed); err == nil {
		t.Error("an inode without a state changes it")
	}
}
