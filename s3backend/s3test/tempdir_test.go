package s3test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLeftoversAreRemovedAndDirectoriesInUseAreNot(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	used, err := newTempDir()
	if err != nil {
		t.Fatal(err)
	}
	left, err := newTempDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := left.held.Close(); err != nil { // as if its process had died
		t.Fatal(err)
	}
	young, err := os.MkdirTemp(tempParent(), tempPattern)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(young, holdName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{used.path, left.path} {
		old := time.Now().Add(-2 * tempGrace)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	removeLeftovers(tempParent())
	for path, want := range map[string]bool{used.path: true, left.path: false, young: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if err := used.remove(); err != nil {
		t.Error(err)
	}
}
