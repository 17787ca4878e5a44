package journal

import (
	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/s3backend"
)

// An Ino numbers one lineage of content. Numbers are never reused.
type Ino uint64

// Root is the mounted prefix.
const Root Ino = 1

// A Kind is the type of an inode.
type Kind uint8

const (
	File Kind = iota + 1
	Dir
	Symlink
	Fifo
	Socket
	CharDevice
	BlockDevice
)

// A State says what must still happen at S3 for a file's content and
// attributes; see cache/state.go for the table of transitions.
type State uint8

const (
	Clean State = iota + 1
	Armed
	Dirty
	Flushing
	Redirtied
	Conflicted
	Refused
	Orphan
)

// A Base is the version of an object that an inode's content descends from.
// The zero Base: there is none, all content is local.
type Base struct {
	ETag     s3backend.ETag
	Version  string
	Size     int64
	Modified int64 // ns since 1970
}

// A Change says in what an inode differs from its Base.
type Change uint8

const (
	ChangedData Change = 1 << iota
	ChangedMeta
)

// An Inode is the `I` record: everything about a file but its bytes and the
// extents of them that are present.
type Inode struct {
	Kind         Kind
	State        State
	Changed      Change
	AttrsKnown   bool // attributes come from the object's metadata or were set here, not from a listing
	Nlink        uint32
	Mode         uint32 // permission bits, 07777
	Uid, Gid     uint32
	Rdev         uint32
	Atime        int64 // ns since 1970
	Mtime        int64
	Ctime        int64
	Btime        int64
	Size         int64
	Generation   uint64 // counts changes; compared to tell what an upload carried
	Parent       Ino    // 0: no name any more
	Name         string // in Parent
	Prefix       string // directories: all keys below begin so; files put aside by a conflict: where their directory's keys began
	Base         Base
	At           string // key where Base's bytes lie; empty: nowhere
	Target       string // symlinks
	Xattrs       map[string][]byte
	Meta         map[string]string // foreign user metadata of the object, kept on every write
	Headers      s3backend.Headers
	StorageClass string
	Tags         int
	Encoding     uint8  // reserved for how the data file is stored: 0 raw
	Next         string // directories on the move: prefix of the marker and of the names up to Cursor; empty: none is under way
	Cursor       string
	Torn         bool // the power was cut while this was to be sent, and it did not change since: a newer content of ours may be in the bucket
}

// Extents is the `E` record: which bytes of the data file are content.
type Extents struct {
	Present extent.Set
	Dirty   extent.Set
	Touched extent.Set // blocks noted before they were written, not yet part of Dirty
	Damaged extent.Set // bytes that are only here and were found to be others than were written
	Loose   extent.Set // of Present: what the data file has never had on the disk for sure
	Synced  bool       // the data file was fdatasynced before this was written
	Boot    string     // boot id of the kernel when this was written
	Sums    uint32     // there are S records of the groups below this at most
}

// SumBlock is the piece of a data file that has a checksum of its own, and
// SumsPerGroup is how many of these are kept in one record.
const (
	SumBlock     = 256 << 10
	SumsPerGroup = 256
)

// A Sum is the CRC-32C of the first Len bytes of a block of a data file. The
// zero Sum says nothing.
type Sum struct{ Len, CRC uint32 }

// Sums is the `S` record: the checksums of consecutive blocks, as they are on
// the disk whether they are in the bucket or not. At most SumsPerGroup of them.
type Sums []Sum

// A Dirent is the `D` record: one name in a directory.
type Dirent struct {
	Ino  Ino
	Kind Kind
}

// A Listing is the `L` record: what is known about a directory as a whole.
type Listing struct {
	Begun    int64 // ns since 1970, when the newest complete listing began
	Ended    int64
	Complete bool // names not in the journal do not exist (as of Begun)
	Big      bool // more than one page: do not list it for a single name
}

// Want says what shall be at a key.
type Want uint8

const (
	WantNothing Want = iota // nothing in particular: the row only records
	WantInode               // the content (or marker) of Row.Ino
	WantAbsent              // no object
)

// Knowledge says what is at a key, as far as known.
type Knowledge uint8

const (
	KnownNot    Knowledge = iota // not known
	KnownAbsent                  // no object
	KnownThere                   // an object with Row.ETag
)

// Progress says what the flusher does about a row.
type Progress uint8

const (
	Waiting Progress = iota
	Running
	Refusing // S3 said no for good; retried on request or after a new change
)

// A Row is the `K` record: what is wanted at a key, and what is known there.
type Row struct {
	Want      Want
	Ino       Ino
	Known     Knowledge
	ETag      s3backend.ETag
	Version   string
	Progress  Progress
	Holder    Ino    // this other inode's only content lies at the key: neither overwrite nor delete
	After     string // a key whose row must be gone first
	Nonce     string // of writes whose outcome is not known, journalled before they are sent; the newest first, spaces between
	NonceGen  uint64 // Inode.Generation that it carries
	Attempts  uint32
	NotBefore int64  // ns since 1970; retry no earlier
	Due       int64  // ns since 1970; flush by itself then
	Since     int64  // ns since 1970; first change not yet in the bucket
	Kind      uint32 // s3backend.Kind of the last failure
	Error     string // last failure, one line
}

// A Move is the `M` record of a directory: what is in the bucket below its
// Prefix does not yet follow its name.
type Move struct {
	After    string // a key whose row must be gone first
	Since    int64  // ns since 1970; when it was renamed
	Attempts uint32
	Error    string // last failure, one line
}

// A Conflict is the `X` record.
type Conflict struct {
	Old, New string // keys; New empty: ours has no name and no key
	Ours     s3backend.ETag
	Theirs   s3backend.ETag
	When     int64
	Ino      Ino
}

// Attributes is the `A` record: what a HEAD said of one version of an object.
// Kept apart from inodes, so that a name that is listed anew needs no HEAD.
type Attributes struct {
	Object s3backend.Object
}
