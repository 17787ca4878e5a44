package cache

import (
	"context"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// pathsOnly makes the bucket one whose keys are paths of a file system, as
// versitygw's and MinIO's are: no object lies at a key that others go on from.
func pathsOnly(b *bench, faults *remotetest.Faults) {
	faults.Hook(func(_ context.Context, call remotetest.Call) error {
		if call.Op != "put" && call.Op != "copy" {
			return nil
		}
		key := call.Keys[0]
		for _, k := range b.mem.Keys() {
			if strings.HasPrefix(k, key+"/") || strings.HasPrefix(key, k+"/") {
				return &s3backend.Error{Op: call.Op, Key: key, Kind: s3backend.Blocked}
			}
		}
		return nil
	})
}

// soon lets copies that a move of a directory makes due follow by themselves.
func soon(c *Config) { c.WriteBack, c.WriteBackMax = 0, 0 }

// A file and a directory that exchange their names wait for each other's
// objects where the server's keys are paths.
func TestExchangeOfFileAndDirectoryWhereKeysArePaths(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, soon)
	pathsOnly(b, faults)
	b.mem.Set("p/d/in", []byte("in"), nil)
	b.names(Root)
	b.names(b.lookup("d"))
	b.write(Root, "f", []byte("file"))
	b.drain()
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "d", Exchange: true}))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f/in": "in", "p/d": "file"})
}

// So does a file that takes a directory's place while its content is elsewhere
// only, and is evicted.
func TestFileTakesTheKeyOfADirectoryWhereKeysArePaths(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t, soon)
	pathsOnly(b, faults)
	b.mem.Set("p/d/in", []byte("in"), nil)
	b.mem.Set("p/f", []byte("theirs"), map[string]string{"color": "blue"})
	b.names(Root)
	b.ok(b.Rename(t.Context(), Rename{OldParent: Root, OldName: "f", NewParent: Root, NewName: "d", Exchange: true}))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/f/in": "in", "p/d": "theirs"})
	if o, err := b.mem.Head(t.Context(), "p/d"); err != nil || o.Meta["color"] != "blue" {
		t.Errorf("metadata %v (%v)", o.Meta, err)
	}
}
