package remotetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
)

func TestFaultsThatAreNotThereKeepTheContract(t *testing.T) {
	Suite(t, func(*testing.T) Remote {
		m := NewMemory(Settings{PartSize: partSize})
		return struct {
			*Faults
			Subject
		}{NewFaults(m), m}
	}, nil)
}

// call calls the method of an operation for key "k" and returns its error.
func call(f *Faults, op string) error {
	ctx := context.Background()
	switch op {
	case "list":
		for _, err := range f.List(ctx, "", "") {
			if err != nil {
				return err
			}
		}
		return nil
	case "head":
		_, err := f.Head(ctx, "k")
		return err
	case "get":
		body, err := f.Get(ctx, s3backend.Get{Key: "k", Range: s3backend.Range{Len: 4}})
		if err != nil {
			return err
		}
		_, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	case "put":
		_, err := f.Put(ctx, s3backend.Put{Key: "k", Body: bytes.NewReader([]byte("new content")), Size: 11})
		return err
	case "copy":
		_, err := f.Copy(ctx, s3backend.Copy{From: s3backend.Object{Key: "from"}, To: "k"})
		return err
	case "delete":
		return f.Delete(ctx, s3backend.Deletion{Key: "k"})[0]
	}
	return f.Abort(ctx, "k", s3backend.Upload{ID: "none"})
}

var operations = []string{"list", "head", "get", "put", "copy", "delete", "abort"}

func TestTheNthCallFails(t *testing.T) {
	for _, op := range operations {
		for _, forever := range []bool{false, true} {
			for _, when := range []When{Before, Midway, After} {
				m := NewMemory(Settings{PartSize: 4})
				f := NewFaults(m)
				f.Fail(Fault{Op: op, Nth: 2, Forever: forever, Kind: s3backend.Busy, When: when})
				for n := 1; n <= 3; n++ {
					m.Set("k", []byte("old "), nil)
					m.Set("from", []byte("from"), nil)
					err := call(f, op)
					want := n == 2 || forever && n > 2
					if failed := s3backend.KindOf(err) == s3backend.Busy; failed != want || !failed && err != nil {
						t.Errorf("%s %d of a fault %d, for ever %v: %v", op, n, when, forever, err)
					}
				}
				f.Heal()
				m.Set("k", []byte("old "), nil)
				if err := call(f, op); err != nil {
					t.Errorf("%s after Heal: %v", op, err)
				}
			}
		}
	}
}

func TestALostReplyIsOfAnAppliedCall(t *testing.T) {
	for op, applied := range map[string]string{"put": "new content", "copy": "from", "delete": ""} {
		for _, when := range []When{Before, After} {
			m := NewMemory(Settings{})
			m.Set("k", []byte("old"), nil)
			m.Set("from", []byte("from"), nil)
			f := NewFaults(m)
			f.Fail(Fault{Op: op, Key: "k", Kind: s3backend.Offline, When: when})
			if err := call(f, op); s3backend.KindOf(err) != s3backend.Offline {
				t.Errorf("%s: %v", op, err)
			}
			want := "old"
			if when == After {
				want = applied
			}
			if body, _ := m.Body("k"); string(body) != want {
				t.Errorf("%s failing %d leaves %q, want %q", op, when, body, want)
			}
		}
	}
}

func TestAPutThatStopsMidwayCanBeResumed(t *testing.T) {
	ctx, m := context.Background(), NewMemory(Settings{PartSize: 4})
	f := NewFaults(m)
	f.Fail(Fault{Op: "put", Kind: s3backend.Offline, When: Midway})
	body := []byte("0123456789")
	var noted s3backend.Upload
	p := s3backend.Put{
		Key: "k", Body: bytes.NewReader(body), Size: 10,
		Progress: func(u s3backend.Upload) error { noted = u; return nil },
	}
	if _, err := f.Put(ctx, p); s3backend.KindOf(err) != s3backend.Offline || len(noted.Parts) != 1 {
		t.Fatalf("put: %v, %+v", err, noted)
	}
	p.Resume = noted
	if _, err := f.Put(ctx, p); err != nil {
		t.Fatal(err)
	}
	if got, _ := m.Body("k"); !bytes.Equal(got, body) || m.Counts()["part"] != 3 {
		t.Errorf("body %q with %v", got, m.Counts())
	}
}

func TestABatchFailsMidway(t *testing.T) {
	m := NewMemory(Settings{})
	m.Set("a", nil, nil)
	m.Set("b", nil, nil)
	f := NewFaults(m)
	f.Fail(Fault{Key: "b", Kind: s3backend.Denied, When: Midway})
	errs := f.Delete(context.Background(), s3backend.Deletion{Key: "a"}, s3backend.Deletion{Key: "b"})
	if len(errs) != 2 || errs[0] != nil || s3backend.KindOf(errs[1]) != s3backend.Denied {
		t.Errorf("errors %v", errs)
	}
	if keys := m.Keys(); len(keys) != 1 || keys[0] != "b" {
		t.Errorf("keys %q", keys)
	}
}

func TestOfflineAndHook(t *testing.T) {
	m := NewMemory(Settings{})
	m.Set("k", []byte("body"), nil)
	m.Set("from", []byte("from"), nil)
	f := NewFaults(m)
	for _, op := range operations {
		f.Offline(true)
		if err := call(f, op); s3backend.KindOf(err) != s3backend.Offline {
			t.Errorf("%s offline: %v", op, err)
		}
		f.Offline(false)
		before, seen := f.Calls(), Call{}
		f.Hook(func(_ context.Context, c Call) error { seen = c; return errRefused })
		if err := call(f, op); !errors.Is(err, errRefused) || seen.Op != op || seen.N != before+1 {
			t.Errorf("%s with a hook: %v, %+v", op, err, seen)
		}
		f.Hook(nil)
		if err := call(f, op); err != nil {
			t.Errorf("%s without a hook: %v", op, err)
		}
		m.Set("k", []byte("body"), nil)
	}
}
