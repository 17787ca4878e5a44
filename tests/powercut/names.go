package powercut

import (
	"slices"
	"syscall"
)

// An inode is a file, a directory or a special file.
type inode struct {
	ino   uint64
	mode  uint32 // type and permissions
	uid   uint32
	gid   uint32
	mtime int64 // ns; ctime too
	rdev  uint32

	file       *file             // of a regular file
	live, safe map[string]uint64 // of a directory
	parent     uint64
	named      bool // has a name
	durable    bool // has had a durable name; fsync need not give it one
	opens      int
}

func (n *inode) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// A nameOp is a change of names that happens as a whole: entries are set, or
// removed if their inode is zero.
type nameOp []entry

type entry struct {
	dir  uint64
	name string
	ino  uint64
}

// change does op for the users, and keeps it for the next sync.
func (d *disk) change(op nameOp) {
	for _, e := range op {
		dir := d.inodes[e.dir]
		if old := d.inodes[dir.live[e.name]]; old != nil && old.ino != e.ino {
			old.named = false
		}
		if e.ino == 0 {
			delete(dir.live, e.name)
		} else {
			dir.live[e.name] = e.ino
		}
		dir.mtime = d.now()
	}
	for _, e := range op { // a rename takes a name away that its inode has elsewhere
		if n := d.inodes[e.ino]; n != nil {
			n.named, n.parent = true, e.dir
		}
	}
	d.ops = append(d.ops, op)
}

// commit makes durable what was done to the names of some directories, and
// whatever of other directories that includes.
func (d *disk) commit(dirs map[uint64]bool) {
	var keep, done []nameOp
	for _, op := range slices.Backward(d.ops) {
		if !slices.ContainsFunc(op, func(e entry) bool { return dirs[e.dir] }) {
			keep = append(keep, op)
			continue
		}
		for _, e := range op {
			dirs[e.dir] = true
		}
		done = append(done, op)
	}
	slices.Reverse(keep)
	d.ops = keep
	for _, op := range slices.Backward(done) {
		d.settle(op)
	}
}

// settle makes op durable.
func (d *disk) settle(op nameOp) {
	for _, e := range op {
		dir := d.inodes[e.dir]
		if dir == nil { // removed meanwhile, names and all
			continue
		}
		if e.ino == 0 {
			delete(dir.safe, e.name)
		} else {
			dir.safe[e.name] = e.ino
		}
		if n := d.inodes[e.ino]; n != nil {
			n.durable = true
		}
	}
}

// syncFile is fsync of a file.
func (d *disk) syncFile(n *inode) {
	if n.file != nil {
		n.file.sync()
	}
	d.commitPath(n)
}

// commitPath makes the names durable by which a new inode is reached.
func (d *disk) commitPath(n *inode) {
	dirs := map[uint64]bool{}
	for !n.durable && n.named && n.ino != root {
		dirs[n.parent] = true
		n = d.inodes[n.parent]
	}
	if len(dirs) > 0 {
		d.commit(dirs)
	}
}
