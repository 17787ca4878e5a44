package semantics

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
	"golang.org/x/sys/unix"
)

var failureChecks = map[string]check{
	"access denied": checkDenied,
	"the SSE-C key is missing, or is another":             checkCustomerKeys,
	"the KMS key is disabled or denied":                   checkKMS,
	"the clock is wrong, the credentials have expired":    checkCredentials,
	"A damaged cache":                                     checkDamagedCache,
	"no such key, of a listed one":                        checkNoSuchKey,
	"archived":                                            checkArchived,
	"locked (Object Lock, MFA delete)":                    checkLocked,
	"too large":                                           checkTooLarge,
	"the object was replaced and its old version is gone": checkReplaced,
	"busy, resets, time-outs":                             checkBusy,
	"nothing at all":                                      checkOffline,
	"A mount without network":                             checkOfflineMount,
	"Damaged bytes":                                       checkDamagedBytes,
	"an answer that is not the object, by length, ETag or checksum": checkOtherAnswers,
	"The cache's disk is full":                                      checkDiskFull,
	"A file larger than the cache":                                  checkLargerThanCache,
	"A signal":                                                      checkSignal,
	"A fault of moorfs itself":                                      checkFault,
	"Anything else":                                                 checkAnythingElse,
}

// failing is a bucket of its own whose keys all have the content of their
// names, mounted so that a read asks for the content alone.
func failing(t *testing.T, options ...string) (*stage, *harness.Mount) {
	t.Helper()
	s := &stage{S3: harness.Versity(t)}
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		s.put(t, key, key, nil)
	}
	m := s.mount(t, append([]string{"--attrs", "list", "--list-ttl", "1h", "--attr-ttl", "1h", "--write-back", "1h"}, options...)...)
	equal(t, "the number of files", len(listed(t, m.Dir)), 6)
	return s, m
}

// during makes some operations fail while fn runs.
func (s *stage) during(effect s3test.Effect, operations []string, fn func()) {
	s.Proxy.Fault(s3test.Fault{Match: s3test.On(operations...), Effect: effect})
	defer s.Proxy.Heal()
	fn()
}

var (
	reads  = []string{"GetObject"}
	writes = []string{"PutObject", "CopyObject"}
)

func readFile(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func checkDenied(t *testing.T, _ *stage) {
	s, m := failing(t)
	s.during(s3test.Denied(), reads, func() { fails(t, readFile(m.Path("a")), syscall.EACCES) })
	holds(t, m.Path("a"), "a")
	s.during(s3test.Denied(), writes, func() {
		write(t, m.Path("new"), "queued")
		if status, _ := m.Run(patience, "flush", m.Path("new")); status == 0 {
			t.Error("flush says that it is done")
		}
		if state := xattr(t, m.Path("new"), "user.moorfs.state"); !strings.Contains(state, "failed") || !strings.Contains(state, "s3:PutObject") {
			t.Errorf("the state is %q", state)
		}
		holds(t, m.Path("new"), "queued")
	})
	flush(t, m, "new")
	s.object(t, "new", "queued")
}

func checkCustomerKeys(t *testing.T, _ *stage) {
	s := &stage{S3: harness.MinIOTLS(t)}
	dir := harness.Dir(t)
	for _, name := range []string{"key", "other"} {
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name[:1], 32)), 0o600))
	}
	m := s.mount(t, "--sse-c-key-file", filepath.Join(dir, "key"))
	write(t, m.Path("f"), "secret")
	flush(t, m)
	fails(t, readFile(s.mount(t, "--attrs", "list").Path("f")), syscall.ENOKEY)
	fails(t, readFile(s.mount(t, "--attrs", "list", "--sse-c-key-file", filepath.Join(dir, "other")).Path("f")), syscall.EKEYREJECTED)
}

func checkKMS(t *testing.T, _ *stage) {
	refusedFor(t, s3test.Refusal(400, "KMS.DisabledException"), "KMS.DisabledException")
}

func checkCredentials(t *testing.T, _ *stage) {
	refusedFor(t, s3test.Refusal(403, "RequestTimeTooSkewed"), "RequestTimeTooSkewed")
	refusedFor(t, s3test.Refusal(400, "ExpiredToken"), "ExpiredToken")
}

