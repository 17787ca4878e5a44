package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// An ownerOnly lets in root and the mounting user, and nobody else. The kernel
// knows only "the mounting user" and "everybody" (allow_other), so that
// allow-root is ours to hold. What the kernel has cached for those two, others
// may see until it expires: names and attributes, never content.
type ownerOnly struct {
	fuse.RawFileSystem
	uid uint32
}

func (o *ownerOnly) denied(h *fuse.InHeader) bool { return h.Uid != 0 && h.Uid != o.uid }

// Lookup is for root and the mounting user.
func (o *ownerOnly) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Lookup(cancel, h, name, out)
}

// GetAttr is for root and the mounting user.
func (o *ownerOnly) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.GetAttr(cancel, in, out)
}

// SetAttr is for root and the mounting user.
func (o *ownerOnly) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.SetAttr(cancel, in, out)
}

// Statx is for root and the mounting user.
func (o *ownerOnly) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Statx(cancel, in, out)
}

// Mknod is for root and the mounting user.
func (o *ownerOnly) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Mknod(cancel, in, name, out)
}

// Mkdir is for root and the mounting user.
func (o *ownerOnly) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Mkdir(cancel, in, name, out)
}

// Symlink is for root and the mounting user.
func (o *ownerOnly) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Symlink(cancel, h, target, name, out)
}

// Link is for root and the mounting user.
func (o *ownerOnly) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Link(cancel, in, name, out)
}

// Unlink is for root and the mounting user.
func (o *ownerOnly) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Unlink(cancel, h, name)
}

// Rmdir is for root and the mounting user.
func (o *ownerOnly) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Rmdir(cancel, h, name)
}

// Rename is for root and the mounting user.
func (o *ownerOnly) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Rename(cancel, in, oldName, newName)
}

// Create is for root and the mounting user.
func (o *ownerOnly) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Create(cancel, in, name, out)
}

// Tmpfile is for root and the mounting user.
func (o *ownerOnly) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Tmpfile(cancel, in, out)
}

// Open is for root and the mounting user.
func (o *ownerOnly) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.Open(cancel, in, out)
}

// OpenDir is for root and the mounting user.
func (o *ownerOnly) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.OpenDir(cancel, in, out)
}

// SetXAttr is for root and the mounting user.
func (o *ownerOnly) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	if o.denied(&in.InHeader) {
		return fuse.EACCES
	}
	return o.RawFileSystem.SetXAttr(cancel, in, name, value)
}

// RemoveXAttr is for root and the mounting user.
func (o *ownerOnly) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.RemoveXAttr(cancel, h, name)
}

// StatFs is for root and the mounting user.
func (o *ownerOnly) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if o.denied(h) {
		return fuse.EACCES
	}
	return o.RawFileSystem.StatFs(cancel, h, out)
}

// Readlink is for root and the mounting user.
func (o *ownerOnly) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	if o.denied(h) {
		return nil, fuse.EACCES
	}
	return o.RawFileSystem.Readlink(cancel, h)
}

// GetXAttr is for root and the mounting user.
func (o *ownerOnly) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if o.denied(h) {
		return 0, fuse.EACCES
	}
	return o.RawFileSystem.GetXAttr(cancel, h, name, dest)
}

// ListXAttr is for root and the mounting user.
func (o *ownerOnly) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if o.denied(h) {
		return 0, fuse.EACCES
	}
	return o.RawFileSystem.ListXAttr(cancel, h, dest)
}
