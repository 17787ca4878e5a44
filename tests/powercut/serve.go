package powercut

import (
	"maps"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// remember is how long the kernel may keep what it was told: only it makes
// changes.
const remember = 3600 // s

// A server is a disk as go-fuse wants it. Node ids are inode numbers, handles
// of files too.
type server struct {
	fuse.RawFileSystem
	*disk
	*troubles
	dirs map[uint64][]fuse.DirEntry // open directories
	next uint64                     // handle of a directory
}

func newServer(d *disk, t *troubles) *server {
	return &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d, troubles: t, dirs: map[uint64][]fuse.DirEntry{}}
}

func (s *server) String() string { return "powercut" }

func (n *inode) attr(out *fuse.Attr) {
	sec, ns := uint64(n.mtime/1e9), uint32(n.mtime%1e9)
	*out = fuse.Attr{Ino: n.ino, Mode: n.mode, Nlink: 1, Atime: sec, Mtime: sec, Ctime: sec, Atimensec: ns, Mtimensec: ns, Ctimensec: ns,
		Owner: fuse.Owner{Uid: n.uid, Gid: n.gid}, Rdev: n.rdev, Blksize: blockSize}
	if n.file != nil {
		out.Size, out.Blocks = uint64(n.file.live.size), uint64(len(n.file.live.blocks))*blockSize/512
	}
	if !n.named {
		out.Nlink = 0
	}
}

func (n *inode) entry(out *fuse.EntryOut) {
	out.NodeId, out.Generation, out.EntryValid, out.AttrValid = n.ino, 1, remember, remember
	n.attr(&out.Attr)
}

// child returns an inode by its name, nil if there is none.
func (s *server) child(dir uint64, name string) *inode { return s.inodes[s.inodes[dir].live[name]] }

func (s *server) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.child(h.NodeId, name)
	if n == nil {
		return fuse.ENOENT
	}
	n.entry(out)
	return fuse.OK
}

func (s *server) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out.AttrValid = remember
	s.inodes[in.NodeId].attr(&out.Attr)
	return fuse.OK
}

func (s *server) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if st := s.meet(Writes | Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inodes[in.NodeId]
	if size, ok := in.GetSize(); ok && n.file != nil {
		n.file.truncate(int64(size))
		n.mtime = s.now()
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode&0o7777
	}
	if uid, ok := in.GetUID(); ok {
		n.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.gid = gid
	}
	if t, ok := in.GetMTime(); ok {
		n.mtime = t.UnixNano()
	}
	out.AttrValid = remember
	n.attr(&out.Attr)
	return fuse.OK
}

// add makes an inode for a request.
func (s *server) add(h *fuse.InHeader, name string, mode uint32) (*inode, fuse.Status) {
	if s.child(h.NodeId, name) != nil {
		return nil, fuse.Status(syscall.EEXIST)
	}
	n := s.make(s.inodes[h.NodeId], name, mode)
	n.uid, n.gid = h.Uid, h.Gid
	return n, fuse.OK
}

func (s *server) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, status := s.add(&in.InHeader, name, in.Mode)
	if status.Ok() {
		n.rdev = in.Rdev
		n.entry(out)
	}
	return status
}

func (s *server) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, status := s.add(&in.InHeader, name, in.Mode|syscall.S_IFDIR)
	if status.Ok() {
		n.entry(out)
	}
	return status
}

func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, status := s.add(&in.InHeader, name, in.Mode|syscall.S_IFREG)
	if status.Ok() {
		n.entry(&out.EntryOut)
		s.opened(n, &out.OpenOut)
	}
	return status
}

func (s *server) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child(h.NodeId, name) == nil {
		return fuse.ENOENT
	}
	s.change(nameOp{{dir: h.NodeId, name: name}})
	s.sweep()
	return fuse.OK
}

func (s *server) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.child(h.NodeId, name)
	switch {
	case n == nil:
		return fuse.ENOENT
	case len(n.live) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	s.change(nameOp{{dir: h.NodeId, name: name}})
	return fuse.OK
}

// Rename knows the flag RENAME_NOREPLACE only.
func (s *server) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	const noReplace = 1
	if st := s.meet(Changes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, there := s.child(in.NodeId, from), s.child(in.Newdir, to)
	switch {
	case in.Flags&^noReplace != 0:
		return fuse.EINVAL
	case n == nil:
		return fuse.ENOENT
	case there != nil && in.Flags&noReplace != 0:
		return fuse.Status(syscall.EEXIST)
	case there != nil && len(there.live) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	case there == n:
		return fuse.OK
	}
	s.change(nameOp{{dir: in.NodeId, name: from}, {in.Newdir, to, n.ino}})
	s.sweep()
	return fuse.OK
}

func (s *server) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []fuse.DirEntry
	live := s.inodes[in.NodeId].live
	for _, name := range slices.Sorted(maps.Keys(live)) {
		list = append(list, fuse.DirEntry{Name: name, Ino: live[name], Mode: s.inodes[live[name]].mode})
	}
	s.next++
	s.dirs[s.next] = list
	out.Fh = s.next
	return fuse.OK
}

func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.dirs[in.Fh] {
		if e.Off = uint64(i + 1); uint64(i) >= in.Offset && !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

func (s *server) ReleaseDir(in *fuse.ReleaseIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dirs, in.Fh)
}

func (s *server) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if st := s.meet(Syncs); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitPath(s.inodes[in.NodeId])
	s.commit(map[uint64]bool{in.NodeId: true})
	return fuse.OK
}

// StatFs tells of a disk that never fills.
func (s *server) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks = 64 << 30 / blockSize
	*out = fuse.StatfsOut{Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: 1 << 30, Ffree: 1 << 30, Bsize: blockSize, Frsize: blockSize, NameLen: 255}
	return fuse.OK
}
