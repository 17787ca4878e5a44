package remotetest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// MinPartSize is the smallest size of parts that S3 takes.
const MinPartSize = 5 << 20

// Settings say how a Memory differs from a plain bucket.
type Settings struct {
	PartSize  int64 // larger objects come in parts; 0: MinPartSize
	Versioned bool  // old versions are kept and can be read
	Sealed    bool  // every write has an ETag of its own, as with SSE-KMS
}

// A Memory is a bucket in memory. It may be used concurrently.
type Memory struct {
	settings Settings

	mu      sync.Mutex
	history map[string][]*version // by key, the newest last
	sorted  []string              // live keys, unless stale
	stale   bool
	uploads map[string]*upload // by id
	last    int                // number in the latest id made
	counts  map[string]int
}

// A version is an object as it was at some time; immutable but for tags and
// the archived flag.
type version struct {
	s3backend.Object
	body    []byte
	deleted bool
}

type upload struct {
	key   string
	parts map[int32]part
}

type part struct {
	s3backend.Part
	body []byte
}

// NewMemory returns an empty bucket.
func NewMemory(s Settings) *Memory {
	if s.PartSize == 0 {
		s.PartSize = MinPartSize
	}
	return &Memory{settings: s, history: map[string][]*version{}, uploads: map[string]*upload{}, counts: map[string]int{}}
}

// PartSize returns the size of parts in bytes.
func (m *Memory) PartSize() int64 { return m.settings.PartSize }

// Counts returns how many requests came since the last ResetCounts, by
// operation: list (one a page), head, get, put (one an object), part, copy,
// delete (one an object), abort.
func (m *Memory) Counts() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts)
}

// ResetCounts sets all counts to zero.
func (m *Memory) ResetCounts() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.counts)
}

func (m *Memory) count(op string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[op]++
}

// current returns what is at key, nil if nothing. The caller holds m.mu.
func (m *Memory) current(key string) *version {
	h := m.history[key]
	if len(h) == 0 || h[len(h)-1].deleted {
		return nil
	}
	return h[len(h)-1]
}

// find returns a version of key, the current one if id is empty. The caller
// holds m.mu.
func (m *Memory) find(key, id string) *version {
	if id == "" {
		return m.current(key)
	}
	for _, v := range m.history[key] {
		if v.Version == id && !v.deleted {
			return v
		}
	}
	return nil
}

// past returns the newest version of key with an ETag. The caller holds m.mu.
func (m *Memory) past(key string, tag s3backend.ETag) *version {
	for _, v := range slices.Backward(m.history[key]) {
		if v.ETag == tag && !v.deleted {
			return v
		}
	}
	return nil
}

// publish makes v what is at its key. The caller holds m.mu.
func (m *Memory) publish(v *version) s3backend.Object {
	v.Modified = time.Now().UTC().Truncate(time.Second)
	if m.settings.Versioned {
		v.Version = m.id("version")
	}
	if m.settings.Sealed {
		v.ETag = s3backend.ETag(hexSum([]byte(m.id("etag"))))
	}
	if m.current(v.Key) == nil || v.deleted {
		m.stale = true
	}
	if m.settings.Versioned {
		m.history[v.Key] = append(m.history[v.Key], v)
	} else if v.deleted {
		delete(m.history, v.Key)
	} else {
		m.history[v.Key] = []*version{v}
	}
	return v.object()
}

// id returns a new id. The caller holds m.mu.
func (m *Memory) id(kind string) string {
	m.last++
	return fmt.Sprintf("%s-%d", kind, m.last)
}

// object returns a copy of the attributes that the caller may keep and change.
func (v *version) object() s3backend.Object {
	o := v.Object
	o.Meta = maps.Clone(o.Meta)
	return o
}

// refuse returns an error if c does not hold of v, which may be nil.
func refuse(op, key string, c s3backend.Condition, v *version) error {
	switch {
	case c.Absent && v != nil, c.Match != "" && v != nil && v.ETag != c.Match:
		return fail(op, key, s3backend.Changed)
	case c.Match != "" && v == nil:
		return fail(op, key, s3backend.NotFound)
	}
	return nil
}

func fail(op, key string, kind s3backend.Kind) error {
	return &s3backend.Error{Op: op, Key: key, Kind: kind}
}

// errArgument says that the caller asked for what no server can do.
var errArgument = errors.New("impossible argument")

// ended returns the error of an operation whose context is done.
func ended(ctx context.Context, op, key string) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", op, key, context.Cause(ctx))
}

// keyOf refuses keys that S3 does not take.
func keyOf(op, key string) error {
	if key == "" {
		return &s3backend.Error{Op: op, Key: key, Err: fmt.Errorf("%w: empty key", errArgument)}
	}
	if len(key) > 1024 {
		return &s3backend.Error{Op: op, Key: key, Kind: s3backend.TooBig, Err: fmt.Errorf("%w: key too long", errArgument)}
	}
	return nil
}

func hexSum(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// lower returns user metadata with the names as S3 gives them back.
func lower(meta map[string]string) map[string]string {
	out := make(map[string]string, len(meta))
	for name, v := range meta {
		out[strings.ToLower(name)] = v
	}
	return out
}
