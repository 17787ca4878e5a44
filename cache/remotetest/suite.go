package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// Excuses say what a server cannot do: the reason, by the name of the check.
type Excuses map[string]string

// A Subject is what a Remote given to Suite must be besides: the contract is
// also about what is left behind, and about what happens between two parts.
type Subject interface {
	// PendingUploads returns the keys under prefix of the multipart uploads
	// that are neither complete nor aborted.
	PendingUploads(ctx context.Context, prefix string) ([]string, error)
	// PartSize returns the size of parts; larger objects come in several.
	PartSize() int64
}

// A check is one promise of the contract.
type check struct {
	name string
	run  func(c *contract)
}

// contract is what a check works with. Its keys begin with root, so that
// checks do not see each other's.
type contract struct {
	Remote
	ctx  context.Context
	root string
	part int64 // size of parts
}

// checkTimeout bounds one check.
const checkTimeout = time.Minute

// Suite checks that the Remote which open returns keeps the contract. It must
// be empty and a Subject. A check that is excused must fail.
func Suite(t *testing.T, open func(t *testing.T) Remote, excuses Excuses) {
	r := open(t)
	all := slices.Concat(putChecks, getChecks, conditionChecks, partChecks, copyChecks, listChecks, keyChecks(), togetherChecks)
	for name := range excuses {
		if !slices.ContainsFunc(all, func(k check) bool { return k.name == name }) {
			t.Errorf("there is an excuse for %q, which is no check", name)
		}
	}
	runChecks(t, r, all, excuses)
}

// Many checks that the Remote which open returns, a Subject, lists and deletes
// more objects than fit in one answer or request. It takes a while and has
// nothing to do with content.
func Many(t *testing.T, open func(t *testing.T) Remote) {
	runChecks(t, open(t), manyChecks, nil)
}

// Versions checks that the Remote which open returns, a Subject of a versioned
// bucket, reads and copies old versions.
func Versions(t *testing.T, open func(t *testing.T) Remote) {
	runChecks(t, open(t), versionChecks, nil)
}

func runChecks(t *testing.T, r Remote, checks []check, excuses Excuses) {
	subject, ok := r.(Subject)
	if !ok {
		t.Fatalf("%T is no Subject: it lacks PendingUploads or PartSize", r)
	}
	for i, k := range checks {
		t.Run(k.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
			defer cancel()
			err := k.try(&contract{Remote: r, ctx: ctx, root: fmt.Sprintf("%02d/", i), part: subject.PartSize()})
			reason, excused := excuses[k.name]
			switch {
			case excused && err == nil:
				t.Errorf("excused (%s), but it holds", reason)
			case excused:
				t.Logf("excused: %s: %v", reason, err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// A breach is what a check panics with.
type breach struct{ error }

// try runs the check and returns how the contract was broken.
func (k check) try(c *contract) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case breach:
			err = v.error
		default:
			panic(v)
		}
	}()
	k.run(c)
	return nil
}

// failf ends the check: the contract is broken.
func (c *contract) failf(format string, args ...any) {
	panic(breach{fmt.Errorf(format, args...)})
}

// ok ends the check if err is not nil.
func (c *contract) ok(err error, doing string) {
	if err != nil {
		c.failf("%s: %w", doing, err)
	}
}

// kind ends the check unless err is a *s3backend.Error of one of the kinds.
func (c *contract) kind(err error, doing string, kinds ...s3backend.Kind) {
	var e *s3backend.Error
	if !errors.As(err, &e) || !slices.Contains(kinds, e.Kind) {
		c.failf("%s: error %v, want kind %v", doing, err, kinds)
	}
}

// put writes an object of some bytes unconditionally.
func (c *contract) put(key string, body []byte) s3backend.Object {
	o, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
	c.ok(err, "put")
	return o
}

// read returns a range of an object.
func (c *contract) read(g s3backend.Get) ([]byte, error) {
	body, err := c.Get(c.ctx, g)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	return b, errors.Join(err, body.Close())
}

// holds ends the check unless the object at key is exactly want.
func (c *contract) holds(key string, want []byte) s3backend.Object {
	o, err := c.Head(c.ctx, key)
	c.ok(err, "head")
	if o.Size != int64(len(want)) {
		c.failf("%q has %d bytes, want %d", key, o.Size, len(want))
	}
	if len(want) > 0 {
		got, err := c.read(s3backend.Get{Key: key, At: o.ETag, Range: s3backend.Range{Len: o.Size}, Size: o.Size})
		c.ok(err, "get")
		c.same(got, want, key)
	}
	return o
}

// same ends the check at the first byte that differs.
func (c *contract) same(got, want []byte, what string) {
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	c.failf("%s: %d bytes, want %d; they differ at %d", what, len(got), len(want), i)
}

// missing ends the check if there is something at key.
func (c *contract) missing(key string) {
	o, err := c.Head(c.ctx, key)
	if err == nil {
		c.failf("there is an object that must not be: %+v", o)
	}
	c.kind(err, "head", s3backend.NotFound)
}

// settled ends the check if an unfinished upload is left under its root.
func (c *contract) settled() {
	left, err := c.Remote.(Subject).PendingUploads(c.ctx, c.root)
	c.ok(err, "list uploads")
	if len(left) > 0 {
		c.failf("uploads left behind: %s", strings.Join(left, " "))
	}
}

// list returns one level.
func (c *contract) list(prefix, after string) []s3backend.Entry {
	entries := []s3backend.Entry{}
	for e, err := range c.List(c.ctx, prefix, after) {
		c.ok(err, "list")
		entries = append(entries, e)
	}
	return entries
}

// keysOf returns the keys of entries.
func keysOf(entries []s3backend.Entry) []string {
	keys := []string{}
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}
