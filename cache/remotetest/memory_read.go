package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/moorfs/moorfs/s3backend"
)

// pageSize is how many entries S3 lists at once.
const pageSize = 1000

// List yields one level under prefix, entries after after, in byte order.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	return func(yield func(s3backend.Entry, error) bool) {
		for more := true; more; {
			var entries []s3backend.Entry
			var err error
			entries, more, err = m.ListPage(ctx, prefix, after, pageSize)
			if err != nil {
				yield(s3backend.Entry{}, err)
				return
			}
			for _, e := range entries {
				if after = e.Key; !yield(e, nil) {
					return
				}
			}
		}
	}
}

// ListPage returns the first entries of List and whether there are more.
func (m *Memory) ListPage(ctx context.Context, prefix, after string, limit int) ([]s3backend.Entry, bool, error) {
	m.count("list")
	if err := ended(ctx, "list", prefix); err != nil {
		return nil, false, err
	}
	if limit < 1 {
		return nil, false, &s3backend.Error{Op: "list", Key: prefix, Err: fmt.Errorf("%w: page of %d", errArgument, limit)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.keys()
	entries := []s3backend.Entry{}
	for i := seek(keys, prefix); i < len(keys) && strings.HasPrefix(keys[i], prefix); {
		e, next := m.entry(keys, i, len(prefix))
		if e.Key > after {
			if len(entries) == min(limit, pageSize) {
				return entries, true, nil
			}
			entries = append(entries, e)
		} else if !e.Prefix {
			next = max(next, seek(keys, after))
		}
		i = next
	}
	return entries, false, nil
}

// entry returns the entry of keys[i] at the level that begins behind skip
// bytes, and the index of the first key that is not part of it. The caller
// holds m.mu.
func (m *Memory) entry(keys []string, i, skip int) (s3backend.Entry, int) {
	key := keys[i]
	if n := strings.IndexByte(key[skip:], '/'); n >= 0 {
		dir := key[:skip+n]
		const behindSlash = "0"
		return s3backend.Entry{Key: dir + "/", Prefix: true}, seek(keys, dir+behindSlash)
	}
	v := m.current(key)
	return s3backend.Entry{Key: key, Size: v.Size, ETag: v.ETag, Modified: v.Modified, StorageClass: v.StorageClass}, i + 1
}

// keys returns all live keys in byte order. The caller holds m.mu and does not
// change them.
func (m *Memory) keys() []string {
	if m.stale {
		m.sorted = m.sorted[:0:0]
		for key := range m.history {
			if m.current(key) != nil {
				m.sorted = append(m.sorted, key)
			}
		}
		slices.Sort(m.sorted)
		m.stale = false
	}
	return m.sorted
}

// seek returns the index of the first key that is not below at.
func seek(keys []string, at string) int {
	i, _ := slices.BinarySearch(keys, at)
	return i
}

// Head returns the object at key.
func (m *Memory) Head(ctx context.Context, key string) (s3backend.Object, error) {
	m.count("head")
	if err := ended(ctx, "head", key); err != nil {
		return s3backend.Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.current(key)
	if v == nil {
		return s3backend.Object{}, fail("head", key, s3backend.NotFound)
	}
	return v.object(), nil
}

// Get returns a range of an object.
func (m *Memory) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	m.count("get")
	if err := ended(ctx, "get", g.Key); err != nil {
		return nil, err
	}
	if g.Range.Off < 0 || g.Range.Len <= 0 {
		return nil, &s3backend.Error{Op: "get", Key: g.Key, Err: fmt.Errorf("%w: range %+v", errArgument, g.Range)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.find(g.Key, g.Version)
	if g.Past && g.Version == "" {
		v = m.past(g.Key, g.At)
	}
	switch {
	case v == nil:
		return nil, fail("get", g.Key, s3backend.NotFound)
	case g.At != "" && v.ETag != g.At, g.Range.End() > v.Size:
		return nil, fail("get", g.Key, s3backend.Changed)
	case v.Archived:
		return nil, fail("get", g.Key, s3backend.Archived)
	}
	return io.NopCloser(bytes.NewReader(v.body[g.Range.Off:g.Range.End()])), nil
}
