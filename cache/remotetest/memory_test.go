package remotetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
)

// partSize keeps the checks of a Memory fast.
const partSize = 64 << 10

func TestMemoryKeepsTheContract(t *testing.T) {
	for name, s := range map[string]Settings{
		"plain":     {PartSize: partSize},
		"versioned": {PartSize: partSize, Versioned: true},
		"sealed":    {PartSize: partSize, Sealed: true},
	} {
		t.Run(name, func(t *testing.T) {
			Suite(t, func(*testing.T) Remote { return NewMemory(s) }, nil)
		})
	}
	Many(t, func(*testing.T) Remote { return NewMemory(Settings{}) })
	Versions(t, func(*testing.T) Remote { return NewMemory(Settings{Versioned: true}) })
}

func TestMemoryShowsWhatOthersDo(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{})
	o := m.Set("a", []byte("1"), map[string]string{"K": "v"})
	if h, err := m.Head(ctx, "a"); err != nil || h.ETag != o.ETag || h.Meta["k"] != "v" {
		t.Errorf("head: %+v, %v", h, err)
	}
	m.Set("b", nil, nil)
	m.Remove("a")
	m.Remove("never")
	if _, err := m.Head(ctx, "a"); s3backend.KindOf(err) != s3backend.NotFound {
		t.Errorf("head of what was removed: %v", err)
	}
	if keys := m.Keys(); !slices.Equal(keys, []string{"b"}) {
		t.Errorf("keys %q", keys)
	}
	if _, there := m.Body("a"); there {
		t.Error("a has a body")
	}
	m.Set("b", []byte("xyz"), nil)
	if body, there := m.Body("b"); !there || string(body) != "xyz" {
		t.Errorf("body %q, %v", body, there)
	}
}

func TestMemoryArchived(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{})
	o := m.Set("a", []byte("1"), nil)
	if !m.Edit("a", func(o *s3backend.Object) { o.Archived, o.StorageClass = true, "GLACIER" }) {
		t.Fatal("no such object")
	}
	if h, err := m.Head(ctx, "a"); err != nil || !h.Archived {
		t.Errorf("head: %+v, %v", h, err)
	}
	if _, err := m.Get(ctx, s3backend.Get{Key: "a", Range: s3backend.Range{Len: 1}}); s3backend.KindOf(err) != s3backend.Archived {
		t.Errorf("get: %v", err)
	}
	if _, err := m.Copy(ctx, s3backend.Copy{From: o, To: "b"}); s3backend.KindOf(err) != s3backend.Archived {
		t.Errorf("copy: %v", err)
	}
}

func TestMemoryCarriesTags(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{})
	m.Set("a", []byte("1"), nil)
	m.Edit("a", func(o *s3backend.Object) { o.Tags = 2 })
	o, err := m.Head(ctx, "a")
	if err != nil || o.Tags != 2 {
		t.Fatalf("head: %+v, %v", o, err)
	}
	gone := s3backend.Object{Key: "gone", Tags: 2}
	for keep, want := range map[*s3backend.Object]int{&o: 2, nil: 0, &gone: 0} {
		put, err := m.Put(ctx, s3backend.Put{Key: "b", Body: bytes.NewReader([]byte("2")), Size: 1, Keep: keep})
		if err != nil || put.Tags != want {
			t.Errorf("put keeping %v: %+v, %v", keep, put, err)
		}
	}
}

func TestMemoryRefusesWhatS3Refuses(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{})
	long, meta := string(make([]byte, 1025)), map[string]string{"m": string(make([]byte, 2048))}
	for _, p := range []s3backend.Put{{Key: long}, {Key: "a", Meta: meta}} {
		if _, err := m.Put(ctx, p); s3backend.KindOf(err) != s3backend.TooBig {
			t.Errorf("put: %v", err)
		}
	}
	if _, err := m.Put(ctx, s3backend.Put{}); !errors.Is(err, errArgument) {
		t.Errorf("put at no key: %v", err)
	}
	short := s3backend.Put{Key: "a", Body: bytes.NewReader([]byte("x")), Size: 2}
	if _, err := m.Put(ctx, short); err == nil {
		t.Error("put of a body that is too short worked")
	}
	if len(m.Keys()) != 0 {
		t.Errorf("keys %q", m.Keys())
	}
}

func TestMemoryCounts(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{PartSize: 4})
	if _, err := m.Put(ctx, s3backend.Put{Key: "a", Body: bytes.NewReader([]byte("0123456789")), Size: 10}); err != nil {
		t.Fatal(err)
	}
	m.Delete(ctx, s3backend.Deletion{Key: "a"}, s3backend.Deletion{Key: "b"})
	if c := m.Counts(); c["put"] != 1 || c["part"] != 3 || c["delete"] != 2 || c["list"] != 0 {
		t.Errorf("counts %v", c)
	}
	m.ResetCounts()
	if c := m.Counts(); len(c) != 0 {
		t.Errorf("counts %v", c)
	}
}
