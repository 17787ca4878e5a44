// Package journal keeps on disk what the cache knows and still has to do: the
// inodes, their names, which bytes of them are present, and what is wanted at
// each key of the bucket. It is the only user of badger.
//
// # Records
//
// A record is a key that begins with one letter and a value that begins with
// the version of its encoding (codec.go, keys.go). Numbers in keys are
// big-endian, so that records lie in the order in which they are walked.
//
//	Z            format, endpoint, bucket and prefix, boot, orderly shutdown
//	Q            number of the last commit, see endMark
//	N            first inode number that was never handed out
//	I ino        Inode
//	E ino        Extents, or where its chunks are if they are long
//	C ino n c    chunk c of the extents that were written under number n
//	S ino group  Sums of 256 blocks of the data file
//	D ino name   Dirent
//	L ino        Listing
//	A key        Attributes, newest version only
//	K key        Row
//	U key        Upload without its parts
//	P key n      parts n*64 to n*64+63 of that upload
//	O ino        inode without a name that was still open
//	M ino        Move of a directory
//	X when ino   Conflict
//	F name       note
//
// # Journey of a change
//
// DB.Update runs a function on a Tx, which collects puts and deletes, and
// commits them at once or not at all. The commit is a write into a mapped log
// file (*.mem): it survives the end of the process at the moment Update
// returns, and a power cut only after the next DB.Sync. From the logs badger
// builds sorted tables in the background.
//
// A Tx reads its own changes. Badger's detection of conflicts is off: whoever
// calls Update serialises the changes of the same records.
//
// # Journey through a start
//
// Open removes what a kill can leave half made, opens badger, compares the Z
// record with the bucket that is asked for and marks the journal as in use.
// Close marks it as closed in order. What cannot be read gives ErrDamaged: the
// cache then moves the directory aside and builds a new one from the sidecars
// beside its data files.
package journal
