package remotetest

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/moorfs/moorfs/s3backend"
)

var putChecks = []check{
	{"put/sizes", putSizes},
	{"put/metadata", func(c *contract) { putMeta(c, map[string]string{"nonce": "0123456789abcdef", "mode": "33188"}) }},
	{"put/metadata empty value", func(c *contract) { putMeta(c, map[string]string{"empty": "", "full": "x"}) }},
	{"put/metadata unicode", func(c *contract) { putMeta(c, map[string]string{"name": "grün ✓ 😀"}) }},
	{"put/metadata spaces and quotes", func(c *contract) { putMeta(c, map[string]string{"text": `a  b "c" %41 =?utf-8?q?x?= +;,`}) }},
	{"put/headers", putHeaders},
	{"put/replaces", putReplaces},
	{"put/ready refuses", putReadyRefuses},
}

// putSizes writes and reads objects of the sizes at which something else begins.
func putSizes(c *contract) {
	for i, n := range []int64{0, 1, c.part - 1, c.part, c.part + 1, 3*c.part + 12345} {
		key, body := fmt.Sprintf("%s%d", c.root, n), content(uint64(i), n)
		o := c.put(key, body)
		if o.Key != key || o.Size != n || o.ETag == "" {
			c.failf("put of %d bytes answers %+v", n, o)
		}
		if h := c.holds(key, body); h.ETag != o.ETag {
			c.failf("put of %d bytes says ETag %s, head %s", n, o.ETag, h.ETag)
		}
	}
	c.settled()
}

// putMeta gives metadata back, of objects in one part and in several.
func putMeta(c *contract, meta map[string]string) {
	for _, n := range []int64{1, c.part + 1} {
		key, body := fmt.Sprintf("%s%d", c.root, n), content(1, n)
		_, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(body), Size: n, Meta: meta})
		c.ok(err, "put")
		o, err := c.Head(c.ctx, key)
		c.ok(err, "head")
		if !maps.Equal(o.Meta, meta) {
			c.failf("metadata %q, want %q", o.Meta, meta)
		}
	}
}

var someHeaders = s3backend.Headers{
	CacheControl: "max-age=60", ContentDisposition: `attachment; filename="a b"`, ContentEncoding: "gzip",
	ContentLanguage: "de", ContentType: "text/x-moorfs",
}

// putHeaders gives headers back, of objects in one part and in several.
func putHeaders(c *contract) {
	for _, n := range []int64{1, c.part + 1} {
		key, body := fmt.Sprintf("%s%d", c.root, n), content(1, n)
		_, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(body), Size: n, Headers: someHeaders})
		c.ok(err, "put")
		if o := c.holds(key, body); o.Headers != someHeaders {
			c.failf("headers %+v, want %+v", o.Headers, someHeaders)
		}
	}
}

// putReplaces leaves nothing of the object that was there.
func putReplaces(c *contract) {
	key := c.root + "k"
	first, err := c.Put(c.ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader([]byte("first")), Size: 5,
		Meta: map[string]string{"a": "1"}, Headers: someHeaders,
	})
	c.ok(err, "put")
	_, err = c.Put(c.ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader([]byte("second")), Size: 6,
		Meta: map[string]string{"b": "2"}, Headers: s3backend.Headers{ContentType: "text/plain"},
	})
	c.ok(err, "put again")
	o := c.holds(key, []byte("second"))
	if o.ETag == first.ETag || !maps.Equal(o.Meta, map[string]string{"b": "2"}) ||
		o.Headers.ContentLanguage != "" || o.Headers.ContentType != "text/plain" {
		c.failf("something of the old object stayed: %+v", o)
	}
}

// putReadyRefuses writes nothing if Ready returns an error, and returns it.
func putReadyRefuses(c *contract) {
	for _, n := range []int64{0, 1, 2*c.part + 1} {
		key := fmt.Sprintf("%s%d", c.root, n)
		_, err := c.Put(c.ctx, s3backend.Put{
			Key: key, Body: bytes.NewReader(content(1, n)), Size: n,
			Ready: func() error { return errRefused },
		})
		c.wraps(err, errRefused, "put")
		c.missing(key)
	}
	c.settled()
}
