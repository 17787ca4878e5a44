package model

import (
	"strings"
	"time"
)

// A touch is what a party did to a path since all last agreed.
type touch struct {
	whole bool // what it made there does not depend on what was there
	torn  bool // a crash left of it what nobody can say
	last  int  // number of the latest operation
}

// A want is what an operation has to do with a path.
type want struct {
	path    string
	changes bool
	whole   bool
	content bool // it reads bytes
	moves   bool // what is here is needed elsewhere from now on
}

// A meeting says what other parties did at the paths of an operation.
type meeting int

const (
	apart meeting = iota // nothing
	fight                // one changed the same file: what becomes of it is seen when all is settled
	avoid                // something of which nobody can say what this operation would see
)

// wants lists what an operation has to do with which paths; looks says that it
// changes nothing.
func (w *world) wants(o op, looks bool) []want {
	if verbs[o.verb].args[0] == 'h' {
		n := w.open[o.who][o.h].n
		if n.path() == "?" {
			return nil
		}
		changes := o.verb == "write" || o.verb == "resize" || o.verb == "allocate"
		return []want{{path: n.path(), changes: changes, content: true}}
	}
	one := want{path: o.path, changes: !looks, content: o.verb == "readfile"}
	switch o.verb {
	case "open":
		one.changes = !looks && o.flag == "t"
		one.whole, one.content = one.changes, true
	case "create", "save", "unlink":
		one.whole = true
	case "rename":
		one.moves = true
		n := w.views[o.who].at(o.path)
		at := w.touched[o.who][o.path]
		whole := at.whole && o.flag != "exchange" && n != nil && n.kind == fileKind
		return []want{one, {path: o.to, changes: !looks, whole: whole, moves: o.flag == "exchange"}}
	}
	return []want{one}
}

// related reports whether two paths are one, or one lies below the other.
func related(a, b string) bool {
	return a == b || a == "" || b == "" || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// meets says how an operation meets what others did.
func (w *world) meets(who party, wants []want) meeting {
	met := apart
	for _, x := range wants {
		for path := range w.fought {
			// A conflict puts names into the directory as well.
			if related(path, x.path) || !x.changes && x.path == parentOf(path) {
				return avoid
			}
		}
		for other, touches := range w.touched {
			if other == who {
				continue
			}
			for path, t := range touches {
				if !related(path, x.path) {
					continue
				}
				if m := w.meetsTouch(who, x, path, t); m == avoid {
					return avoid
				} else if m > met {
					met = m
				}
			}
		}
	}
	return met
}

func (w *world) meetsTouch(who party, x want, path string, t touch) meeting {
	if !w.isolated() || x.content && !x.changes || w.relisted(parentOf(path)) {
		return avoid
	}
	if !x.changes {
		return apart
	}
	own := w.touched[who][x.path]
	if path != x.path || !t.whole || !x.whole && !own.whole {
		return avoid
	}
	for _, v := range w.views {
		if n := v.at(path); n != nil && n.kind != fileKind || v.throughFile(path) {
			return avoid
		}
	}
	if n := w.base.at(path); n != nil && n.kind != fileKind {
		return avoid
	}
	return fight
}

// relisted reports whether a machine may have looked at a directory anew,
// because it met a conflict there.
func (w *world) relisted(dir string) bool {
	for path := range w.fought {
		if parentOf(path) == dir {
			return true
		}
	}
	return false
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

// isolated reports whether what machines know of the bucket is still what they
// saw when all last agreed.
func (w *world) isolated() bool { return time.Since(w.settled) < w.settings.ttl-time.Second }

// note remembers what an operation changed.
func (w *world) note(who party, wants []want, m meeting) {
	for _, x := range wants {
		if !x.changes {
			continue
		}
		own, before := w.touched[who][x.path]
		w.touched[who][x.path] = touch{whole: (x.whole && !before || own.whole) && !x.moves, torn: own.torn, last: w.number}
		if m == fight {
			w.fought[x.path] = true
		}
	}
}
