package crash

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The comparison must find what is wrong: each case is a history and what a
// daemon that lost something would show.
func TestCheckFindsLoss(t *testing.T) {
	saved := payload(7, 100)
	history := []step{
		{Do: create, Name: "a"}, {Do: write, Size: 100, Len: 100, Seed: 7}, {Do: closing},
		{Do: mkdir, Name: "d"}, {Do: symlink, Name: "l", To: "a"},
		{Do: create, Name: "open"}, {Do: write, Size: 50, Len: 50, Seed: 8}, {Do: sync},
		{Do: write, Off: 50, Size: 50, Len: 50, Seed: 9},
	}
	for _, test := range []struct {
		name    string
		change  func(found *tree)
		pending *step
		want    string // in the error; empty: none
	}{
		{"nothing lost", func(*tree) {}, nil, ""},
		{"unsynced write lost", func(f *tree) { f.nodes["open"].live = f.nodes["open"].live[:50] }, nil, ""},
		{"synced write lost", func(f *tree) { f.nodes["open"].live = f.nodes["open"].live[:49] }, nil, "open was open"},
		{"synced byte zeroed", func(f *tree) { f.nodes["open"].live = make([]byte, 100) }, nil, "never there"},
		{"closed file gone", func(f *tree) { delete(f.nodes, "a") }, nil, "a is missing"},
		{"closed file gone, unlink under way", func(f *tree) { delete(f.nodes, "a") }, &step{Do: unlink, Name: "a"}, ""},
		{"closed byte changed", func(f *tree) { f.nodes["a"].live = payload(6, 100) }, nil, "differ"},
		{"closed file short", func(f *tree) { f.nodes["a"].live = saved[:40] }, nil, "40 bytes, want 100"},
		{"rename under way, done", func(f *tree) { f.nodes["b"] = f.nodes["a"]; delete(f.nodes, "a") },
			&step{Do: rename, Name: "a", To: "b"}, ""},
		{"rename under way, lost", func(f *tree) { delete(f.nodes, "a") }, &step{Do: rename, Name: "a", To: "b"}, "b is missing"},
		{"rename under way, both", func(f *tree) { f.nodes["b"] = f.nodes["a"] }, &step{Do: rename, Name: "a", To: "b"}, "want nothing"},
		{"something new", func(f *tree) { f.nodes["a (conflict)"] = f.nodes["a"] }, nil, "want nothing"},
		{"link elsewhere", func(f *tree) { f.nodes["l"].target = "b" }, nil, "symlink"},
	} {
		t.Run(test.name, func(t *testing.T) {
			model, found := newTree(), newTree()
			for _, s := range history {
				model.apply(s)
				found.apply(s)
			}
			test.change(found)
			err := model.check(found, test.pending)
			if test.want == "" && err != nil {
				t.Errorf("unexpected: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// The writers and the model mean the same: on a local disk, where nothing is
// lost, they agree exactly.
func TestModelOnLocalDisk(t *testing.T) {
	t.Setenv(dirEnv, t.TempDir())
	t.Setenv(logEnv, t.TempDir())
	for i := range writers {
		dir := filepath.Join(os.Getenv(dirEnv), dirName(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		log, err := os.Create(logName(os.Getenv(logEnv), i))
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(dir, log, uint64(i+1), i)
		for range 100 {
			if err := w.work(); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		model := newTree()
		if pending, err := model.replay(log.Name()); err != nil || pending != nil {
			t.Fatal(pending, err)
		}
		found, err := readTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := model.compare(found); err != nil {
			t.Error(err)
		}
		for name, n := range found.nodes {
			if strings.HasPrefix(name, savedClass) && !whole(n.live) {
				t.Errorf("%s is not one payload", name)
			}
		}
	}
}
