// Package powercut is a directory in memory that forgets on command what was
// not synced, as a disk does whose power is cut. Tests put a cache on it.
//
// It is a FUSE filesystem served by a process of its own: a daemon that maps
// files of it waits for that process at every page fault. Pages that are
// written through a mapping arrive as writes when the kernel flushes them: at
// msync, fsync, munmap and the end of the process that mapped them. A cut comes
// after the death of all who use the directory; it unmounts, forgets, and
// mounts again, so that the kernel remembers nothing either.
//
// # What survives
//
// The rules are those of ext4 in its default mode, and stricter where POSIX
// allows it and nothing that we use counts on more:
//
//   - fsync and fdatasync of a file make its bytes, holes and size durable, and
//     its name and those of the directories above it if they never were (ext4
//     commits the journal that made them; badger counts on it). They say nothing
//     about a later rename.
//   - fsync of a directory makes the present names in it durable, and of other
//     directories what happened before to the names that it shares a rename with.
//   - A rename, over an existing name too, has happened or has not.
//   - Of names that were not synced a cut keeps a first part, in the order in
//     which they were made: the journal is written in order. Whether it also
//     keeps anything of the files' bytes is another matter: renaming a file over
//     another syncs nothing here (auto_da_alloc is not counted on).
//   - A file's unsynced bytes are decided about one block of 4 KiB at a time. A
//     block that had been durable keeps its old bytes or has the new ones. One
//     that is new has its bytes or reads as zeros. The size is the durable one,
//     the newest, or one between them that a kept block gives.
//   - A file cut shorter loses its tail or does not; if it does not, nothing of
//     what was written behind the cut afterwards is there.
//   - What a sync that failed (Trouble) was to write is lost, and a later sync
//     that succeeds does not change that, unless it is written again.
//   - Modes and times are not forgotten: the cache does not count on them.
package powercut
