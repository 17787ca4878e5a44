package crash

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// A node is what the model knows of one name.
type node struct {
	kind   action // create, mkdir or symlink: what made it
	mode   uint32
	target string

	live   []byte // content with every write acknowledged
	before []byte // live before the last write
	stable []byte // content when last closed, synced or opened
	low    int    // the smallest size since then
	life   *life  // what it went through, where a power cut counts
}

// A tree is one writer's directory: what it must hold if the daemon dies now.
type tree struct {
	nodes map[string]*node
	open  string // name of the open file
	past  past   // what a power cut may bring back; nil if none will come
	steps []step // since the names were last synced, for people
}

func newTree() *tree { return &tree{nodes: map[string]*node{}} }

func (t *tree) clone() *tree {
	c := &tree{nodes: maps.Clone(t.nodes), open: t.open} // its past is not asked for
	if n := c.nodes[c.open]; n != nil {
		copied := *n
		c.nodes[c.open] = &copied
	}
	return c
}

// apply does an acknowledged step.
func (t *tree) apply(s step) {
	t.act(s)
	if t.past != nil {
		t.saw(s)
	}
}

func (t *tree) act(s step) {
	switch s.Do {
	case create:
		t.nodes[s.Name] = &node{kind: create, mode: 0o644}
		t.open = s.Name
	case reopen, extend:
		t.open = s.Name
		t.settle()
	case empty:
		t.open = s.Name
		t.settle()
		n := t.nodes[s.Name]
		n.before, n.live, n.low = n.live, nil, 0
	case write:
		t.write(s)
	case sync:
		t.settle()
	case syncName, syncDir:
	case closing:
		t.settle()
		t.open = ""
	default:
		t.applyToName(s)
	}
}

// settle makes the open file's content one that must survive.
func (t *tree) settle() {
	n := t.nodes[t.open]
	n.stable, n.before, n.low = n.live, n.live, len(n.live)
}

func (t *tree) write(s step) {
	n := t.nodes[t.open]
	off := s.Off
	if off < 0 {
		off = int64(len(n.live))
	}
	grown := make([]byte, max(int64(len(n.live)), off+s.Len))
	copy(grown, n.live)
	copy(grown[off:], s.data())
	n.before, n.live = n.live, grown
}

func (t *tree) applyToName(s step) {
	switch s.Do {
	case rename:
		for name, n := range maps.Clone(t.nodes) {
			if rest, below := strings.CutPrefix(name, s.Name); below && (rest == "" || rest[0] == '/') {
				delete(t.nodes, name)
				t.nodes[s.To+rest] = n
			}
		}
	case truncate:
		n := *t.nodes[s.Name]
		grown := make([]byte, s.Size)
		copy(grown, n.live)
		n.live, n.before, n.stable, n.low = grown, grown, grown, len(grown)
		t.nodes[s.Name] = &n
	case unlink, rmdir:
		delete(t.nodes, s.Name)
	case mkdir:
		t.nodes[s.Name] = &node{kind: mkdir, mode: 0o755}
	case chmod:
		n := *t.nodes[s.Name]
		n.mode = s.Mode
		t.nodes[s.Name] = &n
	case symlink:
		t.nodes[s.Name] = &node{kind: symlink, mode: 0o777, target: s.To}
	}
}

// replay applies a writer's log to t and returns the step that was under way
// at the end, if any. An error that is not the daemon's death is one.
func (t *tree) replay(log string) (*step, error) {
	f, err := os.Open(log)
	if os.IsNotExist(err) {
		return nil, nil // killed before the first step
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var pending *step
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var r record
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF):
			return pending, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", log, err)
		}
		switch {
		case r.Begin != nil:
			pending = r.Begin
		case r.OK:
			t.apply(*pending)
			pending = nil
		case !r.Gone:
			return nil, fmt.Errorf("%s: a step failed although the daemon was there: %s", log, r.Error)
		}
	}
}

// check compares what is there with t, given the step under way. After it the
// model is what was found.
func (t *tree) check(found *tree, pending *step) error {
	err := t.compare(found)
	if err != nil && pending != nil {
		after := t.clone()
		after.apply(*pending)
		if afterErr := after.compare(found); afterErr != nil {
			return fmt.Errorf("under way %+v\nif it has not happened: %w\nif it has: %w", *pending, err, afterErr)
		}
		return nil
	}
	return err
}

// compare reports the differences between the model and what was found.
func (t *tree) compare(found *tree) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		want, got := t.nodes[name], found.nodes[name]
		switch {
		case got == nil:
			errs = append(errs, fmt.Errorf("%s is missing (%d bytes, %s)", name, len(want.live), want.kind))
		case got.kind != want.kind || got.mode != want.mode || got.target != want.target:
			errs = append(errs, fmt.Errorf("%s is %s %o %q, want %s %o %q", name, got.kind, got.mode, got.target,
				want.kind, want.mode, want.target))
		case name == t.open:
			errs = append(errs, want.admits(name, got.live))
		case !bytes.Equal(got.live, want.live):
			errs = append(errs, fmt.Errorf("%s: %s", name, difference(got.live, want.live)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found.nodes)) {
		if t.nodes[name] == nil {
			errs = append(errs, fmt.Errorf("%s is there (%d bytes, %s), want nothing", name, len(found.nodes[name].live),
				found.nodes[name].kind))
		}
	}
	return errors.Join(errs...)
}

// admits checks the content of a file that was open: each byte is that of the
// last close or sync, or one written since, or a zero where the file had
// ended meanwhile.
func (n *node) admits(name string, got []byte) error {
	if most := max(len(n.stable), len(n.before), len(n.live)); len(got) < n.low || len(got) > most {
		return fmt.Errorf("%s was open and has %d bytes, want %d to %d", name, len(got), n.low, most)
	}
	for i, b := range got {
		if at(n.live, i, b) || at(n.stable, i, b) || at(n.before, i, b) || b == 0 && i >= n.low {
			continue
		}
		return fmt.Errorf("%s was open: byte %d of %d is one that was never there", name, i, len(got))
	}
	return nil
}

func at(data []byte, i int, b byte) bool { return i < len(data) && data[i] == b }

func difference(got, want []byte) string {
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			zeros := bytes.Count(got[i:], []byte{0})
			return fmt.Sprintf("%d bytes, want %d; they differ from byte %d on (%d zeros from there)", len(got), len(want), i, zeros)
		}
	}
	return fmt.Sprintf("%d bytes, want %d; equal as far as they go", len(got), len(want))
}
