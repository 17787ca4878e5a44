package crash

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// crashPoints finds the named points in the source: before and after each
// transaction (journal's Update names them), and wherever Point is called.
func crashPoints(t *testing.T) []string {
	t.Helper()
	module, err := harness.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]bool{}
	for _, dir := range []string{"cache", "fs"} {
		err := filepath.WalkDir(filepath.Join(module, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return addPoints(points, path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(points) == 0 {
		t.Fatal("the source has no crash points")
	}
	return slices.Sorted(maps.Keys(points))
}

func addPoints(points map[string]bool, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return fmt.Errorf("looking for crash points: %w", err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name := firstText(call)
		if name == "" {
			return true
		}
		switch calledName(call) {
		case "Update", "update", "Free", "commit":
			points[name+":before"], points[name+":after"] = true, true
		case "Point":
			points[name] = true
		}
		return true
	})
	return nil
}

// firstText returns the first argument of a call that is text.
func firstText(call *ast.CallExpr) string {
	for _, arg := range call.Args {
		if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil {
				return name
			}
		}
	}
	return ""
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}
