package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// Lookup is watched.
func (f *front) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) (status fuse.Status) {
	r, status := f.begin(opLookup, h, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Lookup(cancel, h, name, out)
}

// GetAttr is watched.
func (f *front) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	r, status := f.begin(opGetattr, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.GetAttr(cancel, in, out)
}

// SetAttr is watched.
func (f *front) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (status fuse.Status) {
	r, status := f.begin(opSetattr, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.SetAttr(cancel, in, out)
}

// Statx is watched.
func (f *front) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) (status fuse.Status) {
	r, status := f.begin(opStatx, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Statx(cancel, in, out)
}

// Mknod is watched.
func (f *front) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	r, status := f.begin(opMknod, &in.InHeader, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Mknod(cancel, in, name, out)
}

// Mkdir is watched.
func (f *front) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	r, status := f.begin(opMkdir, &in.InHeader, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Mkdir(cancel, in, name, out)
}

// Symlink is watched.
func (f *front) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) (status fuse.Status) {
	r, status := f.begin(opSymlink, h, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Symlink(cancel, h, target, name, out)
}

// Link is watched.
func (f *front) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) (status fuse.Status) {
	r, status := f.begin(opLink, &in.InHeader, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Link(cancel, in, name, out)
}

// Unlink is watched.
func (f *front) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) (status fuse.Status) {
	r, status := f.begin(opUnlink, h, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Unlink(cancel, h, name)
}

// Rmdir is watched.
func (f *front) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) (status fuse.Status) {
	r, status := f.begin(opRmdir, h, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Rmdir(cancel, h, name)
}

// Rename is watched, in both directories.
func (f *front) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) (status fuse.Status) {
	r, status := f.begin(opRename, &in.InHeader, oldName)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	f.under.also(r, in.Newdir)
	return f.RawFileSystem.Rename(cancel, in, oldName, newName)
}

// Create is watched.
func (f *front) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) (status fuse.Status) {
	r, status := f.begin(opCreate, &in.InHeader, name)
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Create(cancel, in, name, out)
}

// Tmpfile is watched.
func (f *front) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) (status fuse.Status) {
	r, status := f.begin(opTmpfile, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.Tmpfile(cancel, in, out)
}

// OpenDir is watched.
func (f *front) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (status fuse.Status) {
	r, status := f.begin(opOpendir, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.OpenDir(cancel, in, out)
}

// ReadDir is watched.
func (f *front) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	r, status := f.begin(opReaddir, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.ReadDir(cancel, in, out)
}

// ReadDirPlus is watched, as ReadDir.
func (f *front) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (status fuse.Status) {
	r, status := f.begin(opReaddir, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.ReadDirPlus(cancel, in, out)
}

// FsyncDir is watched.
func (f *front) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) (status fuse.Status) {
	r, status := f.begin(opFsyncdir, &in.InHeader, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.FsyncDir(cancel, in)
}

// ReleaseDir is watched.
func (f *front) ReleaseDir(in *fuse.ReleaseIn) {
	r, status := f.begin(opReleasedir, &in.InHeader, "")
	defer f.end(r, &status)
	f.RawFileSystem.ReleaseDir(in)
}

// StatFs is watched.
func (f *front) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) (status fuse.Status) {
	r, status := f.begin(opStatfs, h, "")
	defer f.end(r, &status)
	if !status.Ok() {
		return status
	}
	return f.RawFileSystem.StatFs(cancel, h, out)
}
