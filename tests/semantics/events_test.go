package semantics

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// believing are the options of a mount that asks for nothing twice.
var believing = []string{"--attr-ttl", "1h", "--list-ttl", "1h", "--negative-ttl", "1h", "--poll", "off", "--write-back", "1h"}

// checkEvents changes a bucket behind mounts that believe what they know for an
// hour. One is told by MinIO's webhook, one by a queue.
func checkEvents(t *testing.T, _ *stage) {
	t.Run("MinIO's webhook", func(t *testing.T) {
		f := newForwarder(t)
		s := &stage{S3: harness.MinIONotifying(t, "http://"+f.addr, "shared-secret")}
		m := mountOf(t, s.S3, harness.Spec{Options: append([]string{"--events", "http:127.0.0.1:0"}, believing...), Env: []string{"MOORFS_EVENTS_SECRET=shared-secret"}})
		f.to.Store(listenAddress(t, m))
		foreignChanges(t, s, m, func(string, string) {})
		ownChanges(t, s, m)
	})
	t.Run("SQS", func(t *testing.T) {
		s := &stage{S3: harness.Versity(t)}
		q := s3test.NewQueue(t)
		q.Repeat(true)
		m := mountOf(t, s.S3, harness.Spec{Options: append([]string{"--events", "sqs:" + q.URL}, believing...)})
		foreignChanges(t, s, m, func(event, key string) {
			q.Send(notification(t, s.Bucket, event, key))
		})
		eventually(t, "the queue to be empty", func() bool { return q.Left() == 0 })
	})
}

// foreignChanges makes all kinds of changes and waits for each to show. tell
// says what was done, where the server does not.
func foreignChanges(t *testing.T, s *stage, m *harness.Mount, tell func(event, key string)) {
	t.Helper()
	put := func(key, body string, meta map[string]string) {
		t.Helper()
		s.put(t, key, body, meta)
		tell("ObjectCreated:Put", key)
	}
	remove := func(key string) {
		t.Helper()
		ok(t, s.Raw.Delete(context.Background(), key))
		tell("ObjectRemoved:Delete", key)
	}
	var slowest time.Duration
	shows := func(what string, cond func() bool) {
		t.Helper()
		start := time.Now()
		eventually(t, what, cond)
		slowest = max(slowest, time.Since(start))
	}
	absent := func(name ...string) bool {
		_, err := os.Lstat(m.Path(name...))
		return errors.Is(err, os.ErrNotExist)
	}
	for _, key := range []string{"dir/changed", "dir/removed", "dir/mode", "lone/only/file", "unlisted/a"} {
		put(key, "before", map[string]string{"file-permissions": "0100600"})
	}
	first := time.Now()
	shows("all to be there", func() bool { return len(listed(t, m.Dir)) == 3 && len(listed(t, m.Path("dir"))) == 3 })
	holds(t, m.Path("dir", "changed"), "before")
	holds(t, m.Path("lone", "only", "file"), "before")
	for _, name := range []string{"dir/new", "deep", "unlisted/b"} {
		equal(t, "that "+name+" is absent", absent(name), true)
	}

	put("dir/changed", "after and longer", nil)
	shows("other content", func() bool {
		b, err := os.ReadFile(m.Path("dir", "changed"))
		return err == nil && string(b) == "after and longer"
	})
	put("dir/new", "new", nil)
	shows("a name that was absent", func() bool { return !absent("dir", "new") })
	shows("it in the listing", func() bool { return slices.Contains(listed(t, m.Path("dir")), "new") })
	put("deep/down/with a+b%é", "deep", nil)
	shows("a name in directories that were absent", func() bool { return !absent("deep", "down", "with a+b%é") })
	put("unlisted/b", "b", nil)
	shows("a name in a directory never listed", func() bool { return !absent("unlisted", "b") })
	eventually(t, "another time of the object, which S3 tells in seconds", func() bool { return time.Since(first) > 2100*time.Millisecond })
	put("dir/mode", "before", map[string]string{"file-permissions": "0100640"})
	shows("another mode of the same content", func() bool {
		info, err := os.Stat(m.Path("dir", "mode"))
		return err == nil && info.Mode().Perm() == 0o640
	})
	remove("dir/removed")
	shows("that a name is gone", func() bool { return absent("dir", "removed") })
	shows("that it is not listed", func() bool { return !slices.Contains(listed(t, m.Path("dir")), "removed") })
	remove("lone/only/file")
	shows("that a directory without names is gone", func() bool { return absent("lone") })
	t.Logf("a foreign change showed at most %v after it was made", slowest.Round(time.Millisecond))
	unsentStays(t, m, put)
}