// refusedFor checks that a refusal is EACCES, and that log and state say why.
func refusedFor(t *testing.T, effect s3test.Effect, why string) {
	t.Helper()
	s, m := failing(t)
	s.during(effect, append(reads, writes...), func() {
		fails(t, readFile(m.Path("a")), syscall.EACCES)
		eventually(t, "the log to say "+why, func() bool { return strings.Contains(m.Log(), why) })
		write(t, m.Path("new"), "queued")
		if status, _ := m.Run(patience, "flush", m.Path("new")); status == 0 {
			t.Error("flush says that it is done")
		}
		if state := xattr(t, m.Path("new"), "user.moorfs.state"); !strings.Contains(state, why) {
			t.Errorf("the state is %q", state)
		}
	})
	flush(t, m)
	s.object(t, "new", "queued")
	holds(t, m.Path("a"), "a")
}

func checkDamagedCache(t *testing.T, _ *stage) {
	s, m := failing(t)
	holds(t, m.Path("a"), "a")
	ok(t, os.Mkdir(m.Path("dir"), 0o755))
	write(t, m.Path("dir", "new"), "not uploaded")
	eventually(t, "what lies beside the data file", func() bool {
		found, err := filepath.Glob(filepath.Join(m.Cache, "data", "*", "*.meta"))
		return err == nil && len(found) > 0
	})
	ok(t, m.Kill())
	tables, err := filepath.Glob(filepath.Join(m.Cache, "db", "MANIFEST"))
	ok(t, err)
	equal(t, "the number of manifests", len(tables), 1)
	ok(t, os.WriteFile(tables[0], []byte("damaged"), 0o600))
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache, Options: []string{"--write-back", "1h"}})
	holds(t, m.Path("dir", "new"), "not uploaded")
	holds(t, m.Path("a"), "a")
	flush(t, m)
	s.object(t, "dir/new", "not uploaded")
}

func checkNoSuchKey(t *testing.T, _ *stage) {
	s, m := failing(t, "--attr-ttl", "0s")
	ok(t, s.Raw.Delete(t.Context(), "a"))
	fails(t, readFile(m.Path("a")), syscall.ENOENT)
	eventually(t, "the entry's end", func() bool { return len(listed(t, m.Dir)) == 5 })
}

func checkArchived(t *testing.T, _ *stage) {
	s, m := failing(t)
	s.during(s3test.Refusal(403, "InvalidObjectState"), reads, func() { fails(t, readFile(m.Path("a")), syscall.ENODATA) })
	holds(t, m.Path("a"), "a")
}

func checkLocked(t *testing.T, _ *stage) {
	s, m := failing(t, "--durability", "bucket")
	s.during(s3test.Refusal(403, "ObjectLocked"), writes, func() {
		fails(t, os.WriteFile(m.Path("a"), []byte("again"), 0), syscall.EPERM)
	})
	s.object(t, "a", "a")
	flush(t, m)
	s.during(s3test.Refusal(403, "ObjectLocked"), []string{"DeleteObject", "DeleteObjects"}, func() {
		err := os.Remove(m.Path("b"))
		if err == nil {
			d, openErr := os.Open(m.Dir)
			ok(t, openErr)
			err = d.Sync()
			ok(t, d.Close())
		}
		fails(t, err, syscall.EPERM)
	})
	s.object(t, "b", "b")
}

func checkTooLarge(t *testing.T, _ *stage) {
	s, m := failing(t, "--durability", "bucket")
	s.during(s3test.Refusal(400, "EntityTooLarge"), writes, func() {
		fails(t, os.WriteFile(m.Path("new"), []byte("x"), 0o644), syscall.EFBIG)
	})
	flush(t, m)
}

func checkReplaced(t *testing.T, _ *stage) {
	s, m := failing(t)
	f, err := os.Open(m.Path("a"))
	ok(t, err)
	defer f.Close()
	s.put(t, "a", "b", nil)
	_, err = io.ReadAll(f)
	fails(t, err, syscall.ESTALE)
	eventually(t, "the new version", func() bool {
		body, err := os.ReadFile(m.Path("a"))
		return err == nil && string(body) == "b"
	})
}

func checkBusy(t *testing.T, _ *stage) {
	s, m := failing(t)
	for name, effect := range map[string]s3test.Effect{"a": s3test.SlowDown(), "b": s3test.Refuse(), "c": s3test.InternalError(), "d": s3test.BreakAfter(0)} {
		s.Proxy.Fault(s3test.Fault{Match: onKey("GET", name), Times: 2, Effect: effect})
		holds(t, m.Path(name), name)
	}
	s.during(s3test.SlowDown(), append(reads, writes...), func() {
		fails(t, readFile(m.Path("e")), syscall.EIO)
		write(t, m.Path("new"), "queued")
		status, _ := m.Run(3*time.Second, "flush", m.Path("new"))
		equal(t, "that the write is done", status == 0, false)
		if state := xattr(t, m.Path("new"), "user.moorfs.state"); strings.Contains(state, "failed") || strings.Contains(state, "synced") {
			t.Errorf("the state is %q", state)
		}
	})
	flush(t, m)
	s.object(t, "new", "queued")
}

