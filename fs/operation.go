package fs

// An operation is a kind of request of the kernel.
type operation uint8

const (
	opNone operation = iota
	opLookup
	opGetattr
	opSetattr
	opStatx
	opMknod
	opMkdir
	opSymlink
	opLink
	opUnlink
	opRmdir
	opRename
	opCreate
	opTmpfile
	opOpen
	opRead
	opWrite
	opFlush
	opFsync
	opRelease
	opFallocate
	opLseek
	opCopy
	opOpendir
	opReaddir
	opFsyncdir
	opReleasedir
	opReadlink
	opStatfs
	opGetxattr
	opListxattr
	opSetxattr
	opRemovexattr
	operations
)

// operationNames are the system calls' names, as messages and metrics have
// them.
var operationNames = [operations]string{
	opLookup: "lookup", opGetattr: "getattr", opSetattr: "setattr", opStatx: "statx", opMknod: "mknod", opMkdir: "mkdir",
	opSymlink: "symlink", opLink: "link", opUnlink: "unlink", opRmdir: "rmdir", opRename: "rename", opCreate: "create",
	opTmpfile: "tmpfile", opOpen: "open", opRead: "read", opWrite: "write", opFlush: "flush", opFsync: "fsync",
	opRelease: "release", opFallocate: "fallocate", opLseek: "lseek", opCopy: "copy_file_range",
	opOpendir: "opendir", opReaddir: "readdir", opFsyncdir: "fsyncdir", opReleasedir: "releasedir", opReadlink: "readlink",
	opStatfs: "statfs", opGetxattr: "getxattr", opListxattr: "listxattr", opSetxattr: "setxattr", opRemovexattr: "removexattr",
}

// onHandles are the operations on what is open already.
var onHandles = [operations]bool{opRead: true, opWrite: true, opFlush: true, opFsync: true, opRelease: true, opFallocate: true,
	opLseek: true, opCopy: true, opReaddir: true, opFsyncdir: true, opReleasedir: true}

func (o operation) String() string { return operationNames[o] }