// unsentStays changes a file in the bucket that was changed here.
func unsentStays(t *testing.T, m *harness.Mount, put func(key, body string, meta map[string]string)) {
	t.Helper()
	write(t, m.Path("dir", "new"), "ours, unsent")
	put("dir/new", "theirs", nil)
	put("dir/last", "", nil)
	eventually(t, "what came last", func() bool { _, err := os.Lstat(m.Path("dir", "last")); return err == nil })
	holds(t, m.Path("dir", "new"), "ours, unsent")
}

// ownChanges writes here and expects that being told of it costs nothing.
func ownChanges(t *testing.T, s *stage, m *harness.Mount) {
	t.Helper()
	ok(t, os.Mkdir(m.Path("own"), 0o755))
	write(t, m.Path("own", "f"), "ours")
	flush(t, m, "own")
	s.put(t, "told", "", nil) // told of after ours
	eventually(t, "what was written last", func() bool { _, err := os.Stat(m.Path("told")); return err == nil })
	before := s.Proxy.Counts()
	holds(t, m.Path("own", "f"), "ours")
	equal(t, "what is listed", strings.Join(listed(t, m.Path("own")), " "), "f")
	for op, n := range s.Proxy.Counts() {
		if n != before[op] {
			t.Errorf("%d %s for what was written here", n-before[op], op)
		}
	}
}

// notification is what S3 would send.
func notification(t *testing.T, bucket, event, key string) string {
	t.Helper()
	type object map[string]any
	b, err := json.Marshal(object{"Records": []object{{"eventName": event, "eventTime": time.Now().UTC().Format(time.RFC3339Nano),
		"s3": object{"bucket": object{"name": bucket}, "object": object{"key": url.QueryEscape(key)}}}}})
	ok(t, err)
	return string(b)
}

// listenAddress waits for a mount to tell where it listens.
func listenAddress(t *testing.T, m *harness.Mount) string {
	t.Helper()
	line := regexp.MustCompile(`events: listening" address=(\S+)`)
	eventually(t, "the address in the log", func() bool { return line.MatchString(m.Log()) })
	return line.FindStringSubmatch(m.Log())[1]
}

// A forwarder has an address from before there is anybody to pass connections
// on to.
type forwarder struct {
	addr string
	to   atomic.Value // string
}

func newForwarder(t *testing.T) *forwarder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	f := &forwarder{addr: l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.pass(from) })
		}
	})
	t.Cleanup(func() {
		ok(t, l.Close())
		all.Wait()
	})
	return f
}

// pass copies until either side ends.
func (f *forwarder) pass(from net.Conn) {
	defer from.Close()
	addr, _ := f.to.Load().(string)
	if addr == "" {
		return
	}
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	ended := make(chan struct{}, 2)
	for _, c := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(c[0], c[1]) // whoever waits for the rest notices
			ended <- struct{}{}
		}()
	}
	<-ended
}

// checkPolling changes a bucket behind a mount whose kernel believes for an
// hour, while somebody looks.
func checkPolling(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	for _, key := range []string{"d/changed", "d/removed", "d/stays"} {
		s.put(t, key, "before", nil)
	}
	m := s.mount(t, "--attr-ttl", "1h", "--negative-ttl", "1h", "--list-ttl", "1s", "--poll", "1s")
	off := s.mount(t, "--attr-ttl", "1h", "--negative-ttl", "1h", "--list-ttl", "1h", "--poll", "off")
	for _, m := range []*harness.Mount{m, off} {
		equal(t, "what is listed", len(listed(t, m.Path("d"))), 3)
		holds(t, m.Path("d", "changed"), "before")
	}
	s.put(t, "d/changed", "after and longer", nil)
	ok(t, s.Raw.Delete(t.Context(), "d/removed"))
	seen := func(m *harness.Mount) bool {
		info, err := os.Stat(m.Path("d", "changed"))
		_, gone := os.Stat(m.Path("d", "removed"))
		return err == nil && info.Size() > 6 && errors.Is(gone, os.ErrNotExist)
	}
	eventually(t, "the changes", func() bool {
		_, err := os.Stat(m.Path("d", "absent"))
		return errors.Is(err, os.ErrNotExist) && seen(m)
	})
	if seen(off) {
		t.Error("the changes show without polling: this test says nothing")
	}
}
