package remotetest

import (
	"bytes"
	"maps"

	"github.com/moorfs/moorfs/s3backend"
)

var copyChecks = []check{
	{"copy/replaces metadata", copyMeta},
	{"copy/onto itself", copySelf},
	{"copy/changed source", copyChanged},
	{"copy/empty object", copyEmpty},
	{"copy/marker", copyMarker},
	{"copy/of many parts", copyParts},
}

// copyMeta takes the content of the source and nothing else.
func copyMeta(c *contract) {
	_, err := c.Put(c.ctx, s3backend.Put{
		Key: c.root + "from", Body: bytes.NewReader([]byte("abc")), Size: 3,
		Meta: map[string]string{"old": "1"}, Headers: someHeaders,
	})
	c.ok(err, "put")
	from := c.holds(c.root+"from", []byte("abc"))
	meta, headers := map[string]string{"new": "2"}, s3backend.Headers{ContentType: "text/plain", CacheControl: "no-cache"}
	o, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: c.root + "to", Meta: meta, Headers: headers})
	c.ok(err, "copy")
	h := c.holds(c.root+"to", []byte("abc"))
	if !maps.Equal(h.Meta, meta) || h.Headers != headers {
		c.failf("the copy has metadata %v and headers %+v", h.Meta, h.Headers)
	}
	if o.ETag != h.ETag || o.Key != h.Key || o.Size != h.Size {
		c.failf("copy answers %+v, head %+v", o, h)
	}
	if again := c.holds(from.Key, []byte("abc")); again.ETag != from.ETag || !maps.Equal(again.Meta, from.Meta) {
		c.failf("the source has changed: %+v", again)
	}
}

// copySelf gives an object other metadata.
func copySelf(c *contract) {
	key := c.root + "k"
	from := c.put(key, []byte("abc"))
	for _, value := range []string{"1", "2"} {
		meta := map[string]string{"mode": value}
		o, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: key, If: s3backend.Condition{Match: from.ETag}, Meta: meta})
		c.ok(err, "copy")
		h := c.holds(key, []byte("abc"))
		if !maps.Equal(h.Meta, meta) || h.ETag != o.ETag {
			c.failf("copy answers %+v, head %+v", o, h)
		}
		from = h
	}
}

// copyChanged copies nothing but the source it was told of.
func copyChanged(c *contract) {
	old := c.put(c.root+"from", []byte("old"))
	old.Version = "" // what is there now
	c.put(c.root+"from", []byte("new"))
	_, err := c.Copy(c.ctx, s3backend.Copy{From: old, To: c.root + "to"})
	c.kind(err, "copy of a source that has changed", s3backend.Changed)
	c.missing(c.root + "to")
	gone := old
	gone.Key = c.root + "none"
	_, err = c.Copy(c.ctx, s3backend.Copy{From: gone, To: c.root + "to"})
	c.kind(err, "copy of nothing", s3backend.NotFound)
	c.missing(c.root + "to")
}

func copyEmpty(c *contract) {
	from := c.put(c.root+"from", nil)
	_, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: c.root + "to", Meta: map[string]string{"a": "b"}})
	c.ok(err, "copy")
	if o := c.holds(c.root+"to", nil); o.Meta["a"] != "b" {
		c.failf("metadata %v", o.Meta)
	}
}

// copyMarker gives the marker of a directory other metadata.
func copyMarker(c *contract) {
	key := c.root + "dir/"
	from := c.put(key, nil)
	_, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: key, Meta: map[string]string{"mode": "16877"}})
	c.ok(err, "copy")
	if o := c.holds(key, nil); o.Meta["mode"] != "16877" {
		c.failf("metadata %v", o.Meta)
	}
}

func copyParts(c *contract) {
	body := content(1, 2*c.part+1)
	from := c.put(c.root+"from", body)
	_, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: c.root + "to"})
	c.ok(err, "copy")
	c.holds(c.root+"to", body)
}

var versionChecks = []check{{"versions", versions}}

// versions reads and copies versions that are no longer current.
func versions(c *contract) {
	key := c.root + "k"
	first := c.put(key, []byte("first"))
	second := c.put(key, []byte("second"))
	if first.Version == "" || first.Version == second.Version {
		c.failf("version ids %q and %q", first.Version, second.Version)
	}
	c.ok(c.remove(key, second.ETag), "delete")
	c.missing(key)
	got, err := c.read(s3backend.Get{Key: key, At: first.ETag, Version: first.Version, Range: s3backend.Range{Len: 5}, Size: 5})
	c.ok(err, "get of the first version")
	c.same(got, []byte("first"), "the first version")
	_, err = c.Copy(c.ctx, s3backend.Copy{From: first, To: key})
	c.ok(err, "copy of the first version")
	c.holds(key, []byte("first"))
}
