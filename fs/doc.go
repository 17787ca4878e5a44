// Package fs is the FUSE side of moorfs: it turns the kernel's requests into
// calls of package cache, and errors into errnos. It holds no state of files:
// a node is an inode number, a handle is a *cache.Handle or a position in a
// directory. What a file is like is asked of the cache each time.
//
// # How a request flows
//
// go-fuse reads a request from /dev/fuse. It passes front, which knows what is
// under way, counts, holds allow-root, and turns a panic below it into EIO; then
// killPriv (set-ID bits), then dirReader, which reads directories, then go-fuse's node tree, which finds the *node or *file and
// calls the method in node.go, names.go, attr.go, xattr.go, file.go or dir.go. That calls the cache, and errno.go says
// what the system call ends with. It is the only place where an error becomes
// an errno; what it cannot name is EIO and a line in the log.
//
// The request's context ends when the caller is interrupted by a signal. The
// cache looks at it only where it waits for the bucket or for space, so a
// change of names is made wholly or not at all. A context belongs to its
// request: nothing keeps it, or the buffers of READ and WRITE, beyond the
// answer.
//
// # What the kernel keeps, and who tells it to forget
//
//   - Names, for Options.EntryTTL, and that a name does not exist, for
//     NegativeTTL. The cache calls Kernel.EntryGone when a name turns out to
//     mean something else.
//   - Attributes, for AttrTTL. A write or truncation by a local program makes
//     the kernel ask again by itself.
//   - Pages of a file, for as long as it likes: an inode is one lineage of
//     content, so pages stay right while the inode lives, and an open keeps
//     them (FOPEN_KEEP_CACHE) if Handle.SameContent says so. A foreign
//     overwrite is a new inode, not new content of the old one. As a second
//     guard the kernel drops pages when a GETATTR shows another size or mtime
//     (AUTO_INVAL_DATA).
//   - Nothing dirty: there is no write-back cache in the kernel, each write(2)
//     reaches the daemon before it returns. With such a cache the kernel would
//     ignore size and mtime that come from the bucket.
//   - Locks: flock and fcntl locks are kept by the kernel alone, because the
//     daemon does not ask for them. They hold between processes on this mount.
//   - Nothing of readdir: each opendir reads the cache anew.
//
// # Inode identity
//
// The number of an inode is its node id on the wire (ExternalNodeID), its
// st_ino, and its key in the journal; numbers are never given twice, so there
// are no generations, and a notification needs no table from inodes to nodes.
// go-fuse keeps a tree of names of its own beside ours. It decides nothing:
// each LOOKUP asks the cache, and go-fuse moves or replaces its entry after the
// cache has answered.
//
// # Directories
//
// A dirStream asks the cache for what comes strictly after the last name, a
// thousand at a time, and so neither misses nor repeats a name while the
// directory changes. Its offsets count entries; dirstream.go says how a seek
// finds its way back.
//
// # Deadlocks that are avoided
//
// Three, all of which end in a process that no signal kills until its
// connection is aborted through fusectl:
//
//   - A notification made from inside a request. The kernel holds the
//     directory's or page's lock while it waits for the answer, and the
//     notification wants that lock. So EntryGone and ContentChanged only
//     queue, and one goroutine that holds no lock and that nobody waits for
//     tells the kernel. It puts off what would wait for a request that is seen
//     to take long: killed while it waits there, the daemon could not die.
//     Between that look and the kernel's lock is a gap, and locks are held for
//     other reasons too; AbortIf is how a later mount or umount ends that.
//   - The daemon using its own mount. Nothing here stats the mountpoint while
//     it is served: the connection's number is read from mountinfo. The one
//     exception is go-fuse's probe in WaitMount, a name in the root that
//     go-fuse answers before it reaches us; it turns poll off for the mount,
//     which Go's runtime would otherwise trip over.
//   - A dead or hung mount in the way of a new one. CheckMountpoint reads
//     mountinfo first, and touches the path in a goroutine that it can leave
//     behind.
//
// # Locks
//
// None but leaf mutexes: of the notification queue, of the requests under way,
// and of each directory that is read.
//
// # Set-ID bits
//
// With HANDLE_KILLPRIV_V2 the kernel does not ask for security.capability
// before every write, and in return leaves it to the daemon to clear the
// set-ID bits; setid.go does, and api_check.go lists what go-fuse is to find.
package fs
