// Package disk puts the cache of a real mount on a disk that fails: one that
// has become read-only, is slow, gives EIO for a while, or is filled by others,
// while files are read and written.
//
// Of each trouble is asked: what was cached is read as before, or ends with an
// error at once; a write is acknowledged or ends with an error; nothing hangs
// and no time-out fires that has nothing to do with it; the daemon says in its
// status and log what is wrong, in few lines. When the disk is well again,
// writes work again or the daemon has ended; after a flush a client of the
// bucket that shares nothing with moorfs finds every content that was
// acknowledged. Then the power is cut, and what fsync was answered for during
// and after the trouble is found by the next daemon.
package disk
