package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/moorfs/moorfs"

// layers says which packages of ours a package may import outside its tests.
// A package that is not here fails the test.
var layers = map[string][]string{
	"cmd/moorfs":       {"fs", "cache", "s3backend", "s3backend/s3test"}, // s3test: the server of `moorfs demo`
	"fs":               {"cache"},
	"cache":            {"s3backend", "cache/journal", "cache/extent", "cache/names"},
	"cache/journal":    {"cache/extent", "s3backend"}, // s3backend: the types that a record holds
	"cache/extent":     {},
	"cache/names":      {},
	"cache/remotetest": {"s3backend"},
	"s3backend":        {},
	"s3backend/s3test": {},
}

// testOnly are packages for tests: only tests import them, but for the
// exceptions in layers.
var testOnly = []string{"cache/remotetest", "s3backend/s3test"}

// owners says who alone may import a library, in tests too.
var owners = map[string][]string{
	"github.com/aws/":              {"s3backend"},
	"github.com/dgraph-io/badger/": {"cache/journal"},
	"github.com/hanwen/go-fuse/":   {"fs"},
	"github.com/spf13/cobra":       {"cmd/moorfs"},
	"github.com/spf13/pflag":       {"cmd/moorfs"},
	"testing":                      testOnly,
}

// A listed is what `go list -json` says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	Doc          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// name is the import path within the module.
func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json"}, args...)...)
	cmd.Dir = repository(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLayers(t *testing.T) {
	packages := list(t, "./...")
	if len(packages) == 0 {
		t.Fatal("go list knows no package")
	}
	for _, p := range packages {
		allowed, known := layers[p.name()]
		if !known {
			t.Errorf("package %s has no place in the architecture: add it to layers, with a reason", p.name())
			continue
		}
		for _, path := range p.Imports {
			ours, isOurs := strings.CutPrefix(path, module+"/")
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; it may import %q", p.name(), ours, allowed)
			}
		}
		all := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		for _, path := range all {
			checkOwner(t, p, path)
		}
	}
}

func checkOwner(t *testing.T, p listed, path string) {
	t.Helper()
	for library, by := range owners {
		if path != library && !(strings.HasSuffix(library, "/") && strings.HasPrefix(path, library)) {
			continue
		}
		if library == "testing" && !slices.Contains(p.Imports, path) {
			continue // a test's import
		}
		if !slices.Contains(by, p.name()) {
			t.Errorf("%s imports %s, which is for %q alone", p.name(), path, by)
		}
	}
}

// The binary that users run holds neither test code nor test servers (MinIO's
// licence is another one).
func TestBinaryHoldsNoTests(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/moorfs") {
		path := p.ImportPath
		if path == "testing" || strings.HasPrefix(path, "github.com/minio/") || strings.HasPrefix(path, "github.com/versity/") ||
			strings.HasPrefix(path, module+"/cache/remotetest") || strings.HasPrefix(path, module+"/tests") {
			t.Errorf("cmd/moorfs links %s", path)
		}
	}
}

func TestPackageDocs(t *testing.T) {
	forbidden := []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "models", "shared", "base"}
	for _, p := range list(t, "./...") {
		if p.Doc == "" {
			t.Errorf("package %s has no doc comment", p.name())
		}
		if last := filepath.Base(p.name()); slices.Contains(forbidden, last) {
			t.Errorf("package %s: the name says nothing", p.name())
		}
	}
}
