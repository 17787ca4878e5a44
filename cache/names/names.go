package names

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxLen is the length in bytes of the longest name.
const MaxLen = 255

const (
	lead  = "%="
	file  = "%f"
	goes  = "%+"
	rests = "%."

	// bodyLen is what an escaped name with a marker leaves for its body.
	bodyLen = MaxLen - len(lead) - len(file)
)

// ErrBadName says that a name is none that a key could have here.
var ErrBadName = errors.New("malformed escaped name")

// A Name is a name taken apart.
type Name struct {
	Component string // of the key, or the part of it that the name stands for
	File      bool   // a file, although a directory of this component exists
	Continues bool   // a directory of what is longer than Component
	Rest      bool   // the end of a component that began in the directories above
}

// ordinary reports whether a component is its own name.
func ordinary(component string) bool {
	return component != "" && len(component) <= MaxLen && component != "." && component != ".." &&
		!strings.HasPrefix(component, lead) && strings.IndexByte(component, 0) < 0
}

// Escape returns the name of a component that fits into one name. One that
// does not gives the name of the directory in which it goes on, as the first
// of Split.
func Escape(component string) string { return Split(component)[0] }

// EscapeFile returns the name of a file beside a directory of the same
// component. One that does not fit into one name gives the name of the
// directory in which it goes on, as the first of SplitFile.
func EscapeFile(component string) string { return SplitFile(component)[0] }

// Split returns the names that lead to a component from its directory: one, or
// for a long component those of the directories that stand for its beginning
// and the last.
func Split(component string) []string {
	if ordinary(component) {
		return []string{component}
	}
	if body := encode(component); len(lead)+len(body) <= MaxLen {
		return []string{lead + body}
	}
	return cut(component, rests)
}

// SplitFile is Split for a file beside a directory of the same component.
func SplitFile(component string) []string { return cut(component, file) }

// cut returns as many names of directories as the component needs, and its
// end under a name with the marker.
func cut(component, marker string) []string {
	var chunks []string
	for {
		n := fits(component)
		body := encode(component[:n])
		if n == len(component) {
			return append(chunks, lead+body+marker)
		}
		chunks = append(chunks, lead+body+goes)
		component = component[n:]
	}
}

// fits returns how many bytes of a component go into one body.
func fits(component string) int {
	room := bodyLen
	for n := range len(component) {
		if room -= encodedLen(component[n]); room < 0 {
			return wholeRune(component, n)
		}
	}
	return len(component)
}

// wholeRune moves n back to the start of the UTF-8 character that it divides.
func wholeRune(s string, n int) int {
	for start := n; start > 0 && start > n-utf8.UTFMax; start-- {
		if !utf8.RuneStart(s[start]) {
			continue
		}
		if _, size := utf8.DecodeRuneInString(s[start:]); start+size > n {
			return start
		}
		return n
	}
	return n
}

// Parse takes a name apart. An ordinary name is its own component. A name that
// begins as an escaped one but is none, or that escapes what needs no escape,
// gives ErrBadName. Whether a name with Rest, Continues or File is right where
// it stands depends on the directory: see In.
func Parse(name string) (Name, error) {
	if len(name) > MaxLen || strings.Contains(name, "/") {
		return Name{}, ErrBadName
	}
	body, escaped := strings.CutPrefix(name, lead)
	if !escaped {
		if !ordinary(name) {
			return Name{}, ErrBadName
		}
		return Name{Component: name}, nil
	}
	var n Name
	if stem, marked := strings.CutSuffix(body, file); marked {
		n.File, body = true, stem
	} else if stem, marked := strings.CutSuffix(body, goes); marked {
		n.Continues, body = true, stem
	} else if stem, marked := strings.CutSuffix(body, rests); marked {
		n.Rest, body = true, stem
	}
	var ok bool
	if n.Component, ok = decode(body); !ok {
		return Name{}, ErrBadName
	}
	marked := n.File || n.Continues || n.Rest
	switch {
	case marked && len(body) > bodyLen:
		return Name{}, ErrBadName
	case !marked && ordinary(n.Component):
		return Name{}, ErrBadName
	case n.Rest && n.Component == "":
		return Name{}, ErrBadName
	case n.Continues && len(body) <= bodyLen-utf8.UTFMax:
		// Any next character would have gone into this chunk.
		return Name{}, ErrBadName
	}
	return n, nil
}

// In is Parse for a name in the directory that chunks lead to: the names of
// the directories with Continues that it ends in, none for an ordinary one. It
// gives ErrBadName also for a name under which no key is shown there, so that
// no key is reached by two paths. Whether there is a directory beside a File
// only the caller can tell.
func In(chunks []string, name string) (Name, error) {
	n, err := Parse(name)
	if err != nil {
		return Name{}, err
	}
	above, ok := join(chunks)
	if !ok {
		return Name{}, ErrBadName
	}
	if n.Continues {
		// What follows is not known yet. There are three ways in which it
		// can be too long for this chunk by the least.
		for _, more := range []string{"x", "%", "\U00010000"} {
			if got, ok := next(cut(above+n.Component+more, rests), chunks); ok && got == name {
				return n, nil
			}
		}
		return Name{}, ErrBadName
	}
	whole := Split(above + n.Component)
	if n.File {
		whole = SplitFile(above + n.Component)
	}
	if got, ok := next(whole, chunks); !ok || got != name {
		return Name{}, ErrBadName
	}
	return n, nil
}

// Listed returns what a component is called in the directory that chunks, the
// names of directories with Continues, lead to. The component is that of the
// key behind the directory's keys' common beginning, that is without what the
// chunks stand for. It is not ok if its key is not shown there, because its
// whole component needs fewer chunks or is cut elsewhere.
func Listed(chunks []string, rest string) (name string, ok bool) {
	above, ok := join(chunks)
	if !ok {
		return "", false
	}
	return next(Split(above+rest), chunks)
}

// ListedFile is Listed for a file beside a directory of the same component.
func ListedFile(chunks []string, rest string) (name string, ok bool) {
	above, ok := join(chunks)
	if !ok {
		return "", false
	}
	return next(SplitFile(above+rest), chunks)
}

// Beside returns where the directory is that makes a file need the mark of one:
// so many directories above the one that chunks lead to, under the name. It is
// not ok where no such file can be.
func Beside(chunks []string, rest string) (above int, name string, ok bool) {
	start, ok := join(chunks)
	if !ok {
		return 0, "", false
	}
	path := Split(start + rest)
	above = len(chunks) - len(path) + 1
	if above < 0 || !slices.Equal(path[:len(path)-1], chunks[:len(path)-1]) {
		return 0, "", false
	}
	return above, path[len(path)-1], true
}

// next returns the name in path that follows chunks, if path begins with them.
func next(path, chunks []string) (string, bool) {
	if len(path) <= len(chunks) {
		return "", false
	}
	for i, c := range chunks {
		if path[i] != c {
			return "", false
		}
	}
	return path[len(chunks)], true
}

// join returns what chunks stand for.
func join(chunks []string) (string, bool) {
	var b strings.Builder
	for _, c := range chunks {
		n, err := Parse(c)
		if err != nil || !n.Continues {
			return "", false
		}
		b.WriteString(n.Component)
	}
	return b.String(), true
}
