package semantics

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

var bucketChecks = map[string]check{
	"Outward":  checkOutward,
	"Conflict": checkConflict,
	"Inward":   checkInward,
	"Events":   checkEvents,
	"Polling":  checkPolling,
	"Order":    checkOrder,
}

func checkOutward(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	m := s.mount(t, "--write-back", "10s")
	open, err := os.Create(m.Path("open"))
	ok(t, err)
	defer open.Close()
	_, err = open.WriteString("synced")
	ok(t, err)
	ok(t, open.Sync())
	write(t, m.Path("closed"), "content")
	for _, key := range []string{"open", "closed"} {
		equal(t, "that "+key+" is uploaded without rest", s.has(t, key), false)
	}
	// A file that is written again and again does not wait for its rest.
	first, busy := time.Now(), true
	for round := 0; busy; round++ {
		write(t, m.Path("busy"), strings.Repeat("x", 1+round))
		ok(t, harness.Until(patience, "the busy file, or its next round", func() bool {
			busy = !s.has(t, "busy")
			return !busy || time.Since(first) > time.Duration(round+1)*2*time.Second
		}))
		if busy && time.Since(first) > 2*patience {
			t.Fatal("a file that is written every two seconds is not uploaded")
		}
	}
	s.object(t, "closed", "content")
	s.object(t, "open", "synced")
	whole(t, s, m)

	asked := s.mount(t, "--write-back", "1h")
	write(t, asked.Path("asked"), "flushed")
	flush(t, asked, "asked")
	s.object(t, "asked", "flushed")
	write(t, asked.Path("unmounted"), "drained")
	ok(t, asked.Unmount())
	s.object(t, "unmounted", "drained")
}

// whole writes a file while it is uploaded slowly: each object is what one
// write left.
func whole(t *testing.T, s *stage, m *harness.Mount) {
	t.Helper()
	s.Proxy.Slow(0, 256<<10)
	defer s.Proxy.Slow(0, 0)
	f, err := os.Create(m.Path("whole"))
	ok(t, err)
	defer f.Close()
	for _, letter := range []string{"a", "b", "c"} {
		_, err := f.WriteAt([]byte(strings.Repeat(letter, 128<<10)), 0)
		ok(t, err)
		flushed := make(chan struct{})
		go func() {
			defer close(flushed)
			m.Run(patience, "flush", m.Path("whole"))
		}()
		select {
		case <-flushed:
		case <-time.After(100 * time.Millisecond): // the next write comes in the middle
		}
		if s.has(t, "whole") {
			_, body, err := s.Raw.Get(context.Background(), "whole")
			ok(t, err)
			equal(t, "the number of letters in an object", strings.Count(string(body), string(body[0])), 128<<10)
		}
		if letter == "c" {
			<-flushed
		}
	}
	flush(t, m, "whole")
	s.object(t, "whole", strings.Repeat("c", 128<<10))
}

func checkConflict(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	for _, key := range []string{"both.txt", "deleted", "changed"} {
		s.put(t, key, "before", nil)
	}
	m := s.mount(t, "--write-back", "1h", "--list-ttl", "1h", "--attr-ttl", "1h")
	for _, name := range []string{"both.txt", "changed"} {
		holds(t, m.Path(name), "before")
		write(t, m.Path(name), "ours")
	}
	ok(t, os.Remove(m.Path("deleted")))
	s.put(t, "both.txt", "theirs", nil)
	s.put(t, "deleted", "theirs", nil)
	ok(t, s.Raw.Delete(t.Context(), "changed"))
	if status, out := m.Run(patience, "flush", m.Dir); status > 1 {
		t.Errorf("flush ends with %d: %s", status, out)
	}
	flush(t, m)
	s.object(t, "both.txt", "theirs")
	s.object(t, "deleted", "theirs")
	s.object(t, "changed", "ours")
	keys, err := s.Raw.Keys(t.Context(), "both (conflict ")
	ok(t, err)
	if len(keys) != 1 || !strings.HasSuffix(keys[0], ").txt") {
		t.Fatalf("the conflicts are %q", keys)
	}
	host, err := os.Hostname()
	ok(t, err)
	if !strings.HasPrefix(keys[0], "both (conflict "+host+" ") {
		t.Errorf("%q does not name %s", keys[0], host)
	}
	s.object(t, keys[0], "ours")
	holds(t, m.Path(keys[0]), "ours")
	holds(t, m.Path("both.txt"), "theirs")
	eventually(t, "the log to tell", func() bool { return strings.Contains(m.Log(), keys[0]) })
	if _, out := m.Run(patience, "status", m.Dir); !strings.Contains(out, keys[0]) {
		t.Errorf("status does not tell of %q: %s", keys[0], out)
	}
	if state := xattr(t, m.Path(keys[0]), "user.moorfs.state"); !strings.Contains(state, "conflict") {
		t.Errorf("the state is %q", state)
	}
}

func checkInward(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	s.put(t, key+"f", "one", nil)
	holds(t, filepath.Join(there, "f"), "one")
	s.put(t, key+"f", "two", nil)
	s.put(t, key+"g", "new", nil)
	holds(t, filepath.Join(there, "f"), "two")
	equal(t, "what asking each time lists", strings.Join(listed(t, there), " "), "f g")

	m := s.mount(t, "--attr-ttl", "2s", "--list-ttl", "2s", "--negative-ttl", "2s")
	trusting := s.mount(t, "--attr-ttl", "1h", "--list-ttl", "1h", "--negative-ttl", "1h")
	for _, m := range []*harness.Mount{m, trusting} {
		equal(t, "what is listed at first", strings.Join(listed(t, m.Path(key)), " "), "f g")
		holds(t, m.Path(key, "f"), "two")
	}
	s.put(t, key+"f", "three", nil)
	s.put(t, key+"h", "new", nil)
	ok(t, s.Raw.Delete(t.Context(), key+"g"))
	eventually(t, "the changed content", func() bool {
		body, err := os.ReadFile(m.Path(key, "f"))
		return err == nil && string(body) == "three"
	})
	eventually(t, "the changed listing", func() bool { return slices.Equal(listed(t, m.Path(key)), []string{"f", "h"}) })
	equal(t, "what is trusted", strings.Join(listed(t, trusting.Path(key)), " "), "f g")
	holds(t, trusting.Path(key, "f"), "two")

	write(t, filepath.Join(dir, "local"), "not uploaded")
	holds(t, filepath.Join(dir, "local"), "not uploaded")
	equal(t, "that it is listed", slices.Contains(listed(t, dir), "local"), true)
	equal(t, "that it is in the bucket", s.has(t, key+"local"), false)
}

func checkOrder(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	s.put(t, "a", "content", nil)
	m := s.mount(t, "--write-back", "1h")
	ok(t, os.Rename(m.Path("a"), m.Path("b")))
	write(t, m.Path("new"), "x")
	ok(t, os.Rename(m.Path("new"), m.Path("c")))
	ok(t, os.Mkdir(m.Path("d"), 0o755))
	s.Proxy.Fault(s3test.Fault{Match: onKey("PUT", ""), Effect: s3test.InternalError()})
	status, _ := m.Run(3*time.Second, "flush", m.Dir)
	equal(t, "that all was done", status, -1)
	s.bucket(t, "", map[string]string{"a": "content"})
	s.Proxy.Heal()
	flush(t, m)
	s.bucket(t, "", map[string]string{"b": "content", "c": "x", "d/": ""})
	_, err := os.Lstat(m.Path("a"))
	fails(t, err, syscall.ENOENT)
}
