package remotetest

import (
	"bytes"
	"context"
	"slices"

	"github.com/moorfs/moorfs/s3backend"
)

var partChecks = []check{
	{"parts/progress", partsProgress},
	{"parts/resume", partsResume},
	{"parts/resume of a vanished upload", partsResumeVanished},
	{"parts/progress error stops", partsProgressStops},
	{"parts/abort", partsAbort},
	{"parts/base", partsBase},
	{"parts/base changed", partsBaseChanged},
}

// partsProgress tells of the upload before the first part, then of each part.
func partsProgress(c *contract) {
	key, body := c.root+"k", content(1, 3*c.part+1)
	told, inside := []s3backend.Upload{}, 0
	_, err := c.Put(c.ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader(body), Size: int64(len(body)),
		Progress: func(u s3backend.Upload) error { // serialised: the race detector sees if not
			inside++
			told = append(told, u)
			return nil
		},
	})
	c.ok(err, "put")
	if len(told) != 5 || inside != 5 {
		c.failf("told %d times of an upload of 4 parts", len(told))
	}
	for i, u := range told {
		if u.ID == "" || u.ID != told[0].ID || u.PartSize != c.part || len(u.Parts) != i {
			c.failf("told at %d: %+v", i, u)
		}
	}
	numbers, total := []int32{}, int64(0)
	for _, p := range told[4].Parts {
		numbers, total = append(numbers, p.Number), total+p.Size
	}
	if slices.Sort(numbers); !slices.Equal(numbers, []int32{1, 2, 3, 4}) || total != int64(len(body)) {
		c.failf("parts at the end: %+v", told[4].Parts)
	}
	c.holds(key, body)
	c.settled()
}

// interrupted puts body until its context ends, when at least two parts have
// gone, and returns the upload as it was told last.
func (c *contract) interrupted(key string, body []byte) s3backend.Upload {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	var left s3backend.Upload
	_, err := c.Put(ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader(body), Size: int64(len(body)),
		Progress: func(u s3backend.Upload) error {
			if left = u; len(u.Parts) == 2 {
				cancel()
			}
			return nil
		},
		Ready: ctx.Err, // not before all parts have gone, if they were that fast
	})
	c.wraps(err, context.Canceled, "put")
	c.missing(key)
	if len(left.Parts) < 2 {
		c.failf("the upload was not interrupted after two parts: %+v", left)
	}
	return left
}

// resumed puts body with the parts of left done, and checks that those are not
// read again.
func (c *contract) resumed(key string, body []byte, left s3backend.Upload) {
	w := &watched{ReaderAt: bytes.NewReader(body)}
	_, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: w, Size: int64(len(body)), Resume: left})
	c.ok(err, "put resumed")
	for _, p := range left.Parts {
		done := s3backend.Range{Off: int64(p.Number-1) * c.part, Len: p.Size}
		if w.touched(done) {
			c.failf("part %d was read again", p.Number)
		}
	}
	c.holds(key, body)
	c.settled()
}

// partsResume goes on where an upload was interrupted.
func partsResume(c *contract) {
	key, body := c.root+"k", content(2, 5*c.part+7)
	c.resumed(key, body, c.interrupted(key, body))
}

// partsResumeVanished starts anew when the upload is gone.
func partsResumeVanished(c *contract) {
	key, body := c.root+"k", content(4, 3*c.part+7)
	left := c.interrupted(key, body)
	c.ok(c.Abort(c.ctx, key, left), "abort")
	_, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Resume: left})
	c.ok(err, "put resumed")
	c.holds(key, body)
	c.settled()
}

// partsProgressStops sends nothing when the upload cannot be noted.
func partsProgressStops(c *contract) {
	key, body := c.root+"k", content(5, 2*c.part)
	var noted s3backend.Upload
	_, err := c.Put(c.ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader(body), Size: int64(len(body)),
		Progress: func(u s3backend.Upload) error { noted = u; return errRefused },
	})
	c.wraps(err, errRefused, "put")
	c.missing(key)
	if len(noted.Parts) > 0 {
		c.failf("a part was sent: %+v", noted)
	}
	c.ok(c.Abort(c.ctx, key, noted), "abort")
	c.settled()
}

// partsAbort leaves nothing behind; twice is no error.
func partsAbort(c *contract) {
	key, body := c.root+"k", content(6, 3*c.part)
	left := c.interrupted(key, body)
	for range 2 {
		c.ok(c.Abort(c.ctx, key, left), "abort")
		c.settled()
	}
	c.missing(key)
}

// partsBase composes an object from an older one and what has changed in it,
// of which alone it reads the body.
func partsBase(c *contract) {
	old := content(7, 4*c.part+100)
	base := c.put(c.root+"base", old)
	body := slices.Concat(old, []byte("appended"))
	changed := s3backend.Range{Off: 2*c.part + 5, Len: 10}
	copy(body[changed.Off:changed.End()], "0123456789")

	for _, key := range []string{c.root + "other", base.Key} {
		w := &watched{ReaderAt: bytes.NewReader(body)}
		_, err := c.Put(c.ctx, s3backend.Put{
			Key: key, Body: w, Size: int64(len(body)), Base: &base,
			Unchanged: []s3backend.Range{{Len: changed.Off}, {Off: changed.End(), Len: int64(len(old)) - changed.End()}},
		})
		c.ok(err, "put")
		c.holds(key, body)
		for _, part := range []int64{0, 1, 3} {
			if w.touched(s3backend.Range{Off: part * c.part, Len: c.part}) {
				c.failf("part %d is unchanged and was read", part+1)
			}
		}
		if !w.touched(changed) {
			c.failf("what has changed was not read")
		}
	}
	c.settled()
}

// partsBaseChanged writes nothing if Base is not what it was, and says so.
func partsBaseChanged(c *contract) {
	body := content(8, 3*c.part)
	base := c.put(c.root+"base", body)
	base.Version = "" // what is there now
	p := s3backend.Put{
		Key: c.root + "k", Body: bytes.NewReader(body), Size: int64(len(body)), Base: &base,
		Unchanged: []s3backend.Range{{Len: 2 * c.part}},
	}
	c.put(base.Key, content(9, 3*c.part))
	_, err := c.Put(c.ctx, p)
	c.kind(err, "put upon a base that has changed", s3backend.Changed)
	c.ok(c.remove(base.Key, ""), "delete")
	_, err = c.Put(c.ctx, p)
	c.kind(err, "put upon a base that is gone", s3backend.Changed, s3backend.NotFound)
	c.missing(p.Key)
	c.settled()
}
