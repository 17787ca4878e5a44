package semantics

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// checkFault has each transaction panic once, before it is made.
func checkFault(t *testing.T, s *stage) {
	trigger := filepath.Join(harness.Dir(t), "panic")
	m := mountOf(t, s.S3, harness.Spec{Source: "s3://" + s.Bucket + "/fault", Build: harness.Crashpoints,
		Env: []string{"MOORFS_PANIC_WHILE=" + trigger}, Options: []string{"--write-back", "1h"}})
	open, err := os.Create(m.Path("open"))
	ok(t, err)
	defer open.Close()
	write(t, trigger, "")
	fails(t, os.Mkdir(m.Path("made"), 0o755), syscall.EIO)
	ok(t, os.Remove(trigger))
	ok(t, os.Mkdir(m.Path("made"), 0o755))
	_, err = open.WriteString("goes on")
	ok(t, err)
	ok(t, open.Close())
	holds(t, m.Path("open"), "goes on")
	eventually(t, "the log to say what failed", func() bool {
		log := m.Log()
		return strings.Contains(log, "panic in a request") && strings.Contains(log, "operation=mkdir")
	})
}
