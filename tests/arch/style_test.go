package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 60
	maxMethods       = 9 // of an interface
	maxParameters    = 4 // not counting a context or *testing.T
)

// longFunctions are exceptions to maxFunctionLines, file:function → reason.
// The table may only shrink.
var longFunctions = map[string]string{}

// foreignSignatures are functions with more parameters than maxParameters
// because an interface of a library wants them so.
var foreignSignatures = map[string]string{
	"fs.CopyFileRange": "go-fuse's NodeCopyFileRanger",
	"fs.Ioctl":         "go-fuse's RawFileSystem",
	"fs.Create":        "go-fuse's NodeCreater",
	"fs.Setxattr":      "go-fuse's NodeSetxattrer",
	"fs.Rename":        "go-fuse's NodeRenamer",
	"fs.Mknod":         "go-fuse's NodeMknoder",
	"fs.Symlink":       "go-fuse's NodeSymlinker",
}

// A source is one parsed Go file of the project.
type source struct {
	path  string // relative to the repository
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func (s source) isTest() bool {
	return strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "tests/") ||
		strings.HasPrefix(s.path, "s3backend/s3test/") || strings.HasPrefix(s.path, "cache/remotetest/")
}

func (s source) span(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

// files walks the project's own files, tests included.
func files(t *testing.T, visit func(path string, data []byte)) {
	t.Helper()
	root := repository(t)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" || name == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // an editor's file that has just gone
		}
		if err != nil {
			return err
		}
		visit(name, data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files(t, func(path string, data []byte) {
		if filepath.Ext(path) != ".go" {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, data, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{path, fset, f, strings.Count(string(data), "\n")})
	})
	if len(all) == 0 {
		t.Fatal("no Go files found")
	}
	return all
}

func TestSizes(t *testing.T) {
	unused := map[string]bool{}
	for name := range longFunctions {
		unused[name] = true
	}
	for _, s := range sources(t) {
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines; %d at most", s.path, s.lines, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.span(f) <= maxFunctionLines {
				continue
			}
			name := s.path + ":" + f.Name.Name
			delete(unused, name)
			if longFunctions[name] == "" {
				t.Errorf("%s: %s has %d lines; %d at most", s.path, f.Name.Name, s.span(f), maxFunctionLines)
			}
		}
	}
	for name := range unused {
		t.Errorf("%s is short enough now: take it out of longFunctions", name)
	}
}

func TestInterfacesAndParameters(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxMethods {
					t.Errorf("%s: interface %s has %d methods; %d at most", s.path, n.Name, i.Methods.NumFields(), maxMethods)
				}
			case *ast.FuncDecl:
				name := filepath.Dir(s.path) + "." + n.Name.Name
				if count := parameters(n); count > maxParameters && foreignSignatures[name] == "" {
					t.Errorf("%s: %s has %d parameters; %d at most, then a struct", s.path, n.Name.Name, count, maxParameters)
				}
			}
			return true
		})
	}
}

// parameters counts f's parameters but for a context and a test's T.
func parameters(f *ast.FuncDecl) int {
	n := 0
	for _, p := range f.Type.Params.List {
		if star, ok := p.Type.(*ast.StarExpr); ok && isSelector(star.X, "testing", "") {
			continue
		}
		if isSelector(p.Type, "context", "Context") || isSelector(p.Type, "testing", "TB") {
			continue
		}
		n += max(len(p.Names), 1)
	}
	return n
}

// isSelector reports whether e is pkg.name; any name if that is empty.
func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && (name == "" || sel.Sel.Name == name)
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}
