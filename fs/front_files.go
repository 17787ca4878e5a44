package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// Open is watched.
func (f *front) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	r, status := f.begin(opOpen, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Open(cancel, in, out)
}

// Read is watched.
func (f *front) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	r, status := f.begin(opRead, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return nil, status
	}
	if result, status = f.RawFileSystem.Read(cancel, in, buf); status.Ok() && result != nil {
		f.counts.bytesRead.Add(uint64(result.Size()))
	}
	return result, status
}

// Write is watched.
func (f *front) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, status fuse.Status) {
	r, status := f.begin(opWrite, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return 0, status
	}
	n, status = f.RawFileSystem.Write(cancel, in, data)
	f.counts.bytesWritten.Add(uint64(n))
	return n, status
}

// Writev is watched. It is what the server calls for a WRITE, and Write only if
// this is not there.
func (f *front) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (n uint32, status fuse.Status) {
	r, status := f.begin(opWrite, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return 0, status
	}
	n, status = f.RawFileSystem.Writev(cancel, in, data)
	f.counts.bytesWritten.Add(uint64(n))
	return n, status
}

// CopyFileRange is watched.
func (f *front) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (n uint32, status fuse.Status) {
	r, status := f.begin(opCopy, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return 0, status
	}
	return f.RawFileSystem.CopyFileRange(cancel, in)
}

// Lseek is watched.
func (f *front) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) (status fuse.Status) {
	r, status := f.begin(opLseek, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Lseek(cancel, in, out)
}

// Flush is watched.
func (f *front) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (status fuse.Status) {
	r, status := f.begin(opFlush, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Flush(cancel, in)
}

// Fsync is watched.
func (f *front) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	r, status := f.begin(opFsync, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Fsync(cancel, in)
}

// Fallocate is watched.
func (f *front) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) (status fuse.Status) {
	r, status := f.begin(opFallocate, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Fallocate(cancel, in)
}

// Release is watched.
func (f *front) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	r, status := f.begin(opRelease, &in.InHeader, "")
	defer f.end(r, &status)
	f.RawFileSystem.Release(cancel, in)
}

// Readlink is watched.
func (f *front) Readlink(cancel <-chan struct{}, h *fuse.InHeader) (target []byte, status fuse.Status) {
	r, status := f.begin(opReadlink, h, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return nil, status
	}
	return f.RawFileSystem.Readlink(cancel, h)
}

// GetXAttr is watched.
func (f *front) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (n uint32, status fuse.Status) {
	r, status := f.begin(opGetxattr, h, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return 0, status
	}
	return f.RawFileSystem.GetXAttr(cancel, h, name, dest)
}

// ListXAttr is watched.
func (f *front) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (n uint32, status fuse.Status) {
	r, status := f.begin(opListxattr, h, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return 0, status
	}
	return f.RawFileSystem.ListXAttr(cancel, h, dest)
}

// SetXAttr is watched.
func (f *front) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) (status fuse.Status) {
	r, status := f.begin(opSetxattr, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.SetXAttr(cancel, in, name, value)
}

// RemoveXAttr is watched.
func (f *front) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string) (status fuse.Status) {
	r, status := f.begin(opRemovexattr, h, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.RemoveXAttr(cancel, h, name)
}
