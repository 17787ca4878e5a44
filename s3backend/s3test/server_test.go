package s3test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
)

var (
	versity  = &Shared{Config: Config{Name: VersityGW}}
	minio    = &Shared{Config: Config{Name: MinIOName}}
	minioTLS = &Shared{Config: Config{Name: MinIOName, TLS: true}}
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range []*Shared{versity, minio, minioTLS} {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func TestRawOnEveryServer(t *testing.T) {
	for _, shared := range []*Shared{versity, minio, minioTLS} {
		t.Run(fmt.Sprintf("%s tls=%v", shared.Config.Name, shared.Config.TLS), func(t *testing.T) {
			ctx, s := context.Background(), shared.Server(t)
			raw := s.Raw(t, s.NewVersionedBucket(t))
			key, body, meta := "dir/ä + %41 ~(file)'\"&<x>", []byte("hello\x00world"), map[string]string{"nonce": "a b"}
			if err := raw.Put(ctx, key, body, meta); err != nil {
				t.Fatal(err)
			}
			o, got, err := raw.Get(ctx, key)
			if err != nil || !bytes.Equal(got, body) || o.Meta["nonce"] != "a b" || o.ETag == "" {
				t.Fatalf("get: %+v %q %v", o, got, err)
			}
			h, err := raw.Head(ctx, key)
			if err != nil || h.Size != int64(len(body)) || h.ETag != o.ETag {
				t.Fatalf("head: %+v %v", h, err)
			}
			listed, err := raw.List(ctx, "dir/")
			if err != nil || len(listed) != 1 || listed[0].Key != key || listed[0].Size != h.Size || listed[0].ETag != h.ETag {
				t.Fatalf("list: %+v %v", listed, err)
			}
			if uploads, err := raw.Uploads(ctx, ""); err != nil || len(uploads) != 0 {
				t.Fatalf("uploads: %v %v", uploads, err)
			}
			if err := raw.Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
			if _, err := raw.Head(ctx, key); !IsNotFound(err) {
				t.Fatalf("head of a deleted object: %v", err)
			}
			if keys, err := raw.Keys(ctx, ""); err != nil || len(keys) != 0 {
				t.Fatalf("keys: %v %v", keys, err)
			}
		})
	}
}

func TestRawListsPages(t *testing.T) {
	ctx, s := context.Background(), versity.Server(t)
	raw := s.Raw(t, s.NewBucket(t))
	want := []string{}
	for i := range 1001 {
		key := fmt.Sprintf("%04d", i)
		want = append(want, key)
		if err := raw.Put(ctx, key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := raw.Keys(ctx, ""); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d keys, error %v", len(got), err)
	}
}

func TestStopEndsTheServerAndRemovesItsData(t *testing.T) {
	s, err := Start(context.Background(), Config{Name: VersityGW})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("data after Stop: %v", err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", s.Pid)); !os.IsNotExist(err) {
		t.Errorf("process after Stop: %v", err)
	}
}

func TestDataStaysInTheDirectoryGiven(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	bucket := ""
	for round := range 2 {
		s, err := Start(ctx, Config{Name: VersityGW, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			bucket = s.NewBucket(t)
			err = s.Raw(t, bucket).Put(ctx, "k", []byte("kept"), nil)
		} else if _, body, getErr := s.Raw(t, bucket).Get(ctx, "k"); getErr != nil || string(body) != "kept" {
			t.Errorf("after a restart: %q %v", body, getErr)
		}
		if err != nil {
			t.Error(err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestStartSaysWhyAServerDidNotCome(t *testing.T) {
	if _, err := Build(context.Background(), "nosuch"); err == nil {
		t.Error("Build of an unknown server worked")
	}
	dir := t.TempDir() + "/file"
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(context.Background(), Config{Name: VersityGW, Dir: dir}); err == nil {
		t.Error("Start in a file worked")
	}
}
