package remotetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/moorfs/moorfs/s3backend"
)

// maxMeta is S3's limit for the names and values of user metadata, in bytes.
const maxMeta = 2 << 10

// Put writes an object, in parts if it is larger than the part size.
func (m *Memory) Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	m.count("put")
	if err := m.admit(ctx, "put", p.Key, p.Meta); err != nil {
		return s3backend.Object{}, err
	}
	if p.Size > m.settings.PartSize {
		return m.putParts(ctx, p)
	}
	body, err := read(p, s3backend.Range{Len: p.Size})
	if err != nil {
		return s3backend.Object{}, err
	}
	if p.Ready != nil {
		if err := p.Ready(); err != nil {
			return s3backend.Object{}, fmt.Errorf("put %q: %w", p.Key, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := refuse("put", p.Key, p.If, m.current(p.Key)); err != nil {
		return s3backend.Object{}, err
	}
	return m.publish(m.newVersion(p, body, s3backend.ETag(hexSum(body)))), nil
}

// admit refuses what no server takes.
func (m *Memory) admit(ctx context.Context, op, key string, meta map[string]string) error {
	if err := ended(ctx, op, key); err != nil {
		return err
	}
	size := 0
	for name, v := range meta {
		size += len(name) + len(v)
	}
	if size > maxMeta {
		return fail(op, key, s3backend.TooBig)
	}
	return keyOf(op, key)
}

// newVersion returns what p puts. The caller holds m.mu.
func (m *Memory) newVersion(p s3backend.Put, body []byte, tag s3backend.ETag) *version {
	v := &version{body: body, Object: s3backend.Object{
		Key: p.Key, Size: int64(len(body)), ETag: tag,
		Meta: lower(p.Meta), Headers: p.Headers, StorageClass: p.StorageClass,
	}}
	if p.Keep != nil && p.Keep.Tags > 0 {
		if old := m.current(p.Keep.Key); old != nil {
			v.Tags = old.Tags
		}
	}
	return v
}

// read returns a range of the body of p.
func read(p s3backend.Put, r s3backend.Range) ([]byte, error) {
	body := make([]byte, r.Len)
	if r.Len == 0 {
		return body, nil
	}
	if n, err := p.Body.ReadAt(body, r.Off); int64(n) < r.Len {
		return nil, fmt.Errorf("put %q: read the body at %d: %w", p.Key, r.Off, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return body, nil
}

// Copy writes the content of one object to a key.
func (m *Memory) Copy(ctx context.Context, c s3backend.Copy) (s3backend.Object, error) {
	m.count("copy")
	if err := m.admit(ctx, "copy", c.To, c.Meta); err != nil {
		return s3backend.Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from, err := m.source("copy", c.From)
	if err != nil {
		return s3backend.Object{}, err
	}
	if err := refuse("copy", c.To, c.If, m.current(c.To)); err != nil {
		return s3backend.Object{}, err
	}
	return m.publish(&version{body: from.body, Object: s3backend.Object{
		Key: c.To, Size: from.Size, ETag: from.ETag, Tags: c.From.Tags,
		Meta: lower(c.Meta), Headers: c.Headers, StorageClass: c.StorageClass,
	}}), nil
}

// source returns the version that o describes. The caller holds m.mu.
func (m *Memory) source(op string, o s3backend.Object) (*version, error) {
	v := m.find(o.Key, o.Version)
	switch {
	case v == nil:
		return nil, fail(op, o.Key, s3backend.NotFound)
	case o.ETag != "" && v.ETag != o.ETag:
		return nil, fail(op, o.Key, s3backend.Changed)
	case v.Archived:
		return nil, fail(op, o.Key, s3backend.Archived)
	}
	return v, nil
}

// Delete removes objects; a missing one is no error. The result has one error
// for each deletion.
func (m *Memory) Delete(ctx context.Context, ds ...s3backend.Deletion) []error {
	errs := make([]error, len(ds))
	for i, d := range ds {
		m.count("delete")
		if errs[i] = m.admit(ctx, "delete", d.Key, nil); errs[i] == nil {
			errs[i] = m.remove(d)
		}
	}
	return errs
}

func (m *Memory) remove(d s3backend.Deletion) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.current(d.Key)
	if v == nil {
		return nil
	}
	if err := refuse("delete", d.Key, d.If, v); err != nil {
		return err
	}
	m.publish(&version{Object: s3backend.Object{Key: d.Key}, deleted: true})
	return nil
}

// Set puts an object there as another client does and returns it.
func (m *Memory) Set(key string, body []byte, meta map[string]string) s3backend.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	body = slices.Clone(body)
	return m.publish(m.newVersion(s3backend.Put{Key: key, Meta: meta}, body, s3backend.ETag(hexSum(body))))
}

// Remove deletes an object as another client does; a missing one is no error.
func (m *Memory) Remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current(key) != nil {
		m.publish(&version{Object: s3backend.Object{Key: key}, deleted: true})
	}
}

// Edit changes attributes of the object at key in place, as a lifecycle rule
// (Archived, StorageClass) or another client (Tags) does. It reports whether
// there is an object.
func (m *Memory) Edit(key string, change func(*s3backend.Object)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.current(key)
	if v == nil {
		return false
	}
	v.Meta = maps.Clone(v.Meta)
	change(&v.Object)
	return true
}

// Keys returns the keys of all objects in byte order.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys())
}

// Body returns the content at key and whether there is an object.
func (m *Memory) Body(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.current(key)
	if v == nil {
		return nil, false
	}
	return slices.Clone(v.body), true
}

// Bodies returns the contents of all versions of an object, the oldest first.
func (m *Memory) Bodies(key string) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.history[key] {
		if !v.deleted {
			all = append(all, string(v.body))
		}
	}
	return all
}