func checkOffline(t *testing.T, _ *stage) {
	s, m := failing(t)
	holds(t, m.Path("a"), "a")
	s.Proxy.Offline(true)
	began := time.Now()
	holds(t, m.Path("a"), "a")
	write(t, m.Path("new"), "queued")
	holds(t, m.Path("new"), "queued")
	var readers sync.WaitGroup
	for _, name := range []string{"b", "c", "d", "e", "f"} {
		readers.Go(func() { fails(t, readFile(m.Path(name)), syscall.ETIMEDOUT) })
	}
	readers.Wait()
	if took := time.Since(began); took > time.Minute { // each asks twice, and the machine may be slow
		t.Errorf("reads ended after %v", took)
	}
	if n := strings.Count(m.Log(), "level=ERROR") + strings.Count(m.Log(), "level=WARN"); n == 0 || n > 6 {
		t.Errorf("%d lines in the log: %s", n, m.Log())
	}
	equal(t, "the number of names", len(listed(t, m.Dir)), 7)
	eventually(t, "status to say offline", func() bool { return strings.Contains(statusOf(m), "offline since") })
	s.Proxy.Offline(false)
	eventually(t, "status to say so no more", func() bool { return !strings.Contains(statusOf(m), "offline") })
	flush(t, m)
	s.object(t, "new", "queued")
	holds(t, m.Path("b"), "b")
}

func statusOf(m *harness.Mount) string {
	_, out := m.Run(patience, "status", m.Dir)
	return out
}

func checkOfflineMount(t *testing.T, _ *stage) {
	s, m := failing(t)
	holds(t, m.Path("a"), "a")
	ok(t, m.Unmount())
	s.Proxy.Offline(true)
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache, Options: []string{"--attrs", "list"}})
	eventually(t, "a warning", func() bool { return strings.Contains(m.Log(), "mounted without network") })
	equal(t, "the number of files", len(listed(t, m.Dir)), 6)
	holds(t, m.Path("a"), "a")
	fails(t, readFile(m.Path("b")), syscall.ETIMEDOUT)
	write(t, m.Path("new"), "queued")
	_, err := harness.Try(t, harness.Spec{Source: "s3://" + s.Bucket, Env: s.Env(), Options: []string{"--endpoint-url", s.Endpoint}})
	if err == nil || !strings.Contains(err.Error(), "offline") {
		t.Errorf("a mount with an empty cache: %v", err)
	}
	s.Proxy.Offline(false)
	flush(t, m)
	s.object(t, "new", "queued")
	holds(t, m.Path("b"), "b")
}

func checkOtherAnswers(t *testing.T, _ *stage) {
	s, m := failing(t)
	wrong := s3test.Answer(200, "application/octet-stream", "x")
	effects := map[string]s3test.Effect{"a": s3test.Truncate(0), "b": s3test.FlipByte(0), "c": s3test.HTML(), "d": wrong}
	for name, effect := range effects {
		s.during(effect, reads, func() { fails(t, readFile(m.Path(name)), syscall.EIO) })
	}
	for name, effect := range effects {
		s.Proxy.Fault(s3test.Fault{Match: onKey("GET", name), Times: 1, Effect: effect})
		holds(t, m.Path(name), name)
	}
}

