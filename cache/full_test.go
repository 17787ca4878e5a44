package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// While the bucket cannot be reached a writer waits for room, says so, and goes
// on afterwards.
func TestWriterWaitsOutAnOutage(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, func(c *Config) { c.Size = 6 << 20 })
	one, two := someBytes(5<<20, 1), someBytes(3<<20, 2)
	b.listed(Root)
	faults.Offline(true)
	b.write(Root, "one", one)
	done := make(chan error, 1)
	_, h, err := b.Create(t.Context(), Root, "two", New{Mode: 0o600})
	b.ok(err)
	go func() {
		_, err := h.WriteAt(context.Background(), two, 0)
		done <- err
	}()
	b.until("a writer that waits", func() bool { s := b.Status(); return s.Waiting == 1 && s.Network.State == Offline })
	faults.Offline(false)
	b.ok(<-done)
	b.ok(h.Flush(t.Context()))
	h.Release()
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/one": string(one), "p/two": string(two)})
	if n := b.Status().Waiting; n != 0 {
		t.Errorf("%d writers wait", n)
	}
}

// A writer does not wait for what S3 refuses.
func TestFullOfRefusedWork(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, func(c *Config) { c.Size = 6 << 20 })
	faults.Fail(remotetest.Fault{Op: "put", Kind: s3backend.Denied, Forever: true})
	b.write(Root, "one", someBytes(5<<20, 1))
	var left *Unfinished
	if err := b.drainSoon(); !errors.As(err, &left) {
		t.Fatalf("drain: %v", err)
	}
	_, h, err := b.Create(t.Context(), Root, "two", New{Mode: 0o600})
	b.ok(err)
	defer h.Release()
	_, err = h.WriteAt(t.Context(), someBytes(3<<20, 2), 0)
	b.is(err, ErrNoSpace)
}

// smallDisk mounts a disk of its own, and skips the test for users who may
// mount none.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); errors.Is(err, unix.EPERM) {
		t.Skip("needs the right to mount a disk that can be full")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the space of a disk that is left, as somebody else would.
func fill(t *testing.T, dir string) (undo func()) {
	t.Helper()
	name := filepath.Join(dir, "others")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// At once: not the reserve that is given up meanwhile. Others may be quicker
	// with the last pages.
	err = unix.ENOSPC
	for less := int64(0); errors.Is(err, unix.ENOSPC) && less < 16<<20; less += 256 << 10 {
		free, statErr := freeSpace(dir)
		if statErr != nil {
			t.Fatal(statErr)
		}
		err = unix.Fallocate(int(f.Fd()), 0, 0, free-less)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// saysFull fails if an error is about anything but a full disk.
func saysFull(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, journal.ErrFull) {
		t.Errorf("on a full disk: %v", err)
	}
}

// Others fill the cache's disk to the last byte: the process lives, nothing
// that was acknowledged is lost, what cannot be kept is refused, a daemon that
// was killed starts or says why not; and with room again all is sent.
func TestDiskFilledByOthers(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "size=400m")
	b := newBench(t, func(c *Config) { c.Dir, c.MinFree = filepath.Join(disk, "cache"), 192<<20 })
	want, maybe := map[string]string{}, map[string][]byte{}
	put := func(name string, seed uint64) error {
		data := someBytes(256<<10, seed)
		_, h, err := b.Create(t.Context(), Root, name, New{Mode: 0o600})
		if err != nil {
			return err
		}
		defer h.Release()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no waiting
		if _, err = h.WriteAt(ctx, data, 0); err == nil {
			err = h.Flush(t.Context())
		}
		if err == nil {
			want["p/"+name] = string(data)
		} else if b.Unlink(t.Context(), Root, name) != nil {
			maybe["p/"+name] = data // not acknowledged, not removed either
		}
		return err
	}
	for i := range uint64(20) {
		b.ok(put(string(rune('a'+i)), i))
	}
	free := fill(t, disk)
	for i := range uint64(40) {
		if put("full"+string(rune('a'+i)), i) != nil {
			break
		}
	}
	for key, data := range want {
		if got, err := b.tryRead(Root, key[2:]); err != nil || string(got) != data {
			t.Errorf("%s on a full disk: %v", key, err)
		}
	}
	b.until("a status that says so", func() bool { return b.Status().DiskLow })
	saysFull(t, b.Cache.Close())
	b.Cache = nil
	c, err := Open(t.Context(), b.cfg)
	if err == nil {
		err = c.Close()
	}
	saysFull(t, err)
	free()
	b.open()
	b.ok(b.drainSoon())
	for key, data := range maybe {
		if got, there := b.mem.Body(key); there && (len(got) == 0 || bytes.Equal(got, data)) {
			want[key] = string(got)
		}
	}
	b.bucket(want)
}
