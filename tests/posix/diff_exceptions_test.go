package posix

import "strings"

// An exception is a difference from ext4 that users are told of in
// fs/SEMANTICS.md.
type exception struct {
	call   string // the name of the call
	reason string
	holds  func(d *difference) bool
}

var exceptions = []exception{
	{"link", "an object has one name", func(d *difference) bool { return d.ours == "EPERM" && d.theirs == "ok" }},
}

func excepted(d *difference) bool {
	name := callName(d.line)
	for _, e := range exceptions {
		if strings.HasSuffix(name, e.call) && e.holds(d) {
			return true
		}
	}
	return false
}
