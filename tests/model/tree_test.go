package model

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// kinds of nodes.
const (
	fileKind    = "file"
	dirKind     = "dir"
	symlinkKind = "symlink"
)

// A node is an inode as POSIX has it.
type node struct {
	attr
	data     []byte
	marker   bool             // of a directory: the bucket has an object for it
	children map[string]*node // of a directory
	parent   *node            // nil: the root, or unlinked
	name     string

	// What a crash may leave of a file that is being written.
	past [][]byte // contents since it was last closed or synced
	low  int      // the smallest size since then
}

// An attr is what stat and listxattr show. Times of 0 are not known.
type attr struct {
	kind     string
	mode     uint32
	uid, gid uint32
	rdev     uint32
	size     int64
	mtime    int64
	atime    int64
	target   string
	xattrs   map[string]string
}

// String leaves out times, which are compared apart.
func (a attr) String() string {
	s := fmt.Sprintf("%s %04o %d:%d", a.kind, a.mode, a.uid, a.gid)
	if a.kind != dirKind {
		s += fmt.Sprintf(" %d bytes", a.size)
	}
	if a.rdev != 0 || a.target != "" {
		s += fmt.Sprintf(" rdev %d target %q", a.rdev, a.target)
	}
	for _, name := range slices.Sorted(maps.Keys(a.xattrs)) {
		s += fmt.Sprintf(" %s=%q", name, a.xattrs[name])
	}
	return s
}

// A tree is what one party sees.
type tree struct {
	root  *node
	owner attr // of what it makes
}

func newTree(owner attr) *tree {
	root := &node{attr: owner, marker: true, children: map[string]*node{}}
	root.kind, root.mode = dirKind, 0o755
	return &tree{root: root, owner: owner}
}

// clone copies a tree.
func (t *tree) clone() *tree { return &tree{root: t.root.clone(nil), owner: t.owner} }

func (n *node) clone(parent *node) *node {
	c := *n
	c.parent, c.past = parent, nil
	c.xattrs = maps.Clone(n.xattrs)
	c.children = nil
	if n.children != nil {
		c.children = map[string]*node{}
		for name, child := range n.children {
			c.children[name] = child.clone(&c)
		}
	}
	return &c
}

// at returns the node at a path, nil if there is none.
func (t *tree) at(path string) *node {
	n := t.root
	for _, name := range components(path) {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

func components(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// path returns where a node is; "?" if it has no name.
func (n *node) path() string {
	if n.parent == nil {
		if n.kind == dirKind && n.name == "" {
			return ""
		}
		return "?"
	}
	if up := n.parent.path(); up != "" {
		return up + "/" + n.name
	}
	return n.name
}

// find walks to the directory of a path's last name; the error is that of a
// system call that does so.
func (t *tree) find(path string) (dir *node, name, err string) {
	names := components(path)
	dir = t.root
	for i, name := range names {
		switch {
		case dir.kind != dirKind && len(name) > 255:
			return nil, "", "ENOTDIR|ENAMETOOLONG"
		case dir.kind != dirKind:
			return nil, "", "ENOTDIR"
		case len(name) > 255:
			return nil, "", "ENAMETOOLONG"
		case i == len(names)-1:
			return dir, name, ""
		}
		if dir = dir.children[name]; dir == nil {
			return nil, "", "ENOENT"
		}
	}
	return nil, "", "EINVAL"
}

// put gives a node a name.
func (n *node) put(name string, child *node) {
	child.parent, child.name = n, name
	n.children[name] = child
	n.mtime = 0
}

// drop takes a node's name away. A directory that loses its last name gets a
// marker, so that it stays.
func (n *node) drop() {
	dir := n.parent
	delete(dir.children, n.name)
	dir.mtime = 0
	n.parent, n.name = nil, "?"
	if len(dir.children) == 0 {
		dir.marker = true
	}
}

// walk calls fn for every node below the root, those above before those below.
func (t *tree) walk(fn func(path string, n *node)) {
	var down func(n *node)
	down = func(n *node) {
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			child := n.children[name]
			fn(child.path(), child)
			down(child)
		}
	}
	down(t.root)
}

// vanish removes directories that nothing in the bucket stands for.
func (t *tree) vanish() {
	var up func(n *node)
	up = func(n *node) {
		for name, child := range n.children {
			if up(child); child.kind == dirKind && !child.marker && len(child.children) == 0 {
				delete(n.children, name)
			}
		}
	}
	up(t.root)
}

// change notes what a write is about to change, for what a crash may leave.
func (n *node) change(data []byte) {
	n.past = append(n.past, n.data)
	n.data, n.size, n.mtime = data, int64(len(data)), 0
	n.low = min(n.low, len(data))
}

// settle makes the content one that survives a crash.
func (n *node) settle() { n.past, n.low = nil, len(n.data) }

// admits reports whether a crash may leave got: each byte is one that was
// there since the last close, or a zero where the file had ended meanwhile.
func (n *node) admits(got []byte) bool {
	states := append(slices.Clone(n.past), n.data)
	low, most := n.low, 0
	for _, s := range states {
		most = max(most, len(s))
		low = min(low, len(s))
	}
	if len(got) < low || len(got) > most {
		return false
	}
	for i, b := range got {
		was := func(s []byte) bool { return i < len(s) && s[i] == b }
		if !slices.ContainsFunc(states, was) && (b != 0 || i < low) {
			return false
		}
	}
	return true
}

// resized returns data cut or filled with zeros.
func resized(data []byte, n int64) []byte {
	c := make([]byte, n)
	copy(c, data)
	return c
}

// written returns data with p at off.
func written(data, p []byte, off int64) []byte {
	c := resized(data, max(int64(len(data)), off+int64(len(p))))
	copy(c[off:], p)
	return c
}

// content is what the operation with this number writes: bytes that are never
// zero and differ between operations.
func content(number int, n int64) []byte {
	b := make([]byte, n)
	x := uint64(number+1) * 0x9e3779b97f4a7c15
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x>>56) | 1
	}
	return b
}

// same reports whether two contents are equal.
func same(a, b []byte) bool { return bytes.Equal(a, b) }
