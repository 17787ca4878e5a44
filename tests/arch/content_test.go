package arch

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var errnoName = regexp.MustCompile(`^E(?:[A-Z0-9]{2,})$`)

// errnoTables are files outside package fs that hold errnos to compare with,
// file → reason.
var errnoTables = map[string]string{
	"cache/journal/open.go": "which failures to open are the machine's and not the database's",
}

// An errno is made in package fs alone. Elsewhere one may be asked for
// (errors.Is, ==, case), never returned or stored.
func TestErrnosStayInFS(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || strings.HasPrefix(s.path, "fs/") {
			continue
		}
		asked := map[ast.Expr]bool{}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if isSelector(n.Fun, "errors", "Is") {
					asked[n.Args[1]] = true
				}
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					asked[n.X], asked[n.Y] = true, true
				}
			case *ast.CaseClause:
				for _, e := range n.List {
					asked[e] = true
				}
			case *ast.SelectorExpr:
				if isErrno(n) && !asked[n] {
					used[s.path] = true
					if errnoTables[s.path] != "" {
						return true
					}
					t.Errorf("%s: %s.%s outside package fs", s.fset.Position(n.Pos()), n.X.(*ast.Ident).Name, n.Sel.Name)
				}
			}
			return true
		})
	}
	for path := range errnoTables {
		if !used[path] {
			t.Errorf("%s holds no errno any more: take it out of errnoTables", path)
		}
	}
}

func isErrno(n *ast.SelectorExpr) bool {
	return (isSelector(n, "syscall", "") || isSelector(n, "unix", "")) &&
		errnoName.MatchString(n.Sel.Name) && !strings.HasPrefix(n.Sel.Name, "EPOLL")
}

// hosts are those that files may name: where documents and modules live, AWS,
// and names that stand for nothing. A mirror or a build machine is none.
var hosts = []string{"github.com", "docs.aws.amazon.com", "aws.amazon.com", "keepachangelog.com", "semver.org", "www.apache.org",
	"go.dev", "pkg.go.dev", "doc.s3.amazonaws.com", "s3.amazonaws.com", "www.w3.org", "man7.org", "www.rfc-editor.org",
	"localhost", "127.0.0.1", "bucket.host"}

var (
	hostPattern = regexp.MustCompile(`https?://([A-Za-z0-9.-]+)`)
	// Paths below a person's home or a build's working directory.
	pathPattern = regexp.MustCompile(`(?:^|[\s"'=(:` + "`" + `])/(?:home/[a-z]|root/|work/|builds?/|workspace/)`)
	marker      = regexp.MustCompile(`\b(?:TODO|FIXME|XXX|HACK)\b|[Ff]or now\b`)
)

func TestNoTraceOfAMachine(t *testing.T) {
	files(t, func(path string, data []byte) {
		if !utf8.Valid(data) || filepath.Base(path) == "go.sum" || path == "tests/arch/content_test.go" {
			return
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, m := range hostPattern.FindAllStringSubmatch(line, -1) {
				if !knownHost(m[1]) {
					t.Errorf("%s:%d names the host %s", path, i+1, m[1])
				}
			}
			if pathPattern.MatchString(line) {
				t.Errorf("%s:%d names a path of some machine: %s", path, i+1, strings.TrimSpace(line))
			}
		}
	})
}

// No comment says that something is still to be done.
func TestNothingUnfinished(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if marker.MatchString(c.Text) && s.path != "tests/arch/content_test.go" {
					t.Errorf("%s is unfinished: %s", s.fset.Position(c.Pos()), c.Text)
				}
			}
		}
	}
}

func knownHost(host string) bool {
	host = strings.TrimRight(host, ".")
	if slices.Contains(hosts, host) {
		return true
	}
	for _, suffix := range []string{".example", ".example.com", ".example.org", ".invalid", ".test", ".amazonaws.com"} {
		if strings.HasSuffix("."+host, suffix) {
			return true
		}
	}
	return strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "192.0.2.") || !strings.Contains(host, ".")
}
