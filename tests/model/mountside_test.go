package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// A mountSide is a machine with a mount.
type mountSide struct {
	t      harness.T
	spec   harness.Spec
	mount  *harness.Mount
	proxy  *s3test.Proxy
	open   [handles]int // descriptors; 0: none
	unsent string       // what the last flush left
}

const (
	hangLimit  = time.Minute     // of one system call
	flushLimit = 2 * time.Minute // of a flush
	mountTTL   = 500 * time.Millisecond
)

func newMountSide(t harness.T, s settings, bucket *harness.S3, name party) (*mountSide, error) {
	m := &mountSide{t: t, proxy: bucket.Server.Proxy(t)}
	dir := filepath.Join(harness.Dir(t), string(name))
	ttl := mountTTL.String()
	if s.ttl == 0 {
		ttl = "0s"
	}
	m.spec = harness.Spec{Source: "s3://" + bucket.Bucket + "/" + strings.TrimSuffix(prefix, "/"), Dir: filepath.Join(dir, "mnt"),
		Cache: filepath.Join(dir, "cache"), Env: bucket.Env(),
		Options: []string{"--endpoint-url", m.proxy.URL, "--part-size", "5MiB", "--write-back", "1h", "--cache-size", "2GiB", "--attrs", "exact",
			"--attr-ttl", ttl, "--list-ttl", ttl, "--negative-ttl", ttl, "--uid", fmt.Sprint(others.uid), "--gid", fmt.Sprint(others.gid),
			"--file-mode", fmt.Sprintf("%04o", others.mode), "--dir-mode", fmt.Sprintf("%04o", othersDir)}}
	if s.eager {
		m.spec.Options = append(m.spec.Options, "--write-back", "0s")
	}
	if s.one {
		m.spec.Options = append(m.spec.Options, "--max-uploads", "1")
	}
	if s.bucket {
		m.spec.Options = append(m.spec.Options, "--durability", "bucket")
	}
	return m, m.start()
}

func (m *mountSide) start() (err error) {
	m.mount, err = harness.Try(m.t, m.spec)
	return err
}

// closeAll closes descriptors; of a dead mount they cannot be closed in order.
func (m *mountSide) closeAll(alive bool) error {
	var errs []error
	for i, fd := range m.open {
		if fd == 0 {
			continue
		}
		m.open[i] = 0
		if err := unix.Close(fd); err != nil && alive {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (m *mountSide) flush() error {
	status, out := m.mount.Run(flushLimit, "flush", m.mount.Dir)
	if m.unsent = ""; status != 0 {
		m.unsent = out
	}
	if status != 0 && status != 3 {
		return fmt.Errorf("moorfs flush: status %d: %s", status, out)
	}
	return nil
}

func (m *mountSide) queued() string { return m.unsent }

func (m *mountSide) remount() error {
	m.network("heal")
	if err := errors.Join(m.closeAll(true), m.mount.Unmount()); err != nil {
		return err
	}
	return m.start()
}

// evict unmounts, after which everything is in the bucket, and mounts with an
// empty cache.
func (m *mountSide) evict() error {
	m.network("heal")
	if err := errors.Join(m.closeAll(true), m.mount.Unmount(), os.RemoveAll(m.spec.Cache)); err != nil {
		return err
	}
	return m.start()
}

func (m *mountSide) crash() error {
	err := m.mount.Die()
	if err = errors.Join(err, m.closeAll(false), m.mount.Clear()); err != nil {
		return err
	}
	return m.start()
}

// operations of S3 that stand behind a kind of request.
var operations = map[string][]string{
	"put":    {"PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"},
	"copy":   {"CopyObject", "UploadPartCopy"},
	"delete": {"DeleteObject", "DeleteObjects"},
}

func (m *mountSide) network(what string) {
	kind, when, _ := strings.Cut(what, " ")
	fault := s3test.Fault{Match: s3test.On(operations[kind]...), Times: 1}
	switch {
	case what == "heal" || what == "online":
		m.proxy.Heal()
		return
	case when == "before":
		fault.Effect = s3test.InternalError()
	case when == "after":
		fault.Effect = s3test.LoseAnswer()
	default:
		return // stalls and being offline take as long as time-outs do
	}
	m.proxy.Fault(fault)
}

func (m *mountSide) close() error {
	m.network("heal")
	return errors.Join(m.closeAll(true), m.mount.Unmount())
}

// A rawStore is a bucket on a real server, by a client of its own.
type rawStore struct{ raw *s3test.Raw }

func (s rawStore) put(path string, body []byte) error {
	return s.raw.Put(context.Background(), prefix+path, body, nil)
}

func (s rawStore) remove(path string) error {
	return s.raw.Delete(context.Background(), prefix+path)
}

func (s rawStore) objects() (map[string]object, error) {
	keys, err := s.raw.Keys(context.Background(), prefix)
	if err != nil {
		return nil, err
	}
	all := map[string]object{}
	for _, key := range keys {
		o, body, err := s.raw.Get(context.Background(), key)
		if err != nil {
			return nil, err
		}
		all[strings.TrimPrefix(key, prefix)] = object{body, o.Meta}
	}
	return all, nil
}

func (s rawStore) uploads() ([]string, error) { return s.raw.Uploads(context.Background(), prefix) }
