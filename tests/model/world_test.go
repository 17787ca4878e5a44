package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A side is one machine. Methods are called by one goroutine at a time.
type side interface {
	do(o op, number int) answer // an operation on names or handles
	flush() error               // bring what can be brought to the bucket; nil also if something is left
	queued() string             // what is left
	remount() error
	evict() error // remount, and keep nothing that is in the bucket
	crash() error // kill the daemon and mount again
	network(what string)
	close() error
}

// An object is what lies in the bucket.
type object struct {
	body []byte
	meta map[string]string
}

// A store is the bucket as its other clients see it. Paths are keys without
// the prefix of the mounts.
type store interface {
	put(path string, body []byte) error
	remove(path string) error
	objects() (map[string]object, error)
	uploads() ([]string, error) // unfinished
}

// others is what objects of other clients show: they carry no attributes.
var others = attr{uid: 1, gid: 2, mode: 0o640, kind: fileKind}

// othersDir is the mode of directories without a marker.
const othersDir = 0o750

// A world is a bucket, the machines that use it, and what each party must see.
type world struct {
	settings settings
	rest     time.Duration // after which what machines know is asked for anew
	bucket   store
	sides    map[party]side

	base    *tree // what all saw when they last agreed
	views   map[party]*tree
	open    map[party]*[handles]*opened
	touched map[party]map[string]touch // since then, by path
	fought  map[string]bool            // paths that two parties changed
	offline map[party]bool
	settled time.Time
	number  int      // of the operation
	log     []string // what was done and answered
}

// offlineRest is how long a machine may go on without asking a bucket that it
// could not reach.
const offlineRest = 6 * time.Second

func newWorld(s settings, bucket store, sides map[party]side) *world {
	w := &world{settings: s, rest: s.ttl + offlineRest, bucket: bucket, sides: sides, views: map[party]*tree{}, open: map[party]*[handles]*opened{},
		offline: map[party]bool{}}
	for who := range sides {
		w.open[who] = new([handles]*opened)
	}
	root := newTree(s.owner())
	root.root.uid, root.root.gid, root.root.mode = others.uid, others.gid, othersDir
	w.base = root
	return w
}

// run carries out a program, settles and compares. The error says what was
// wrong.
func (w *world) run(ops []op) error {
	w.settled = time.Now()
	for who := range w.sides {
		if _, err := w.look(who); err != nil {
			return fmt.Errorf("machine %c, looking at an empty bucket: %w", who, err)
		}
	}
	if err := w.agree(w.base); err != nil {
		return err
	}
	for i, o := range ops {
		w.number = i
		if err := w.step(o); err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, o, err)
		}
	}
	w.number = len(ops)
	if err := w.settle(); err != nil {
		return fmt.Errorf("settling at the end: %w", err)
	}
	return nil
}

func (w *world) step(o op) error {
	v, known := verbs[o.verb]
	switch {
	case !known:
		return fmt.Errorf("no such operation")
	case v.who == "f":
		return w.foreignStep(o)
	case o.verb == "settle":
		return w.settle()
	case o.verb == "sleep":
		time.Sleep(time.Duration(o.n) * 100 * time.Microsecond)
		return nil
	case w.sides[o.who] == nil:
		return nil
	case v.args == "", o.verb == "fault":
		return w.control(o)
	}
	return w.fileStep(o)
}

// control does what concerns a machine as a whole.
func (w *world) control(o op) error {
	side := w.sides[o.who]
	waits := w.settings.bucket || w.settings.small // a program would have to wait for the network
	switch o.verb {
	case "flush":
		return side.flush()
	case "offline", "online":
		if w.offline[o.who] = o.verb == "offline" && !waits; w.offline[o.who] || o.verb == "online" {
			side.network(o.verb)
		}
	case "heal":
		side.network("heal")
	case "fault":
		if !waits || !strings.Contains(o.flag, "stall") {
			side.network(o.flag)
		}
	case "remount", "evict":
		w.forgetHandles(o.who)
		if o.verb == "remount" {
			return side.remount()
		}
		for path, t := range w.touched[o.who] {
			t.whole = false // what is changed from now on builds on what may be in the bucket alone
			w.touched[o.who][path] = t
		}
		return side.evict()
	case "crash":
		return w.crash(o.who)
	}
	return nil
}

