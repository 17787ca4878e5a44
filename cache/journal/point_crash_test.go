//go:build crashpoints

package journal_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
)

func TestPointsAroundTheCommit(t *testing.T) {
	for point, want := range map[string]int{"created:before": 0, "created:before#3": 2, "created:after#3": 3} {
		t.Run(point, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir, "MOORFS_CRASH_AT="+point)
			out, err := cmd.Output()
			if err == nil || cmd.ProcessState.String() != "signal: killed" {
				t.Fatalf("the child ended with %v, %s", cmd.ProcessState, out)
			}
			db, _ := open(t, dir)
			got := 0
			view(t, db, func(tx *journal.Tx) error {
				return tx.Inodes(func(journal.Ino, *journal.Inode) error { got++; return nil })
			})
			must(t, db.Close())
			if reported := strings.Count(fmt.Sprintf("%s", out), "\n"); got != want || reported > got {
				t.Errorf("%d inodes are there, %d were reported, want %d", got, reported, want)
			}
		})
	}
}
