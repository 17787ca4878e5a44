package model

import (
	"maps"
	"slices"
	"strconv"
)

// An answer is what an operation ends with. In one that is expected, err may
// name several errors, separated by |, where POSIX leaves the order open.
type answer struct {
	err   string
	data  []byte
	attr  *attr
	names []string
}

// An opened is one of a machine's handles.
type opened struct {
	n      *node
	write  bool
	append bool
}

// A plan is what an operation shall answer, and do if it succeeds.
type plan struct {
	answer
	apply func()
}

func fails(err string) plan { return plan{answer: answer{err: err}} }

func does(apply func()) plan { return plan{apply: apply} }

// A planner works out what operations of one machine do.
type planner struct {
	t      *tree
	open   *[handles]*opened
	number int // of the operation
}

// plan works out an operation on names or handles.
func (p planner) plan(o op) plan {
	switch o.verb {
	case "read", "write", "resize", "allocate", "close", "fsync", "fstat":
		return p.onHandle(o)
	case "rename":
		return p.rename(o)
	case "create", "mkdir", "symlink", "mknod":
		return p.make(o)
	}
	if o.path == "" {
		return p.onNode(o, p.t.root)
	}
	dir, name, err := p.t.find(o.path)
	if err != "" {
		return fails(err)
	}
	n := dir.children[name]
	if o.verb == "save" && n == nil {
		return does(func() {
			n := p.newNode(fileKind, 0o644)
			n.data = content(p.number, o.n)
			n.size, n.low = o.n, int(o.n)
			dir.put(name, n)
		})
	}
	if n == nil {
		return fails("ENOENT")
	}
	return p.onNode(o, n)
}

func (p planner) newNode(kind string, mode uint32) *node {
	n := &node{attr: p.t.owner}
	n.kind, n.mode = kind, mode
	if kind == dirKind {
		n.children, n.marker = map[string]*node{}, true
	}
	return n
}

func parseMode(s string) uint32 {
	m, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0o644
	}
	return uint32(m)
}

func (p planner) make(o op) plan {
	dir, name, err := p.t.find(o.path)
	if err != "" {
		return fails(err)
	}
	if dir.children[name] != nil {
		return fails("EEXIST")
	}
	n := p.newNode(fileKind, parseMode(o.flag))
	switch o.verb {
	case "mkdir":
		n = p.newNode(dirKind, parseMode(o.flag))
	case "symlink":
		n = p.newNode(symlinkKind, 0o777)
		n.target = linkTarget(o)
		n.size = int64(len(n.target))
	case "mknod":
		n = p.newNode(o.flag, 0o600)
		if o.flag == "chr" {
			n.rdev = charDevice
		}
	}
	return does(func() {
		dir.put(name, n)
		if o.verb == "create" {
			p.open[o.h] = &opened{n: n, write: true}
		}
	})
}

// charDevice is the number of the devices that programs make.
const charDevice = 1<<8 | 3

// linkTarget is never a path that exists.
func linkTarget(o op) string { return "nowhere/" + o.to }

func (p planner) onNode(o op, n *node) plan {
	switch o.verb {
	case "stat":
		return plan{answer: answer{attr: n.shown()}}
	case "readdir":
		if n.kind != dirKind {
			return fails("ENOTDIR")
		}
		return plan{answer: answer{names: slices.Sorted(maps.Keys(n.children))}}
	case "readfile":
		return plan{answer: answer{data: n.data}}
	case "unlink":
		if n.kind == dirKind {
			return fails("EISDIR")
		}
		return does(n.drop)
	case "rmdir":
		switch {
		case n.kind != dirKind:
			return fails("ENOTDIR")
		case len(n.children) > 0:
			return fails("ENOTEMPTY")
		}
		return does(n.drop)
	case "save", "truncate", "open":
		return p.onContent(o, n)
	}
	return p.onAttributes(o, n)
}

func (p planner) onContent(o op, n *node) plan {
	switch {
	case n.kind == dirKind:
		return fails("EISDIR")
	case o.verb == "save":
		return does(func() {
			n.change(content(p.number, o.n))
			n.settle()
		})
	case o.verb == "truncate":
		return does(func() {
			n.change(resized(n.data, o.n))
			n.settle()
		})
	}
	return does(func() {
		h := &opened{n: n, write: o.flag != "r", append: o.flag == "a"}
		p.open[o.h] = h
		if o.flag == "t" {
			n.change(nil)
		}
	})
}

