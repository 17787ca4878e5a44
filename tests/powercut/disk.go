package powercut

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

const root = 1

// A disk is the directory's inodes, and the changes of names that are not
// durable yet, oldest first.
type disk struct {
	mu     sync.Mutex
	inodes map[uint64]*inode
	ops    []nameOp
	last   uint64 // inode number given out
	swept  int    // inodes that were left by the last sweep
}

func newDisk() *disk {
	d := &disk{inodes: map[uint64]*inode{}, last: root}
	d.inodes[root] = &inode{ino: root, mode: syscall.S_IFDIR | 0o700, live: map[string]uint64{}, safe: map[string]uint64{},
		named: true, durable: true, mtime: d.now()}
	return d
}

func (d *disk) now() int64 { return time.Now().UnixNano() }

// make makes an inode under a name.
func (d *disk) make(dir *inode, name string, mode uint32) *inode {
	d.last++
	n := &inode{ino: d.last, mode: mode, mtime: d.now()}
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		n.file = newFile()
	case syscall.S_IFDIR:
		n.live, n.safe = map[string]uint64{}, map[string]uint64{}
	}
	d.inodes[n.ino] = n
	d.change(nameOp{{dir.ino, name, n.ino}})
	return n
}

// sweep drops inodes that nobody has open and no cut can bring back.
func (d *disk) sweep() {
	if len(d.inodes) < 2*d.swept+256 {
		return
	}
	used := map[uint64]bool{root: true}
	for _, n := range d.inodes {
		for _, names := range []map[string]uint64{n.live, n.safe} {
			for _, ino := range names {
				used[ino] = true
			}
		}
	}
	for _, op := range d.ops {
		for _, e := range op {
			used[e.ino] = true
		}
	}
	maps.DeleteFunc(d.inodes, func(ino uint64, n *inode) bool { return !used[ino] && n.opens == 0 })
	d.swept = len(d.inodes)
}

// A Fate says what a cut leaves of what was not synced.
type Fate string

const (
	Nothing Fate = "nothing" // all is gone
	Some    Fate = "some"    // some blocks and names, by chance
	Zeros   Fate = "zeros"   // sizes without the bytes that belong to them
)

// cut forgets. Nobody may have anything open.
func (d *disk) cut(fate Fate, seed uint64) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	random := rand.New(rand.NewPCG(seed, 0))
	unsynced := len(d.ops)
	kept := 0
	if fate != Nothing {
		kept = random.IntN(unsynced + 1)
	}
	for _, op := range d.ops[:kept] {
		d.settle(op)
	}
	d.ops = nil
	there := map[uint64]*inode{}
	d.reach(d.inodes[root], there)
	d.inodes = there
	blocks, lost := 0, 0
	var files []string
	for ino := uint64(root); ino <= d.last; ino++ { // in an order that the seed repeats
		n := there[ino]
		if n == nil || n.file == nil {
			continue
		}
		was := len(n.file.changed)
		blocks += was
		gone := was - n.file.crash(fate, random)
		lost += gone
		if gone > 0 {
			files = append(files, fmt.Sprintf("%s %d", d.path(n), gone))
		}
	}
	return fmt.Sprintf("%d of %d changes of names and %d of %d blocks were lost: %s", unsynced-kept, unsynced, lost, blocks,
		strings.Join(files, ", "))
}

// path returns the path by which an inode is reached.
func (d *disk) path(n *inode) string {
	path := ""
	for n.ino != root {
		parent := d.inodes[n.parent]
		for name, ino := range parent.live {
			if ino == n.ino {
				path = "/" + name + path
			}
		}
		n = parent
	}
	return path
}

// reach collects what has a durable name below n, and makes it all that is
// there.
func (d *disk) reach(n *inode, there map[uint64]*inode) {
	there[n.ino] = n
	n.named, n.durable, n.opens = true, true, 0
	if !n.isDir() {
		return
	}
	n.live = map[string]uint64{}
	for name, ino := range n.safe {
		child := d.inodes[ino]
		if child == nil { // unlinked without a trace, but for the change that was lost
			delete(n.safe, name)
			continue
		}
		n.live[name], child.parent = ino, n.ino
		d.reach(child, there)
	}
}

// crash leaves of a file what fate says, and returns how many of the changed
// blocks it kept.
func (f *file) crash(fate Fate, random *rand.Rand) (kept int) {
	after := f.safe.clone()
	newest := f.live.size
	limit := f.live.size
	if f.low < f.safe.size {
		if fate != Nothing && random.IntN(2) == 0 { // the truncation was written
			after.truncate(f.low)
		} else { // it was not: what came behind it cannot be there
			newest, limit = f.safe.size, f.low/blockSize*blockSize
		}
	}
	end := after.size
	if fate != Nothing {
		share := random.Float64()
		for i := int64(0); i*blockSize < max(f.live.size, f.safe.size); i++ {
			if _, changed := f.changed[i]; !changed || i*blockSize >= limit || random.Float64() >= share {
				continue
			}
			b := f.live.blocks[i]
			if fate == Zeros && (after.blocks[i] == nil || b == nil) {
				continue
			}
			kept++
			if b == nil {
				delete(after.blocks, i)
			} else {
				after.blocks[i] = b
				end = max(end, min((i+1)*blockSize, newest))
			}
		}
		switch pick := random.IntN(3); {
		case fate == Zeros || pick == 0:
			after.size = newest
		case pick == 1:
			after.size = end
		}
	}
	after.truncate(after.size)
	*f = file{live: after, safe: after.clone(), changed: map[int64]struct{}{}, low: after.size}
	return kept
}

// truncate sets the size and clears what a block has behind it.
func (c *content) truncate(size int64) {
	c.size = size
	for i, b := range c.blocks {
		switch from := size - i*blockSize; {
		case from <= 0:
			delete(c.blocks, i)
		case from < blockSize:
			cut := *b
			clear(cut[from:])
			c.blocks[i] = &cut
		}
	}
}
