package cache

import (
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// The vocabulary of the journal is the vocabulary of the cache.
type (
	Ino  = journal.Ino
	Kind = journal.Kind
)

const (
	Root        = journal.Root
	File        = journal.File
	Dir         = journal.Dir
	Symlink     = journal.Symlink
	Fifo        = journal.Fifo
	Socket      = journal.Socket
	CharDevice  = journal.CharDevice
	BlockDevice = journal.BlockDevice
)

// Attr is what stat(2) shows of an inode.
type Attr struct {
	Ino      Ino
	Kind     Kind
	Mode     uint32 // permission bits, 07777
	Nlink    uint32
	Uid, Gid uint32
	Rdev     uint32
	Size     int64
	Blocks   int64 // 512-byte blocks in use
	Atime    time.Time
	Mtime    time.Time
	Ctime    time.Time
	Btime    time.Time
}

// AttrChange is what SetAttr shall change; nil fields stay.
type AttrChange struct {
	Mode     *uint32
	Uid, Gid *uint32
	Size     *int64
	Atime    *time.Time
	Mtime    *time.Time
}

// New describes an inode to be made.
type New struct {
	Kind      Kind
	Mode      uint32
	Uid, Gid  uint32
	Rdev      uint32
	Target    string // symlinks
	Exclusive bool   // of a file: O_EXCL
}

// OpenMode says what a handle is for.
type OpenMode struct {
	Write    bool
	Append   bool // writes go to the end, whatever their offset
	Truncate bool
	NoAtime  bool // reading leaves the access time
}

// A Rename moves a name.
type Rename struct {
	OldParent, NewParent Ino
	OldName, NewName     string
	NoReplace            bool // ErrExist if the new name exists
	Exchange             bool
	Moves                Ino // what the caller takes OldName for: ErrStale if it means another; 0: whatever it is
}

// A DirEntry is one line of ReadDir.
type DirEntry struct {
	Name string
	Ino  Ino
	Kind Kind
}

// Xattr names that every file answers, read-only.
const (
	XattrETag    = "user.s3.etag"
	XattrVersion = "user.s3.version-id"
	XattrState   = "user.moorfs.state"
)

// Usage is what statfs(2) shows.
type Usage struct {
	Total, Free int64 // bytes
	Files       uint64
}

// Status is a snapshot of what the cache holds and what it still has to do.
type Status struct {
	Bucket     string         `json:"bucket"`
	Prefix     string         `json:"prefix"`
	CacheDir   string         `json:"cache_dir"`
	CacheBytes int64          `json:"cache_bytes"`
	CacheLimit int64          `json:"cache_limit"`
	DirtyBytes int64          `json:"dirty_bytes"`
	Queued     int            `json:"queued"`  // keys whose upload, copy or deletion is still to be done
	Running    int            `json:"running"` // of these, under way
	Refused    int            `json:"refused"` // of these, refused by S3
	Uploaded   int64          `json:"uploaded_bytes"`
	Network    NetworkStatus  `json:"network"`
	Scrub      ScrubInfo      `json:"scrub"`
	Waiting    int            `json:"writers_waiting"`      // for uploads to make room in the cache
	DiskLow    bool           `json:"disk_low"`             // the cache's disk has less free than is to stay free
	DiskError  string         `json:"disk_error,omitempty"` // why the cache's disk fails; empty: it does not
	LastError  string         `json:"last_error,omitempty"`
	Conflicts  []ConflictInfo `json:"conflicts,omitempty"`
	Work       []WorkInfo     `json:"work,omitempty"` // at most 100 keys, the oldest first
}

// ConflictInfo is one conflict that nobody has decided yet.
type ConflictInfo struct {
	ID     string    `json:"id"`               // for KeepMine and KeepTheirs
	Path   string    `json:"path"`             // the key that others changed
	Name   string    `json:"name"`             // its file, as a path below the mount
	Parked string    `json:"parked,omitempty"` // the key that ours got; empty: ours is only in the cache
	File   string    `json:"file,omitempty"`   // where ours is, as a path below the mount; empty: nowhere
	Size   int64     `json:"size"`             // of ours, in bytes
	When   time.Time `json:"when"`
}

// WorkInfo is one key that is not yet as wanted.
type WorkInfo struct {
	Key   string    `json:"key"`
	State string    `json:"state"` // as user.moorfs.state
	Size  int64     `json:"size"`
	Since time.Time `json:"since"`
}

// Progress is told while a drain or flush waits.
type Progress struct {
	Files    int    `json:"files"`    // still to be done
	Bytes    int64  `json:"bytes"`    // still to be sent
	Uploaded int64  `json:"uploaded"` // bytes sent since the start of the daemon
	Refused  int    `json:"refused"`
	Error    string `json:"error,omitempty"` // of a refused key
}
