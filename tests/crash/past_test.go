package crash

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A life is what one file, directory or link was since it was last synced: a
// power cut leaves any of it.
type life struct {
	kind     action
	target   string
	modes    map[uint32]bool
	versions [][]byte // contents, the first one durable
	low      int      // the smallest size among them
	durable  bool     // had a name when the names were last synced
}

func (l *life) String() string {
	sizes := make([]int, len(l.versions))
	for i, v := range l.versions {
		sizes[i] = len(v)
	}
	return fmt.Sprintf("%s of %d bytes", l.kind, sizes)
}

// A past is what each name may stand for after a power cut: what it stood for
// at some moment since the names were last synced, nil for nothing.
type past map[string]map[*life]bool

// remember begins a past: all that is there is durable.
func (t *tree) remember() *tree {
	for _, n := range t.nodes {
		n.life = newLife(n)
	}
	t.barrier()
	return t
}

func newLife(n *node) *life {
	return &life{kind: n.kind, target: n.target, modes: map[uint32]bool{n.mode: true}, versions: [][]byte{n.live}, low: len(n.live)}
}

// barrier notes that the names are durable as they are, and the modes.
func (t *tree) barrier() {
	t.past, t.steps = past{}, nil
	for name, n := range t.nodes {
		t.past[name] = map[*life]bool{n.life: true}
		n.life.modes = map[uint32]bool{n.mode: true}
		n.life.durable = true
	}
}

// saw notes what a step has made possible, or impossible.
func (t *tree) saw(s step) {
	t.steps = append(t.steps, s)
	for _, n := range t.nodes {
		if n.life == nil {
			n.life = newLife(n)
			continue
		}
		n.life.modes[n.mode] = true
		if last := n.life.versions[len(n.life.versions)-1]; len(last) != len(n.live) || len(last) > 0 && &last[0] != &n.live[0] {
			n.life.versions = append(n.life.versions, n.live)
			n.life.low = min(n.life.low, len(n.live))
		}
	}
	switch s.Do {
	case write:
		return
	case sync:
		t.nodes[t.open].life.settle()
	case syncName:
		t.nodes[s.Name].life.settle()
	}
	if s.syncs() {
		t.barrier()
		return
	}
	for name, n := range t.nodes {
		if t.past[name] == nil {
			t.past[name] = map[*life]bool{nil: true}
		}
		t.past[name][n.life] = true
	}
	for name := range t.past {
		if t.nodes[name] == nil {
			t.past[name][nil] = true
		}
	}
}

// syncs reports whether a step makes the names durable.
func (s step) syncs() bool { return s.Do == sync || s.Do == syncName || s.Do == syncDir }

// settle makes the newest content the one that must survive.
func (l *life) settle() {
	l.versions = l.versions[len(l.versions)-1:]
	l.low = len(l.versions[0])
}

// checkCut compares what a power cut left with what it may leave, given the
// step under way. Each name is what it was at some moment since the last sync,
// and what had a name then and was not removed since has one of its names.
func (t *tree) checkCut(found *tree, pending *step) error {
	if pending != nil && !pending.syncs() { // an fsync that was not answered promises nothing
		t.apply(*pending)
	}
	var errs []error
	kept := map[*life]bool{}
	for _, name := range slices.Sorted(maps.Keys(t.past)) {
		may, got := t.past[name], found.nodes[name]
		if got == nil {
			if !may[nil] {
				errs = append(errs, fmt.Errorf("%s is missing", name))
			}
			continue
		}
		var why []error
		for l := range may {
			err := errors.New("nothing")
			if l != nil {
				err = l.admits(got)
			}
			if err == nil {
				kept[l] = true
			} else {
				why = append(why, err)
			}
		}
		if len(why) == len(may) {
			errs = append(errs, fmt.Errorf("%s is %s %o of %d bytes, and can be none of %d: %w", name, got.kind, got.mode, len(got.live),
				len(may), errors.Join(why...)))
		}
	}
	for name, n := range found.nodes {
		if t.past[name] == nil {
			errs = append(errs, fmt.Errorf("%s is there (%s, %d bytes), want nothing", name, n.kind, len(n.live)))
		}
	}
	for name, n := range t.nodes {
		if n.life.durable && !kept[n.life] {
			errs = append(errs, fmt.Errorf("%s (%v) has lost all its names", name, n.life))
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("steps since the names were durable: %+v", t.steps))
		for _, name := range slices.Sorted(maps.Keys(found.nodes)) {
			errs = append(errs, fmt.Errorf("found %s %s of %d bytes", name, found.nodes[name].kind, len(found.nodes[name].live)))
		}
	}
	return errors.Join(errs...)
}

// admits reports why n cannot be what a power cut left of l, nil if it can.
func (l *life) admits(n *node) error {
	if n.kind != l.kind || n.target != l.target || !l.modes[n.mode] {
		return fmt.Errorf("want %s %q, modes %v", l.kind, l.target, slices.Collect(maps.Keys(l.modes)))
	}
	most := 0
	for _, v := range l.versions {
		if bytes.Equal(v, n.live) {
			return nil
		}
		most = max(most, len(v))
	}
	if len(n.live) < l.low || len(n.live) > most {
		return fmt.Errorf("want %d to %d bytes", l.low, most)
	}
	for i, b := range n.live {
		if b == 0 && i >= l.low || slices.ContainsFunc(l.versions, func(v []byte) bool { return at(v, i, b) }) {
			continue
		}
		return fmt.Errorf("byte %d of %d is one that was never there (%d versions of %d to %d bytes; %d zeros from there)", i, len(n.live),
			len(l.versions), l.low, most, bytes.Count(n.live[i:], []byte{0}))
	}
	return nil
}
