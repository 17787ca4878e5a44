package model

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// settleRounds bounds how often machines are asked to flush until nothing is
// left: a conflict at one may come from what the other has just sent.
const settleRounds = 5

// settle brings all changes to the bucket, lets every machine look anew, and
// compares: all must see what the parties did, each content that several of
// them gave to one name must be found, and the bucket must hold just that.
func (w *world) settle() error {
	if err := w.flushAll(); err != nil {
		return err
	}
	time.Sleep(w.rest)
	w.settled = time.Now()
	seen := map[party]*tree{}
	for _, who := range slices.Sorted(maps.Keys(w.sides)) {
		t, err := w.look(who)
		if err != nil {
			return fmt.Errorf("machine %c, looking at everything: %w", who, err)
		}
		seen[who] = t
	}
	objects, err := w.bucket.objects()
	if err != nil {
		return err
	}
	due := w.merge()
	first := seen[machineA]
	if err := w.judgeFights(due, first); err != nil {
		return err
	}
	w.adoptLoose(due, objects)
	var errs []error
	due.walk(func(path string, n *node) { // times that nobody has set, all must agree on
		if g := first.at(path); g != nil && n.kind != dirKind {
			n.mtime = either(n.mtime, g.mtime)
		}
	})
	for who, t := range seen {
		errs = append(errs, differences("machine "+string(who), due, t))
	}
	errs = append(errs, checkBucket(due, objects))
	left, err := w.bucket.uploads()
	if errs = append(errs, err); len(left) > 0 {
		errs = append(errs, fmt.Errorf("unfinished uploads are left: %q", left))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	due.walk(func(_ string, n *node) { n.atime = 0 }) // all was read
	return w.agree(due)
}

func either(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}

// flushAll brings everything to the bucket. Handles on files that others
// changed as well are closed before.
func (w *world) flushAll() error {
	for who, side := range w.sides {
		side.network("heal")
		side.network("online")
		w.offline[who] = false
		for i, h := range w.open[who] {
			if h == nil || h.n.path() == "?" || !w.changedByOthers(who, h.n.path()) {
				continue
			}
			if got := side.do(op{who: who, verb: "close", h: i}, w.number); got.err != "" {
				return fmt.Errorf("machine %c, closing h%d: %s", who, i, got.err)
			}
			h.n.settle()
			w.open[who][i] = nil
		}
	}
	left := "?"
	for round := 0; left != "" && round < settleRounds; round++ {
		left = ""
		for who, side := range w.sides {
			if err := side.flush(); err != nil {
				return fmt.Errorf("machine %c, flushing: %w", who, err)
			}
			if q := side.queued(); q != "" {
				left += fmt.Sprintf("machine %c: %s\n", who, q)
			}
		}
	}
	if left != "" {
		return fmt.Errorf("not everything reaches the bucket: %s", left)
	}
	return nil
}

func (w *world) changedByOthers(who party, path string) bool {
	for other, touches := range w.touched {
		for p := range touches {
			if other != who && related(p, path) {
				return true
			}
		}
	}
	return false
}

// look returns all that a machine shows. A directory is listed before its
// attributes are asked for: its listing is what brings those of others.
func (w *world) look(who party) (*tree, error) {
	t := newTree(attr{})
	return t, w.lookAt(who, t, "")
}

func (w *world) lookAt(who party, t *tree, dir string) error {
	ask := func(verb, path string) answer {
		return w.sides[who].do(op{who: who, verb: verb, path: path}, w.number)
	}
	list := ask("readdir", dir)
	if list.err != "" {
		return fmt.Errorf("readdir %q: %s", dir, list.err)
	}
	for _, name := range list.names {
		path := strings.TrimPrefix(dir+"/"+name, "/")
		a := ask("stat", path)
		if a.err != "" {
			return fmt.Errorf("stat %q, which was listed: %s", path, a.err)
		}
		n := &node{attr: *a.attr}
		switch n.kind {
		case fileKind:
			f := ask("readfile", path)
			if f.err != "" {
				return fmt.Errorf("reading %q: %s", path, f.err)
			}
			n.data = f.data
		case dirKind:
			n.children = map[string]*node{}
			t.insert(path, n)
			if err := w.lookAt(who, t, path); err != nil {
				return err
			}
			if a = ask("stat", path); a.err != "" {
				return fmt.Errorf("stat %q, which was listed: %s", path, a.err)
			}
			n.attr = *a.attr
			continue
		}
		t.insert(path, n)
	}
	return nil
}

// merge puts together what each party did to what all saw before. Paths that
// two have changed are left out.
func (w *world) merge() *tree {
	due := w.base.clone()
	for _, touches := range w.touched {
		for path := range touches {
			if n := due.at(path); n != nil && n != due.root {
				delete(n.parent.children, n.name)
			}
		}
	}
	for who, touches := range w.touched {
		for _, path := range slices.Sorted(maps.Keys(touches)) {
			if n := w.views[who].at(path); n != nil && !w.fought[path] {
				due.insert(path, n.clone(nil))
			}
		}
	}
	due.walk(func(path string, n *node) { // who takes a directory's last name leaves a marker
		for who, v := range w.views {
			if d := v.at(path); d != nil && d.kind == dirKind && d.marker && !w.movedByOthers(who, path) {
				n.marker = true
			}
		}
	})
	return due
}

// movedByOthers reports whether another party gave a path to something else, so
// that what who sees there is out of date.
func (w *world) movedByOthers(who party, path string) bool {
	for other, touches := range w.touched {
		for touched := range touches {
			if other != who && (touched == path || strings.HasPrefix(path, touched+"/")) {
				return true
			}
		}
	}
	return false
}

// judgeFights checks what became of paths that two parties changed, and puts
// that into due: what one of them made there at last is found at the path or,
// if it comes from a machine, as a conflict copy beside it, unless an unguarded
// write of the foreign client came later; and nothing else is found.
func (w *world) judgeFights(due, seen *tree) error {
	for _, path := range slices.Sorted(maps.Keys(w.fought)) {
		found := map[string][]byte{}
		seen.walk(func(p string, n *node) {
			if (p == path || isConflictCopy(path, p) && w.base.at(p) == nil) && n.kind == fileKind {
				found[p] = n.data
				copied := n.clone(nil)
				copied.atime = 0 // reads stay on their machine
				due.insert(p, copied)
			}
		})
		var last [][]byte
		torn := false
		for who := range w.touched {
			t, touched := w.touched[who][path]
			n := w.views[who].at(path)
			torn = torn || t.torn
			if !touched || n == nil || t.torn {
				continue
			}
			last = append(last, n.data)
			later, overwritten := w.touched[foreign][path]
			overwritten = overwritten && who != foreign && later.last > t.last
			if _, there := holder(found, n.data); !there && !overwritten && len(n.data) > 0 {
				return fmt.Errorf("%q: the %d bytes that %c gave it are lost; there is %s", path, len(n.data), who, lengths(found))
			}
		}
		for p, data := range found {
			if !torn && !slices.ContainsFunc(last, func(l []byte) bool { return same(l, data) }) {
				return fmt.Errorf("%q has %d bytes that nobody gave it at last", p, len(data))
			}
			if other, twice := holderBut(found, p, data); twice && len(data) > 0 {
				return fmt.Errorf("%q and %q hold the same %d bytes", p, other, len(data))
			}
		}
	}
	return nil
}

func holder(found map[string][]byte, data []byte) (string, bool) {
	return holderBut(found, "", data)
}

func holderBut(found map[string][]byte, but string, data []byte) (string, bool) {
	for p, d := range found {
		if p != but && same(d, data) {
			return p, true
		}
	}
	return "", false
}

func lengths(found map[string][]byte) string {
	var s []string
	for _, p := range slices.Sorted(maps.Keys(found)) {
		s = append(s, fmt.Sprintf("%q (%d bytes)", p, len(found[p])))
	}
	return "[" + strings.Join(s, " ") + "]"
}

// conflictMark is what a parked file's name has more than its own.
var conflictMark = regexp.MustCompile(` \(conflict [^/]* \d{4}-\d\d-\d\d \d{6}( \d+)?\)`)

// isConflictCopy reports whether p is path parked; a long name is cut to make
// room for the mark.
func isConflictCopy(path, p string) bool {
	at := conflictMark.FindStringIndex(p)
	if at == nil {
		return false
	}
	stem, ext := p[:at[0]], p[at[1]:]
	return stem+ext == path || len(p) > 250 && strings.HasPrefix(path, stem) && strings.HasSuffix(path, ext)
}

// adoptLoose takes over from the bucket whether directories below which
// several parties were at work have a marker.
func (w *world) adoptLoose(due *tree, objects map[string]object) {
	due.walk(func(path string, n *node) {
		if n.kind != dirKind {
			return
		}
		parties := 0
		for _, touches := range w.touched {
			for p := range touches {
				if strings.HasPrefix(p, path+"/") {
					parties++
					break
				}
			}
		}
		if parties > 1 && w.base.at(path) != nil && !w.base.at(path).marker {
			_, n.marker = objects[path+"/"]
		}
	})
	due.vanish()
}

// agree makes due what everybody sees from now on.
func (w *world) agree(due *tree) error {
	w.touched, w.fought = map[party]map[string]touch{foreign: {}}, map[string]bool{}
	w.base = due
	w.views[foreign] = due.clone()
	for who := range w.sides {
		w.touched[who] = map[string]touch{}
		v := due.clone()
		for i, h := range w.open[who] {
			if h == nil || h.n.path() == "?" {
				continue
			}
			path := h.n.path()
			n := v.at(path)
			if n == nil {
				return fmt.Errorf("h%d of %c is open on %q, which is gone", i, who, path)
			}
			h.n.attr = n.attr
			h.n.settle()
			n.parent.children[n.name] = h.n
			h.n.parent = n.parent
		}
		w.views[who] = v
	}
	w.log = append(w.log, fmt.Sprintf("%d settled", w.number))
	return nil
}
