package remotetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"

	"github.com/moorfs/moorfs/s3backend"
)

// A partPut is the writing of one object in parts.
type partPut struct {
	s3backend.Put
	upload s3backend.Upload
}

// putParts writes an object in parts. What is lost when the context ends can
// be resumed; a refusal leaves no upload behind.
func (m *Memory) putParts(ctx context.Context, p s3backend.Put) (s3backend.Object, error) {
	w := &partPut{Put: p, upload: m.begin(p)}
	if err := w.progress(); err != nil {
		return s3backend.Object{}, err
	}
	for number, off := int32(1), int64(0); off < p.Size; number++ {
		r := s3backend.Range{Off: off, Len: min(w.upload.PartSize, p.Size-off)}
		off = r.End()
		if slices.ContainsFunc(w.upload.Parts, func(done s3backend.Part) bool { return done.Number == number }) {
			continue
		}
		m.count("part")
		if err := ended(ctx, "put", p.Key); err != nil {
			return s3backend.Object{}, err
		}
		if err := m.putPart(w, number, r); err != nil {
			return s3backend.Object{}, m.giveUp(w, err)
		}
		if err := w.progress(); err != nil {
			return s3backend.Object{}, err
		}
	}
	if p.Ready != nil {
		if err := p.Ready(); err != nil {
			return s3backend.Object{}, m.giveUp(w, fmt.Errorf("put %q: %w", p.Key, err))
		}
	}
	return m.complete(w)
}

func (w *partPut) progress() error {
	if w.Progress == nil {
		return nil
	}
	u := w.upload
	u.Parts = slices.Clone(u.Parts)
	if err := w.Progress(u); err != nil {
		return fmt.Errorf("put %q: %w", w.Key, err)
	}
	return nil
}

// begin creates an upload, or takes up the one to resume with those of its
// parts that are there.
func (m *Memory) begin(p s3backend.Put) s3backend.Upload {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.uploads[p.Resume.ID]; old != nil && old.key == p.Key && p.Resume.PartSize > 0 {
		u := s3backend.Upload{ID: p.Resume.ID, PartSize: p.Resume.PartSize}
		for _, done := range p.Resume.Parts {
			if old.parts[done.Number].Part == done {
				u.Parts = append(u.Parts, done)
			}
		}
		return u
	}
	u := s3backend.Upload{ID: m.id("upload"), PartSize: m.settings.PartSize}
	m.uploads[u.ID] = &upload{key: p.Key, parts: map[int32]part{}}
	return u
}

// putPart stores one part, from Base if all of it is unchanged.
func (m *Memory) putPart(w *partPut, number int32, r s3backend.Range) error {
	body, err := m.partBody(w, r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.uploads[w.upload.ID]
	if u == nil {
		return fail("put", w.Key, s3backend.NotFound)
	}
	done := s3backend.Part{Number: number, Size: r.Len, ETag: s3backend.ETag(hexSum(body))}
	u.parts[number] = part{Part: done, body: body}
	w.upload.Parts = append(w.upload.Parts, done)
	return nil
}

func (m *Memory) partBody(w *partPut, r s3backend.Range) ([]byte, error) {
	unchanged := slices.ContainsFunc(w.Unchanged, func(u s3backend.Range) bool { return u.Off <= r.Off && r.End() <= u.End() })
	if w.Base == nil || !unchanged {
		return read(w.Put, r)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from, err := m.source("put", *w.Base)
	if err != nil {
		return nil, err
	}
	if r.End() > from.Size {
		return nil, &s3backend.Error{Op: "put", Key: w.Key, Err: fmt.Errorf("%w: %+v is unchanged, the base has %d bytes", errArgument, r, from.Size)}
	}
	return from.body[r.Off:r.End()], nil
}

// complete makes the parts one object.
func (m *Memory) complete(w *partPut) (s3backend.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.uploads[w.upload.ID]
	if u == nil {
		return s3backend.Object{}, fail("put", w.Key, s3backend.NotFound)
	}
	delete(m.uploads, w.upload.ID)
	if err := refuse("put", w.Key, w.If, m.current(w.Key)); err != nil {
		return s3backend.Object{}, err
	}
	bodies, sums := [][]byte{}, []byte{}
	for number := int32(1); int(number) <= len(u.parts); number++ {
		body := u.parts[number].body
		sum := md5.Sum(body)
		bodies, sums = append(bodies, body), append(sums, sum[:]...)
	}
	tag := s3backend.ETag(fmt.Sprintf("%s-%d", hexSum(sums), len(bodies)))
	return m.publish(m.newVersion(w.Put, bytes.Join(bodies, nil), tag)), nil
}

// giveUp aborts the upload and returns err.
func (m *Memory) giveUp(w *partPut, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.uploads, w.upload.ID)
	return err
}

// Abort ends an upload and drops its parts; one that is not there is no error.
func (m *Memory) Abort(ctx context.Context, key string, u s3backend.Upload) error {
	m.count("abort")
	if err := ended(ctx, "abort", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.uploads[u.ID]; old != nil && old.key == key {
		delete(m.uploads, u.ID)
	}
	return nil
}

// PendingUploads returns the keys under prefix of the uploads that are neither
// complete nor aborted, one for each.
func (m *Memory) PendingUploads(ctx context.Context, prefix string) ([]string, error) {
	if err := ended(ctx, "list uploads", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := []string{}
	for _, u := range m.uploads {
		if strings.HasPrefix(u.key, prefix) {
			keys = append(keys, u.key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Uploads returns the uploads under prefix that are neither complete nor
// aborted.
func (m *Memory) Uploads(ctx context.Context, prefix string) ([]s3backend.PendingUpload, error) {
	if err := ended(ctx, "list uploads", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts["uploads"]++
	var all []s3backend.PendingUpload
	for id, u := range m.uploads {
		if strings.HasPrefix(u.key, prefix) {
			all = append(all, s3backend.PendingUpload{Key: u.key, ID: id, Empty: u.key == prefix && len(u.parts) == 0})
		}
	}
	return all, nil
}
