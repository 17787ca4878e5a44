package cache

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// Remote is the bucket. s3backend.Client is one; remotetest has others.
// Every method may be called concurrently. Errors are *s3backend.Error, or
// the context's.
type Remote interface {
	List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] // one level
	ListPage(ctx context.Context, prefix, after string, max int) (entries []s3backend.Entry, more bool, err error)
	Head(ctx context.Context, key string) (s3backend.Object, error)
	Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error)
	Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error)
	Copy(ctx context.Context, c s3backend.Copy) (s3backend.Object, error)
	Delete(ctx context.Context, ds ...s3backend.Deletion) []error
	Abort(ctx context.Context, key string, u s3backend.Upload) error
	Uploads(ctx context.Context, key string) ([]s3backend.PendingUpload, error) // of the keys that begin so
}

// Kernel is told what the kernel must forget. Both return at once: they may
// be called with locks held and from inside a request.
type Kernel interface {
	EntryGone(parent Ino, name string)
	ContentChanged(ino Ino)
}

// Durability says what close and fsync wait for.
type Durability string

const (
	DurableLocal  Durability = "local"
	DurableBucket Durability = "bucket"
)

// AttrMode says when attributes are asked of the bucket (SEMANTICS
// "Attributes").
type AttrMode string

const (
	AttrsExact AttrMode = "exact" // HEAD once per version of an object
	AttrsList  AttrMode = "list"  // never
)

// ConflictPolicy says whose content has the name when others changed an
// object that was changed here too.
type ConflictPolicy string

const (
	KeepBoth   ConflictPolicy = "keep-both" // theirs; ours gets a name beside it. The zero value means it too
	MineWins   ConflictPolicy = "mine"      // ours replaces theirs
	TheirsWins ConflictPolicy = "theirs"    // theirs; ours stays in the cache until somebody decides
)

// Exclusivity says who decides between two machines that make the same name.
type Exclusivity string

const (
	ExclusiveLocal  Exclusivity = "local"  // each for itself; a race is a conflict. The zero value means it too
	ExclusiveBucket Exclusivity = "bucket" // the bucket, before Create (New.Exclusive) or Make of a directory returns
)

// Config is what a cache is opened with. Durations and sizes have no
// defaults here except where a zero is said to mean one: the command line is
// the only place that knows defaults.
type Config struct {
	Dir      string // the cache directory; created 0700 if missing
	Remote   Remote
	Endpoint string // identity of the bucket, recorded in the cache
	Bucket   string
	Prefix   string // all keys begin so; empty or ends in "/"
	Host     string // named in conflict names
	Boot     string // id of the kernel's boot; empty: what the kernel says
	Log      *slog.Logger

	Size         int64 // bytes of data files; clean data is evicted beyond
	MinFree      int64 // bytes that stay free on the cache's disk
	WriteBack    time.Duration
	WriteBackMax time.Duration // at the latest this long after the first close
	OpenRest     time.Duration // an open file is published after so long without a write
	Durability   Durability
	ReadOnly     bool
	OnConflict   ConflictPolicy

	ExclusiveCreate Exclusivity // ExclusiveBucket: Remote must check Put's condition

	AttrTTL     time.Duration
	ListTTL     time.Duration
	NegativeTTL time.Duration
	Attrs       AttrMode
	Poll        time.Duration // directories in use are listed again, this often at the most; 0: never

	Uid, Gid          uint32 // of objects without metadata
	FileMode, DirMode uint32 // permission bits of objects without metadata
	Xattrs            bool

	MaxUploads   int
	MaxDownloads int
	PartSize     int64
	ReadAhead    int64         // bytes fetched ahead of a sequential reader
	ReadTimeout  time.Duration // a question that the bucket does not answer ends with an error after so long

	Unreachable error // why the bucket could not be reached when the mount began; nil: it was

	wall      func() time.Time   // for tests: the clock that people set, nil: time.Now
	diskFails func(diskOp) error // for tests: how a call to the disk of data files fails, nil: not
}
