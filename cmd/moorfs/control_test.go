package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// A fakeOperator answers as told.
type fakeOperator struct {
	err     error
	flushed chan string
	limit   time.Duration
	block   bool
	ended   chan struct{} // closed when a blocked flush was taken back
}

func (f *fakeOperator) conflicts() ([]cache.ConflictInfo, error) {
	return []cache.ConflictInfo{{ID: "conflict-7", Name: "a"}}, nil
}

func (f *fakeOperator) decide(_ context.Context, id string, side winner) error {
	if id != "conflict-7" || side != mineWins {
		return cache.ErrNoConflict
	}
	return nil
}

func (f *fakeOperator) cacheVerb(context.Context, string) (reply, error) {
	return reply{Freed: 5}, f.err
}

func (f *fakeOperator) status() mountStatus {
	return mountStatus{Mount: registration{Source: "s3://b"}, Cache: cache.Status{Queued: 3}}
}

func (f *fakeOperator) flush(ctx context.Context, path string, tell func(cache.Progress)) error {
	tell(cache.Progress{Files: 2})
	tell(cache.Progress{Files: 1})
	if f.block {
		<-ctx.Done()
		close(f.ended)
		return ctx.Err()
	}
	f.flushed <- path
	return f.err
}

func (f *fakeOperator) stop(_ context.Context, limit time.Duration, _ func(cache.Progress)) error {
	f.limit = limit
	return f.err
}

func startControl(t *testing.T, op operator) string {
	t.Helper()
	// Longer than a socket address may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20), strings.Repeat("name", 20))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := socketName(dir)
	c, err := serveControl(socket, op, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	return socket
}

func TestControlStatus(t *testing.T) {
	socket := startControl(t, &fakeOperator{})
	r, err := ask(t.Context(), socket, request{Op: opStatus}, nil)
	if err != nil || r.Status == nil || r.Status.Cache.Queued != 3 || r.Status.Mount.Source != "s3://b" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := ask(t.Context(), socket, request{Op: "dance"}, nil); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("an unknown request: %v", err)
	}
}

