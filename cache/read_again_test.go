package cache

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A damagedRemote damages what some of the next GETs bring, which shows at the
// end as a checksum does.
type damagedRemote struct {
	*remotetest.Memory
	damage int
}

func (d *damagedRemote) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	r, err := d.Memory.Get(ctx, g)
	if d.damage > 0 && err == nil {
		d.damage--
		r = &damagedBody{r}
	}
	return r, err
}

type damagedBody struct{ io.ReadCloser }

func (b *damagedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	if errors.Is(err, io.EOF) {
		err = &s3backend.Error{Op: "get", Kind: s3backend.Corrupt}
	}
	return n, err
}

// Content that arrives damaged is asked for again, and never handed on.
func TestDamagedContentIsAskedForAgain(t *testing.T) {
	t.Parallel()
	remote := &damagedRemote{}
	b := newBench(t, func(c *Config) {
		remote.Memory = c.Remote.(*remotetest.Memory)
		c.Remote = remote
	})
	b.mem.Set("p/f", []byte("content"), nil)
	b.names(Root)
	remote.damage = 100
	if got, err := b.tryRead(Root, "f"); Cause(err) != FailCorrupt || len(got) > 0 {
		t.Errorf("reads %q, %v", got, err)
	}
	remote.damage = getTries - 1
	if got := b.read(Root, "f"); string(got) != "content" {
		t.Errorf("reads %q", got)
	}
}

// A file whose object was replaced can be read when it is opened again, even
// if what is known of it need not be asked yet.
func TestOpenAgainAfterStale(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/f", []byte("old"), nil)
	b.names(Root)
	b.mem.Set("p/f", []byte("newer"), nil)
	_, err := b.tryRead(Root, "f")
	b.is(err, ErrStale)
	if _, err = b.tryRead(Root, "f"); err != nil {
		b.is(err, ErrStale) // the kernel then looks the name up again
	}
	if got := b.read(Root, "f"); string(got) != "newer" {
		t.Errorf("reads %q", got)
	}
}

// A refused deletion is what fsync of the directory ends with, by its kind.
func TestSyncOfADirectoryNamesTheRefusal(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, func(c *Config) { c.Durability = DurableBucket })
	b.mem.Set("p/f", []byte("locked"), nil)
	b.names(Root)
	faults.Fail(remotetest.Fault{Op: "delete", Forever: true, Kind: s3backend.Locked})
	b.ok(b.Unlink(t.Context(), Root, "f"))
	if err := b.SyncDir(t.Context(), Root); Cause(err) != FailLocked {
		t.Errorf("fsync ends with %v", err)
	}
	faults.Heal()
}
