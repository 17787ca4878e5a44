package powercut

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// opened counts an open. The kernel keeps its pages from one open to the next.
func (s *server) opened(n *inode, out *fuse.OpenOut) {
	n.opens++
	out.Fh, out.OpenFlags = n.ino, fuse.FOPEN_KEEP_CACHE
}

func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inodes[in.NodeId]
	if n.file == nil {
		return fuse.EINVAL
	}
	if in.Flags&syscall.O_TRUNC != 0 {
		n.file.truncate(0)
		n.mtime = s.now()
	}
	s.opened(n, out)
	return fuse.OK
}

func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inodes[in.NodeId].opens--
	s.sweep()
}

func (s *server) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.inodes[in.NodeId].file
	if at, data := f.seek(int64(in.Offset), true); data && at < int64(in.Offset)+int64(len(buf)) { // a hole is not read
		if st := s.meet(Reads); !st.Ok() {
			return nil, st
		}
	}
	n := f.read(buf, int64(in.Offset))
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (s *server) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if st := s.meet(Writes); !st.Ok() {
		return 0, st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inodes[in.NodeId]
	n.file.write(data, int64(in.Offset))
	n.mtime = s.now()
	return uint32(len(data)), fuse.OK
}

// Writev leaves it to Write.
func (s *server) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

func (s *server) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	st := s.meet(Syncs)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.inodes[in.NodeId]
	if !st.Ok() {
		n.file.giveUp()
		return st
	}
	s.syncFile(n)
	return fuse.OK
}

func (s *server) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if st := s.meet(Writes); !st.Ok() {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, from, to := s.inodes[in.NodeId].file, int64(in.Offset), int64(in.Offset+in.Length)
	switch in.Mode {
	case 0:
		f.truncate(max(f.live.size, to))
	case unix.FALLOC_FL_KEEP_SIZE:
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE:
		f.zero(from, min(to, f.live.size))
	default:
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return fuse.OK
}

func (s *server) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := s.inodes[in.NodeId].file.seek(int64(in.Offset), in.Whence == unix.SEEK_DATA)
	if !found {
		return fuse.Status(syscall.ENXIO)
	}
	out.Offset = uint64(at)
	return fuse.OK
}