func checkDiskFull(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	disk := harness.Dir(t)
	ok(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=320m"))
	t.Cleanup(func() { ok(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	m := mountOf(t, s.S3, harness.Spec{Cache: filepath.Join(disk, "cache"),
		Options: []string{"--write-back", "1s", "--cache-size", "10GiB", "--cache-min-free", "1MiB"}})
	const size = 8 << 20
	for i := range 25 { // more than fits
		write(t, m.Path(fmt.Sprint("f", i)), strings.Repeat(string(rune('a'+i)), size))
	}
	flush(t, m)
	s.Proxy.Offline(true)
	const written = 40
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil && i < written; i++ {
			err = os.WriteFile(m.Path(fmt.Sprint("g", i)), []byte(strings.Repeat("g", size)), 0o644)
		}
		done <- err
	}()
	eventually(t, "a writer that waits", func() bool {
		_, status := m.Run(time.Minute, "status", m.Dir)
		return strings.Contains(status, "waiting for uploads")
	})
	s.Proxy.Offline(false)
	ok(t, <-done)
	for i := range written {
		holds(t, m.Path(fmt.Sprint("g", i)), strings.Repeat("g", size))
	}
	flush(t, m)
	for i := range written {
		s.object(t, fmt.Sprint("g", i), strings.Repeat("g", size))
	}
	for i := range 25 {
		s.object(t, fmt.Sprint("f", i), strings.Repeat(string(rune('a'+i)), size))
	}
	s.during(s3test.Denied(), writes, func() {
		var err error
		for i := 0; err == nil && i < 40; i++ {
			err = os.WriteFile(m.Path(fmt.Sprint("h", i)), []byte(strings.Repeat("h", size)), 0o644)
		}
		fails(t, err, syscall.ENOSPC)
	})
}

func checkDamagedBytes(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	body := large("l")
	s.put(t, "clean", body, nil)
	m := s.mount(t, "--write-back", "1h")
	holds(t, m.Path("clean"), body)
	write(t, m.Path("new"), body)
	ok(t, m.Kill())
	flipped := 0
	data, err := filepath.Glob(filepath.Join(m.Cache, "data", "*", "*"))
	ok(t, err)
	for _, name := range data {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		ok(t, err)
		one := make([]byte, 1)
		if _, err := f.ReadAt(one, 1<<20); err == nil {
			one[0] ^= 1
			_, err = f.WriteAt(one, 1<<20)
			ok(t, err)
			flipped++
		}
		ok(t, f.Close())
	}
	equal(t, "the number of damaged files", flipped, 2)
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache, Options: []string{"--write-back", "1h"}})
	holds(t, m.Path("clean"), body)
	fails(t, readFile(m.Path("new")), syscall.EIO)
	if status, said := m.Run(time.Minute, "flush", m.Path("new")); status == 0 || !strings.Contains(said, "damaged") {
		t.Errorf("flush: status %d, %s", status, said)
	}
	ok(t, pwrite(m.Path("new"), body[1<<20:2<<20], 1<<20))
	flush(t, m)
	s.object(t, "new", body)
}

// pwrite overwrites a piece of a file.
func pwrite(name, text string, off int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), off)
	return errors.Join(err, f.Close())
}

func checkLargerThanCache(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	body := large("l")
	s.put(t, "large", body, nil)
	m := s.mount(t, "--cache-size", "8MiB", "--write-back", "1s")
	holds(t, m.Path("large"), body)
	fails(t, os.WriteFile(m.Path("written"), []byte(body), 0o644), syscall.ENOSPC)
	ok(t, os.Remove(m.Path("written")))
}

func checkSignal(t *testing.T, _ *stage) {
	s, m := failing(t)
	defer s.Proxy.Heal()
	s.Proxy.Fault(s3test.Fault{Match: s3test.On(reads...), Effect: s3test.Delay(time.Second)})
	readInterrupted(t, s, m.Path("b"))
	s.Proxy.Heal()
	s.Proxy.Fault(s3test.Fault{Match: s3test.On(reads...), Effect: s3test.Delay(time.Hour)})
	before := s.Proxy.Counts()["GetObject"]
	cmd := exec.Command("cat", m.Path("a"))
	ok(t, harness.Spawn(cmd))
	eventually(t, "the reader's request", func() bool { return s.Proxy.Counts()["GetObject"] > before })
	ok(t, cmd.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Errorf("the reader ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the reader does not end")
	}
}

// readInterrupted reads a file by a thread that gets a signal, with a handler,
// while it waits for the bucket.
func readInterrupted(t *testing.T, s *stage, path string) {
	t.Helper()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	defer signal.Stop(signals)
	thread, done := make(chan int), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == nil {
			_, err = syscall.Read(fd, make([]byte, 1))
			err = errors.Join(err, syscall.Close(fd))
		}
		done <- err
	}()
	tid := <-thread
	eventually(t, "the thread's request", func() bool { return s.Proxy.Counts()["GetObject"] > 0 })
	ok(t, unix.Tgkill(os.Getpid(), tid, syscall.SIGUSR2))
	ok(t, <-done)
}

func checkAnythingElse(t *testing.T, _ *stage) {
	s, m := failing(t)
	s.during(s3test.Refusal(418, "Teapot"), reads, func() { fails(t, readFile(m.Path("a")), syscall.EIO) })
	eventually(t, "the line in the log", func() bool {
		lines := m.Log()
		return strings.Contains(lines, "op=read") && strings.Contains(lines, "Teapot") && strings.Contains(lines, `\"a\"`)
	})
}
