// Package cache keeps the files of one mounted prefix: their names,
// attributes and bytes on a local disk, and brings the bucket into step.
//
// # Words
//
// A key is a name in S3; a name is one path element below the mount; an
// object is what lies at a key; an inode is one lineage of content; a row is
// what is wanted at a key and what is known there. To flush is to bring a key
// to what its row wants; to park is to give a local file that met a foreign
// change a name of its own; to fetch is to bring bytes of an object into the
// data file; to evict is to give such bytes up again; a row settles when what
// is wanted is known to be there.
//
// # How data flows
//
// Names and attributes are records of the journal, read from it whenever they
// are asked for; only files that are open, or on their way to the bucket, have
// an object in memory (type file). A change of a name is one transaction that
// moves the dirent and edits the rows of the keys concerned; the flusher sees
// rows only, never operations, so that life and recovery run the same code.
//
// Reading goes data file first; what is missing there is fetched in ranges of
// exactly the version that the inode descends from (Base, at key At). Writing
// goes to the data file alone. The first change after a quiet state is noted in
// the journal before the bytes are written (noteChange); close writes size,
// extents and the row's due time in one transaction; fsync makes the data file
// and then the journal durable.
//
// The queue (one goroutine, no lock) holds the key of every row and knows when
// it is due. A worker takes a key through begin (under the lock: what is to be
// done now, with which condition), run (no lock: S3), end (under the lock: what
// it means). While a content is being sent it is frozen: a writer first saves
// the bytes it overwrites (type frozen), so an object is always one state of
// the file.
//
// A directory is renamed in one transaction, whatever is below it: only names
// move. What keys the names in it have is said by its Prefix, and while its
// move is under way by Prefix, Next and Cursor: a name up to Cursor has its key
// below Next already. The move (runMove, a task of the queue) lists what lies
// below the old prefix, then takes name after name to the new one, each as the
// rename of a file does, and leaves the directories among them to moves of
// their own. At every moment each name has one key and each key one name: until
// a move has ended the keys that it leaves are its own, and a directory that is
// to have them keeps its rows aside, at keys that S3 cannot have.
//
// A conflict ends as Config.OnConflict says (conflict.go). A file put aside
// (TheirsWins) has no name, key or row, and is never evicted: it waits for
// KeepMine or KeepTheirs (conflicts.go). Where the bucket decides who makes a
// name, its key is claimed by an empty object first (claim.go); until that has
// ended the key's row wants absence, so that a crash leaves nothing.
//
// A listing is merged into the dirents page by page; it speaks only for keys
// without a row, and not for keys that settled after it began.
//
// # The network
//
// All requests pass type watched (reach.go), which tells type network how they
// went. That is online, degraded or offline (the table is in network.go).
// Offline no request is made but one probe at a time: questions end, lookups
// and listings are answered from what is known, the queue rests. The first
// answer of any kind ends that, and what the network had failed is due at once.
//
// # Locks
//
// Cache.mu → file.mu → leaves (journal transaction, space, freshness, network). Cache.mu
// guards names, inode records, rows and the map of live files; it is held for
// memory and transactions, never for the data file's bytes or the network.
// file.mu guards one file's bytes, extents and counters, and its E record. The
// queue goroutine takes no lock at all.
//
// # When the power goes
//
// The journal is written in order: a power cut takes its end. What that means
// for bytes is said by Extents.Loose: ranges of the data file that never were
// durable, which the next boot gives up for what lies below them in the bucket
// (afterReboot, datasync.go). A dirty file that a cut met is Torn until it is
// changed or sent: if the bucket has a later content of ours, told by the
// nonces of our sessions (nonce.go), that one is taken. What must not be done
// before the journal is durable: replace an object that was another inode's,
// begin an upload in parts (mustRemember), and remove a data file (condemned).
// What must be durable before the journal is: the bytes of a file that took the
// place of an older content without an fsync (ordered).
// Listings of before are not believed (news).
//
// # When the disk fails
//
// What the disk of the cache fails with is noted by type diskHealth, which says so
// once; the sync loop finds out when it works again. A sync that failed cannot be
// repeated: the kernel calls written what it has lost. Data files are written
// anew before their next sync (datasync.go), and so are the logs of the journal
// (journal.Mend).
//
// # When the index is lost
//
// Beside each data file that is not clean lies a sidecar with the names and
// extents needed to queue it again (sidecar.go). If the journal is damaged it
// is moved aside and a new one is built from them.
package cache