func (w *world) forgetHandles(who party) {
	for i, h := range w.open[who] {
		if h != nil {
			h.n.settle()
			w.open[who][i] = nil
		}
	}
}

// crash kills a machine's daemon. What was acknowledged must be there; files
// that were being written hold, byte by byte, what they held at some time since
// they were last closed.
func (w *world) crash(who party) error {
	var torn []*node
	for i, h := range w.open[who] {
		if h != nil && h.n.path() != "?" && len(h.n.past) > 0 && !slices.Contains(torn, h.n) {
			torn = append(torn, h.n)
		}
		w.open[who][i] = nil
	}
	w.offline[who] = false
	w.sides[who].network("online")
	if err := w.sides[who].crash(); err != nil {
		return err
	}
	for _, n := range torn {
		if w.meets(who, []want{{path: n.path(), content: true}}) == avoid {
			n.settle()
			own := w.touched[who][n.path()]
			own.torn = true
			w.touched[who][n.path()] = own
			continue
		}
		got := w.sides[who].do(op{who: who, verb: "readfile", path: n.path()}, w.number)
		if got.err != "" || !n.admits(got.data) {
			return fmt.Errorf("after the crash %q, which was being written, has %d bytes that it never had together (error %q); at last it had %d, before %d states",
				n.path(), len(got.data), got.err, len(n.data), len(n.past))
		}
		n.data, n.size, n.mtime, n.atime = got.data, int64(len(got.data)), 0, 0
		n.settle()
	}
	return nil
}

// fileStep does an operation on a name or handle, and compares its answer.
func (w *world) fileStep(o op) error {
	if (o.verb == "create" || o.verb == "open") && w.open[o.who][o.h] != nil {
		if err := w.fileStep(op{who: o.who, verb: "close", h: o.h}); err != nil {
			return fmt.Errorf("closing h%d before: %w", o.h, err)
		}
	}
	if opens := o.verb == "create" || o.verb == "open"; opens && w.open[o.who][o.h] != nil || !w.possible(o) {
		return nil
	}
	plan := planner{w.views[o.who], w.open[o.who], w.number}.plan(o)
	wants := w.wants(o, plan.err != "" || plan.apply == nil)
	meeting := w.meets(o.who, wants)
	if meeting == avoid {
		return nil
	}
	got := w.sides[o.who].do(o, w.number)
	if got.err == unreachable && w.offline[o.who] {
		return nil
	}
	if err := compare(plan.answer, got); err != nil {
		return err
	}
	w.log = append(w.log, fmt.Sprintf("%d %s: %s", w.number, o, got))
	if plan.apply == nil {
		w.adoptTimes(o, got)
		return nil
	}
	plan.apply()
	w.note(o.who, wants, meeting)
	return nil
}

// adoptTimes remembers a modification time that was shown: from now on it
// stays. An access time is known until something is read.
func (w *world) adoptTimes(o op, got answer) {
	n := w.views[o.who].at(o.path)
	if verbs[o.verb].args[0] == 'h' {
		n = w.open[o.who][o.h].n
	}
	if n == nil {
		return
	}
	if got.attr == nil || n.kind == symlinkKind {
		n.atime = 0
	}
	if got.attr != nil && n.kind != dirKind {
		n.mtime = got.attr.mtime
	}
}

