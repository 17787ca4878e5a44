package remotetest

import (
	"bytes"
	"fmt"

	"github.com/moorfs/moorfs/s3backend"
)

// small is the size of an object that goes up in one request.
const small = int64(10)

// wrongTag is an ETag that no object has.
const wrongTag = s3backend.ETag("00000000000000000000000000000000")

var conditionChecks = []check{
	{"condition/put absent", func(c *contract) { putAbsent(c, small) }},
	{"condition/put match", func(c *contract) { putMatch(c, small) }},
	{"condition/put in parts absent", func(c *contract) { putAbsent(c, c.part+10) }},
	{"condition/put in parts match", func(c *contract) { putMatch(c, c.part+10) }},
	{"condition/copy absent", copyAbsent},
	{"condition/copy match", copyMatch},
	{"condition/delete", deleteMatch},
	{"condition/delete in a batch", deleteBatch},
}

// putIf writes n bytes made of seed if the condition holds.
func (c *contract) putIf(key string, n int64, seed uint64, cond s3backend.Condition) (s3backend.Object, error) {
	return c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(content(seed, n)), Size: n, If: cond})
}

// putAbsent writes only where nothing is.
func putAbsent(c *contract, n int64) {
	key := c.root + "k"
	_, err := c.putIf(key, n, 1, s3backend.Condition{Absent: true})
	c.ok(err, "put of a new key")
	_, err = c.putIf(key, n, 2, s3backend.Condition{Absent: true})
	c.kind(err, "put of a key that exists", s3backend.Changed)
	c.holds(key, content(1, n))
	c.settled()
}

// putMatch writes only over the object it was told of.
func putMatch(c *contract, n int64) {
	key := c.root + "k"
	_, err := c.putIf(key, n, 1, s3backend.Condition{Match: wrongTag})
	c.kind(err, "put over nothing", s3backend.Changed, s3backend.NotFound)
	c.missing(key)
	first, err := c.putIf(key, n, 1, s3backend.Condition{})
	c.ok(err, "put")
	second, err := c.putIf(key, n, 2, s3backend.Condition{Match: first.ETag})
	c.ok(err, "put over the object")
	_, err = c.putIf(key, n, 3, s3backend.Condition{Match: first.ETag})
	c.kind(err, "put over another object", s3backend.Changed)
	if o := c.holds(key, content(2, n)); o.ETag != second.ETag {
		c.failf("ETag %s, want %s", o.ETag, second.ETag)
	}
	c.settled()
}

// copyAbsent copies only to where nothing is.
func copyAbsent(c *contract) {
	from := c.put(c.root+"from", []byte("source"))
	to := c.root + "to"
	_, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: to, If: s3backend.Condition{Absent: true}})
	c.ok(err, "copy to a new key")
	c.holds(to, []byte("source"))
	c.put(to, []byte("kept"))
	_, err = c.Copy(c.ctx, s3backend.Copy{From: from, To: to, If: s3backend.Condition{Absent: true}})
	c.kind(err, "copy to a key that exists", s3backend.Changed)
	c.holds(to, []byte("kept"))
}

// copyMatch copies only over the object it was told of.
func copyMatch(c *contract) {
	from := c.put(c.root+"from", []byte("source"))
	to := c.root + "to"
	_, err := c.Copy(c.ctx, s3backend.Copy{From: from, To: to, If: s3backend.Condition{Match: wrongTag}})
	c.kind(err, "copy over nothing", s3backend.Changed, s3backend.NotFound)
	c.missing(to)
	old := c.put(to, []byte("kept"))
	_, err = c.Copy(c.ctx, s3backend.Copy{From: from, To: to, If: s3backend.Condition{Match: wrongTag}})
	c.kind(err, "copy over another object", s3backend.Changed)
	c.holds(to, []byte("kept"))
	_, err = c.Copy(c.ctx, s3backend.Copy{From: from, To: to, If: s3backend.Condition{Match: old.ETag}})
	c.ok(err, "copy over the object")
	c.holds(to, []byte("source"))
}

// deleteMatch removes only the object it was told of.
func deleteMatch(c *contract) {
	key := c.root + "k"
	o := c.put(key, []byte("x"))
	c.kind(c.remove(key, wrongTag), "delete of another object", s3backend.Changed)
	c.holds(key, []byte("x"))
	c.ok(c.remove(key, o.ETag), "delete of the object")
	c.missing(key)
	c.ok(c.remove(key, o.ETag), "delete of what is gone")
	c.ok(c.remove(key, ""), "delete of what is gone, unconditionally")
}

func (c *contract) remove(key string, at s3backend.ETag) error {
	errs := c.Delete(c.ctx, s3backend.Deletion{Key: key, If: s3backend.Condition{Match: at}})
	if len(errs) != 1 {
		c.failf("%d errors for one deletion", len(errs))
	}
	return errs[0]
}

// deleteBatch says for each key of a batch what became of it.
func deleteBatch(c *contract) {
	ds := []s3backend.Deletion{}
	for i := range 12 {
		key := fmt.Sprintf("%s%02d", c.root, i)
		d := s3backend.Deletion{Key: key}
		if i%4 != 3 { // every fourth does not exist
			o := c.put(key, []byte{byte(i)})
			d.If.Match = []s3backend.ETag{"", o.ETag, wrongTag}[i%4]
		}
		ds = append(ds, d)
	}
	errs := c.Delete(c.ctx, ds...)
	if len(errs) != len(ds) {
		c.failf("%d errors for %d deletions", len(errs), len(ds))
	}
	for i, err := range errs {
		if ds[i].If.Match == wrongTag {
			c.kind(err, "delete of another object", s3backend.Changed)
			c.holds(ds[i].Key, []byte{byte(i)})
			continue
		}
		c.ok(err, "delete")
		c.missing(ds[i].Key)
	}
}
