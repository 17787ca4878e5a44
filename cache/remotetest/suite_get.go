package remotetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/moorfs/moorfs/s3backend"
)

// errRefused is what the callbacks of checks return.
var errRefused = errors.New("refused by the check")

var getChecks = []check{
	{"get/ranges", getRanges},
	{"get/changed", getChanged},
	{"get/missing", getMissing},
	{"context/ended", contextEnded},
}

// wraps ends the check unless target is in err's tree.
func (c *contract) wraps(err, target error, doing string) {
	if !errors.Is(err, target) {
		c.failf("%s: error %v, want %v in it", doing, err, target)
	}
}

// getRanges reads exactly what was asked for.
func getRanges(c *contract) {
	for _, n := range []int64{1, 1000, c.part + 1000} {
		key, body := fmt.Sprintf("%s%d", c.root, n), content(uint64(n), n)
		o := c.put(key, body)
		for _, r := range []s3backend.Range{{Off: 0, Len: 1}, {Off: n - 1, Len: 1}, {Off: n / 3, Len: (n + 1) / 2}, {Off: 0, Len: n}} {
			for _, at := range []s3backend.ETag{"", o.ETag} {
				got, err := c.read(s3backend.Get{Key: key, At: at, Range: r, Size: n})
				c.ok(err, fmt.Sprintf("get %+v of %d bytes", r, n))
				c.same(got, body[r.Off:r.End()], fmt.Sprintf("range %+v of %d bytes", r, n))
			}
		}
	}
}

// getChanged says when the object is not the one that was asked for.
func getChanged(c *contract) {
	key := c.root + "k"
	old := c.put(key, []byte("old content"))
	c.put(key, []byte("new"))
	_, err := c.read(s3backend.Get{Key: key, At: old.ETag, Range: s3backend.Range{Len: 1}, Size: old.Size})
	c.kind(err, "get of the old object", s3backend.Changed)
	_, err = c.read(s3backend.Get{Key: key, At: old.ETag, Range: s3backend.Range{Off: 5, Len: 2}, Size: old.Size})
	c.kind(err, "get behind the end", s3backend.Changed)
}

// getMissing says when nothing is there, with the key in the error.
func getMissing(c *contract) {
	key := c.root + "none"
	_, err := c.Head(c.ctx, key)
	c.kind(err, "head", s3backend.NotFound)
	var e *s3backend.Error
	if errors.As(err, &e); e.Key != key || e.Op == "" {
		c.failf("the error %v does not say what was asked of which key", err)
	}
	for _, at := range []s3backend.ETag{"", "0123456789abcdef0123456789abcdef"} {
		_, err := c.read(s3backend.Get{Key: key, At: at, Range: s3backend.Range{Len: 1}, Size: 1})
		c.kind(err, "get", s3backend.NotFound)
	}
}

// contextEnded returns the context's error from every method and does nothing.
func contextEnded(c *contract) {
	ctx, cancel := context.WithCancel(c.ctx)
	key := c.root + "k"
	o := c.put(key, []byte("here"))
	cancel()
	for _, err := range c.List(ctx, c.root, "") {
		c.wraps(err, context.Canceled, "list")
	}
	_, _, err := c.ListPage(ctx, c.root, "", 10)
	c.wraps(err, context.Canceled, "list page")
	_, err = c.Head(ctx, key)
	c.wraps(err, context.Canceled, "head")
	_, err = c.Get(ctx, s3backend.Get{Key: key, Range: s3backend.Range{Len: 1}, Size: 4})
	c.wraps(err, context.Canceled, "get")
	_, err = c.Put(ctx, s3backend.Put{Key: key, Size: 0})
	c.wraps(err, context.Canceled, "put")
	_, err = c.Copy(ctx, s3backend.Copy{From: o, To: key + "2"})
	c.wraps(err, context.Canceled, "copy")
	for _, err := range c.Delete(ctx, s3backend.Deletion{Key: key}) {
		c.wraps(err, context.Canceled, "delete")
	}
	c.holds(key, []byte("here"))
	c.missing(key + "2")
}