// possible reports whether a machine can do an operation at all, and whether
// POSIX alone says what it ends with: nothing is followed through symlinks, and
// special files are not opened.
func (w *world) possible(o op) bool {
	v := w.views[o.who]
	if args := verbs[o.verb].args; args[0] == 'h' {
		h := w.open[o.who][o.h]
		writes := o.verb == "write" || o.verb == "resize" || o.verb == "allocate"
		return h != nil && (h.write || !writes) && (o.n > 0 || o.verb != "read" && o.verb != "write" && o.verb != "allocate")
	}
	if o.path == "" && o.verb != "stat" && o.verb != "readdir" || o.verb == "rename" && o.to == "" ||
		v.throughLink(o.path) || o.verb == "rename" && v.throughLink(o.to) {
		return false
	}
	n := v.at(o.path)
	if n == nil {
		return true
	}
	switch o.verb {
	case "open", "readfile":
		return n.kind == fileKind
	case "save", "truncate", "chmod", "setxattr", "rmxattr":
		return n.kind == fileKind || n.kind == dirKind
	}
	return true
}

// throughLink reports whether a path leads through a symlink.
func (t *tree) throughLink(path string) bool {
	n := t.root
	for _, name := range components(path) {
		if n.kind == symlinkKind {
			return true
		}
		if n = n.children[name]; n == nil {
			return false
		}
	}
	return false
}

// foreignStep does what another client of the bucket does.
func (w *world) foreignStep(o op) error {
	v := w.views[foreign]
	n := v.at(o.path)
	if o.path == "" || slices.ContainsFunc(components(o.path), func(name string) bool { return len(name) > 255 }) ||
		n != nil && n.kind != fileKind || n == nil && o.verb == "delete" || v.throughFile(o.path) {
		return nil
	}
	if w.settings.list && o.n == 0 && n != nil && len(n.data) == 0 {
		return nil // a listing does not tell an empty object from another
	}
	wants := []want{{path: o.path, changes: true, whole: true}}
	top := v.missing(o.path)
	if o.verb == "delete" {
		top = n.lastOf()
	}
	if top != o.path {
		wants[0] = want{path: top, changes: true}
	}
	meeting := w.meets(foreign, wants)
	if meeting == avoid {
		return nil
	}
	if o.verb == "delete" {
		n.parent.removeForeign(n)
		w.note(foreign, wants, meeting)
		return w.bucket.remove(o.path)
	}
	data := content(w.number, o.n)
	v.insert(o.path, &node{attr: others, data: data, low: len(data)})
	v.at(o.path).size = o.n
	w.note(foreign, wants, meeting)
	return w.bucket.put(o.path, data)
}

// lastOf returns the path of what goes with an object: the uppermost of the
// directories that only its key stands for, itself if there is none.
func (n *node) lastOf() string {
	for dir := n.parent; dir.parent != nil && len(dir.children) == 1 && !dir.marker; dir = dir.parent {
		n = dir
	}
	return n.path()
}

// removeForeign takes an object's name away; directories that only its key
// stood for go with it.
func (n *node) removeForeign(child *node) {
	delete(n.children, child.name)
	if len(n.children) == 0 && !n.marker && n.parent != nil {
		n.parent.removeForeign(n)
	}
}

// throughFile reports whether something on the way to a path is no directory.
func (t *tree) throughFile(path string) bool {
	n := t.root
	for _, name := range components(path) {
		if n.kind != dirKind {
			return true
		}
		if n = n.children[name]; n == nil {
			return false
		}
	}
	return false
}

// missing returns the first part of path that is not there, path if all is.
func (t *tree) missing(path string) string {
	names := components(path)
	for i := range names {
		if up := strings.Join(names[:i+1], "/"); t.at(up) == nil {
			return up
		}
	}
	return path
}

// insert puts a node at a path, and directories without a marker above it as
// needed.
func (t *tree) insert(path string, n *node) {
	dir := t.root
	names := components(path)
	for _, name := range names[:len(names)-1] {
		if dir.children[name] == nil {
			d := &node{attr: others, children: map[string]*node{}}
			d.kind, d.mode = dirKind, othersDir
			dir.put(name, d)
		}
		dir = dir.children[name]
	}
	dir.put(names[len(names)-1], n)
}
