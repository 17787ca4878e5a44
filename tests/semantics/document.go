package semantics

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A statement is something that SEMANTICS.md promises.
type statement struct{ section, name string }

func (s statement) String() string { return s.section + "/" + s.name }

var (
	sectionLine = regexp.MustCompile(`^## (.+)$`)
	pointLine   = regexp.MustCompile(`^- (?:\*\*(.+?)\.\*\*)?`)
	rowLine     = regexp.MustCompile(`^\| *([^|]*?) *\|`)
)

// readStatements returns the statements of fs/SEMANTICS.md in their order.
func readStatements() ([]statement, error) {
	data, err := os.ReadFile(filepath.Join("..", "..", "fs", "SEMANTICS.md"))
	if err != nil {
		return nil, err
	}
	return parse(string(data))
}

// parse finds the statements in a document. A point without bold words, a row
// without a first cell and a name used twice are errors: they could not have a
// check of their own.
func parse(document string) ([]statement, error) {
	var all []statement
	var section, header string
	seen := map[statement]bool{}
	for n, line := range strings.Split(document, "\n") {
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		name, found := "", false
		if m := rowLine.FindStringSubmatch(line); m != nil {
			name, found = m[1], header != "" && !strings.HasPrefix(m[1], "--")
			header = line
		} else {
			header = ""
			if m := pointLine.FindStringSubmatch(line); m != nil {
				name, found = m[1], true
			}
		}
		if !found {
			continue
		}
		s := statement{section, strings.ReplaceAll(name, "`", "")}
		if section == "" || name == "" || seen[s] {
			return nil, fmt.Errorf("line %d has no name, or one that is taken: %s", n+1, line)
		}
		seen[s] = true
		all = append(all, s)
	}
	return all, nil
}