func (p planner) onAttributes(o op, n *node) plan {
	change := does(func() {
		n.marker = true
		switch o.verb {
		case "chmod":
			n.mode = parseMode(o.flag)
		case "chown":
			n.uid, n.gid = uint32(o.n), uint32(o.n+1)
		case "utimens":
			n.atime, n.mtime = times(o)
		case "setxattr":
			n.xattrs = maps.Clone(n.xattrs)
			if n.xattrs == nil {
				n.xattrs = map[string]string{}
			}
			n.xattrs[xattrName(o)] = xattrValue(p.number)
		case "rmxattr":
			n.xattrs = maps.Clone(n.xattrs)
			delete(n.xattrs, xattrName(o))
		}
	})
	_, has := n.xattrs[xattrName(o)]
	switch {
	case o.verb == "setxattr" && o.flag == "create" && has:
		return fails("EEXIST")
	case o.verb == "setxattr" && o.flag == "replace" && !has, o.verb == "rmxattr" && !has:
		return fails("ENODATA")
	}
	return change
}

// times are what utimens sets, in nanoseconds.
func times(o op) (atime, mtime int64) { return 1e18 + o.n*1e9 + 7, 1e18 + o.n*1e9 + 123456789 }

func xattrName(o op) string { return "user.k" + strconv.FormatInt(o.n%2, 10) }

func xattrValue(number int) string { return "V/" + strconv.Itoa(number) }

func (n *node) shown() *attr {
	a := n.attr
	if a.kind == dirKind {
		a.size = 0
	}
	return &a
}

func (p planner) onHandle(o op) plan {
	h := p.open[o.h]
	n := h.n
	switch o.verb {
	case "read":
		from := min(o.off, n.size)
		return plan{answer: answer{data: n.data[from:min(from+o.n, n.size)]}}
	case "fstat":
		return plan{answer: answer{attr: n.shown()}}
	case "close", "fsync":
		return does(func() {
			if h.write {
				n.settle()
			}
			if o.verb == "close" {
				p.open[o.h] = nil
			}
		})
	case "resize":
		return does(func() {
			n.change(resized(n.data, o.n))
			n.settle()
		})
	case "allocate":
		return p.allocate(o, n)
	}
	return does(func() {
		off := o.off
		if h.append {
			off = n.size
		}
		if o.n > 0 {
			n.change(written(n.data, content(p.number, o.n), off))
		}
	})
}

func (p planner) allocate(o op, n *node) plan {
	if o.n == 0 {
		return fails("EINVAL")
	}
	return does(func() {
		end := o.off + o.n
		switch o.flag {
		case "grow":
			n.change(resized(n.data, max(end, n.size)))
		case "punch", "zerokeep":
			n.change(resized(n.data, n.size))
			clear(n.data[min(o.off, n.size):min(end, n.size)])
		case "zero":
			n.change(resized(n.data, max(end, n.size)))
			clear(n.data[o.off:end])
		case "keep":
			n.change(n.data)
		}
	})
}

func (p planner) rename(o op) plan {
	fromDir, fromName, err := p.t.find(o.path)
	if err != "" {
		return fails(err + "|ENOENT|ENOTDIR|ENAMETOOLONG")
	}
	toDir, toName, err := p.t.find(o.to)
	if err != "" {
		return fails(err + "|ENOENT|EINVAL")
	}
	from, to := fromDir.children[fromName], toDir.children[toName]
	if err := renameError(o, from, to, toDir); err != "" {
		return fails(err)
	}
	if from == to {
		return plan{}
	}
	return does(func() {
		if o.flag == "exchange" {
			fromDir.put(fromName, to)
			toDir.put(toName, from)
			return
		}
		if to != nil {
			to.parent, to.name = nil, "?"
		}
		delete(fromDir.children, fromName)
		fromDir.mtime = 0
		toDir.put(toName, from)
		if len(fromDir.children) == 0 {
			fromDir.marker = true
		}
	})
}

func renameError(o op, from, to, toDir *node) string {
	switch {
	case from == nil:
		return "ENOENT"
	case to != nil && o.flag == "noreplace":
		return "EEXIST"
	case to == nil && o.flag == "exchange":
		return "ENOENT"
	case from == to:
		return ""
	case from.holds(toDir):
		return "EINVAL|ENOTDIR|ENOTEMPTY"
	case to != nil && to.holds(from.parent):
		return "ENOTEMPTY|EISDIR|EINVAL"
	case o.flag == "exchange" || to == nil:
		return ""
	case from.kind == dirKind && to.kind != dirKind:
		return "ENOTDIR"
	case from.kind != dirKind && to.kind == dirKind:
		return "EISDIR"
	case len(to.children) > 0:
		return "ENOTEMPTY"
	}
	return ""
}

// holds reports whether n is dir or a directory above it.
func (n *node) holds(dir *node) bool {
	for ; dir != nil; dir = dir.parent {
		if dir == n {
			return true
		}
	}
	return false
}