func TestControlConflicts(t *testing.T) {
	socket := startControl(t, &fakeOperator{})
	r, err := ask(t.Context(), socket, request{Op: opConflicts}, nil)
	if err != nil || len(r.Conflicts) != 1 || r.Conflicts[0].Name != "a" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := ask(t.Context(), socket, request{Op: opKeepMine, ID: "conflict-7"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := ask(t.Context(), socket, request{Op: opKeepTheirs, ID: "conflict-7"}, nil); err == nil {
		t.Error("decided for the wrong side")
	}
}

func TestControlCacheVerbs(t *testing.T) {
	op := &fakeOperator{}
	socket := startControl(t, op)
	for _, verb := range []string{opCacheInfo, opCacheVerify, opCachePrune} {
		if r, err := ask(t.Context(), socket, request{Op: verb}, nil); err != nil || r.Freed != 5 {
			t.Errorf("%s: %+v, %v", verb, r, err)
		}
	}
	op.err = errors.New("no")
	if _, err := ask(t.Context(), socket, request{Op: opCachePrune}, nil); err == nil || err.Error() != "no" {
		t.Errorf("got %v", err)
	}
}

func TestControlFlushTellsProgress(t *testing.T) {
	op := &fakeOperator{flushed: make(chan string, 1)}
	var files []int
	_, err := ask(t.Context(), startControl(t, op), request{Op: opFlush, Path: []byte("a/b")}, func(p cache.Progress) { files = append(files, p.Files) })
	if err != nil || len(files) != 2 || files[1] != 1 || <-op.flushed != "a/b" {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestControlErrorsKeepTheirKind(t *testing.T) {
	op := &fakeOperator{}
	socket := startControl(t, op)
	op.err = &leftover{Progress: cache.Progress{Files: 4, Error: "denied"}, CacheDir: "/c", Source: "s3://b"}
	_, err := ask(t.Context(), socket, request{Op: opStop, Timeout: time.Minute}, nil)
	if l := new(leftover); !errors.As(err, &l) || l.Progress.Files != 4 || l.CacheDir != "/c" || op.limit != time.Minute {
		t.Errorf("got %v", err)
	}
	op.err = errBusy
	if _, err := ask(t.Context(), socket, request{Op: opStop}, nil); !errors.Is(err, errBusy) {
		t.Errorf("got %v", err)
	}
	op.err = errors.New("no")
	if _, err := ask(t.Context(), socket, request{Op: opStop}, nil); err == nil || err.Error() != "no" {
		t.Errorf("got %v", err)
	}
}

func TestControlHangingUpTakesTheRequestBack(t *testing.T) {
	op := &fakeOperator{block: true, ended: make(chan struct{})}
	socket := startControl(t, op)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := ask(ctx, socket, request{Op: opFlush}, func(cache.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-op.ended
}

func TestAskWithoutADaemon(t *testing.T) {
	if _, err := ask(t.Context(), filepath.Join(t.TempDir(), "none.sock"), request{Op: opStatus}, nil); err == nil {
		t.Error("no daemon, no error")
	}
}

func TestReadiness(t *testing.T) {
	for _, c := range []struct{ pipe, warned, err string }{
		{"OK\n", "", ""},
		{"W careful\nOK\n", "moorfs: careful\n", ""},
		{"E no such bucket\n", "", "no such bucket"},
		{"", "", errMute.Error()},
	} {
		var warnings bytes.Buffer
		err := awaitReadiness(strings.NewReader(c.pipe), &warnings)
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err || warnings.String() != c.warned {
			t.Errorf("%q: %v, %q", c.pipe, err, warnings.String())
		}
	}
}

func TestProgressLine(t *testing.T) {
	now := time.Now()
	l := &progressLine{terminal: true, began: now.Add(-10 * time.Second), first: 100 << 20}
	got := l.text(cache.Progress{Files: 2, Bytes: 30 << 20, Uploaded: 110 << 20}, now)
	if want := "[######..................] 2 files, 30 MiB to go, 1.0 MiB/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var out bytes.Buffer
	quiet := &progressLine{out: &out}
	quiet.tell(cache.Progress{Files: 1})
	quiet.end()
	if out.Len() != 0 {
		t.Errorf("what is quickly done was announced: %q", out.String())
	}
}

func TestStatusText(t *testing.T) {
	r := statusReport{
		Mounts: []mountReport{
			{Mount: registration{Source: "s3://b", Mountpoint: "/mnt"}, Cache: &cache.Status{Network: cache.NetworkStatus{State: cache.Online}, CacheDir: "/c", CacheBytes: 1 << 20, CacheLimit: 1 << 30,
				Queued: 2, Running: 1, DirtyBytes: 5 << 20, Work: []cache.WorkInfo{{Key: "x", State: "uploading", Size: 5 << 20}}},
				Requests: map[string]int64{"PutObject": 2, "HeadObject": 1}},
			{Mount: registration{Source: "s3://c", Mountpoint: "/mnt2"}, Error: "belongs to another user"},
		},
		Idle: []cacheNote{{Source: "s3://d", CacheDir: "/d"}},
	}
	text := r.text()
	for _, want := range []string{"s3://b on /mnt\n", "2 queued, 5.0 MiB to send, 1 on the way", "1.0 MiB of 1.0 GiB in /c",
		"HeadObject 1, PutObject 2", "x  5.0 MiB  uploading", "belongs to another user", "not mounted: s3://d"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := stateOf(cache.Status{Network: cache.NetworkStatus{State: cache.Online}}); got != "everything is in the bucket" {
		t.Errorf("a clean mount: %q", got)
	}
	if got := stateOf(cache.Status{Network: cache.NetworkStatus{State: cache.Offline}}); !strings.HasPrefix(got, "offline") {
		t.Errorf("an offline mount: %q", got)
	}
}
