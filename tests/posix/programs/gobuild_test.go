package programs

import (
	"os"
	"testing"
)

// module makes a Go module of two packages in $M/src.
const module = `
mkdir -p src/greet src/cmd/hello; cd src
printf 'module program.example/hello\n\ngo 1.21\n' >go.mod
printf 'package greet\n\n// Word is said.\nconst Word = "hello"\n' >greet/greet.go
printf 'package main\n\nimport "program.example/hello/greet"\n\nfunc main() { println(greet.Word) }\n' >cmd/hello/main.go
`

// TestGoBuild builds a module on the mount, with the compiler's cache and
// temporary directory there too, and runs what it built.
func TestGoBuild(t *testing.T) {
	s := newSite(t, prompt())
	const build = `export CGO_ENABLED=0 GOTOOLCHAIN=local GOPROXY=off GOFLAGS= GOWORK=off GOENV=off GOCACHE=$M/cache GOTMPDIR=$M/tmp
`
	s.run(s.mount.Dir, build+module+`
mkdir -p "$M/tmp"; go build -o bin/hello ./cmd/hello; test "$(bin/hello 2>&1)" = hello
go build -o bin/again ./cmd/hello; cmp bin/hello bin/again
sed -i s/hello/goodbye/ greet/greet.go; go build -o bin/hello ./cmd/hello; test "$(bin/hello 2>&1)" = goodbye; test -z "$(ls "$M/tmp")"`)
	m := s.elsewhere(timed)
	if out, err := s.try(m, m.Path("src"), `test "$(bin/hello 2>&1)" = goodbye; test "$(bin/again 2>&1)" = hello`); err != nil {
		t.Errorf("the program on another machine: %v\n%s", err, out)
	}
	if _, err := os.Stat(s.mount.Path("cache", "README")); err != nil {
		t.Errorf("the compiler has not used its cache: %v", err)
	}
}
