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
	{"parts/resume after the context ended", partsResumeCancelled},
	{"parts/resume of a vanished upload", partsResumeVanished},
	{"parts/progress error stops", partsProgressStops},
	{"parts/abort", partsAbort},
	{"parts/base", partsBase},
	{"parts/base changed", partsBaseChanged},
}

// partsProgress tells of the upload before the first part, then of each part.
func partsProgress(c *contract) {
	key, body := c.root+"k", content(1, 3*PartSize+1)
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
		if u.ID == "" || u.ID != told[0].ID || u.PartSize != PartSize || len(u.Parts) != i {
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

// broken puts body until two parts have gone and returns the upload.
func (c *contract) broken(ctx context.Context, key string, body []byte, stop func() error) (s3backend.Upload, error) {
	var left s3backend.Upload
	_, err := c.Put(ctx, s3backend.Put{
		Key: key, Body: bytes.NewReader(body), Size: int64(len(body)),
		Progress: func(u s3backend.Upload) error {
			if left = u; len(u.Parts) < 2 {
				return nil
			}
			return stop()
		},
	})
	if len(left.Parts) < 2 {
		c.failf("the upload was not stopped after two parts: %+v, error %v", left, err)
	}
	left.Parts = slices.Clone(left.Parts)
	return left, err
}

// resumed puts body with the parts of left done, and checks that those are not
// read again.
func (c *contract) resumed(key string, body []byte, left s3backend.Upload) {
	w := &watched{ReaderAt: bytes.NewReader(body)}
	_, err := c.Put(c.ctx, s3backend.Put{Key: key, Body: w, Size: int64(len(body)), Resume: left})
	c.ok(err, "put resumed")
	for _, p := range left.Parts {
		done := s3backend.Range{Off: int64(p.Number-1) * PartSize, Len: p.Size}
		if w.touched(done) {
			c.failf("part %d was read again", p.Number)
		}
	}
	c.holds(key, body)
	c.settled()
}

// partsResume goes on where an upload was stopped.
func partsResume(c *contract) {
	key, body := c.root+"k", content(2, 5*PartSize+7)
	left, err := c.broken(c.ctx, key, body, func() error { return errRefused })
	c.wraps(err, errRefused, "put stopped by Progress")
	c.missing(key)
	c.resumed(key, body, left)
}

// partsResumeCancelled keeps what has gone when the context ends.
func partsResumeCancelled(c *contract) {
	key, body := c.root+"k", content(3, 5*PartSize+7)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	left, err := c.broken(ctx, key, body, func() error { cancel(); return nil })
	c.wraps(err, context.Canceled, "put cancelled")
	c.missing(key)
	c.resumed(key, body, left)
}

// partsResumeVanished starts anew when the upload is gone.
func partsResumeVanished(c *contract) {
	key, body := c.root+"k", content(4, 3*PartSize+7)
	left, err := c.broken(c.ctx, key, body, func() error { return errRefused })
	c.wraps(err, errRefused, "put stopped by Progress")
	c.ok(c.Abort(c.ctx, key, left), "abort")
	_, err = c.Put(c.ctx, s3backend.Put{Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Resume: left})
	c.ok(err, "put resumed")
	c.holds(key, body)
	c.settled()
}

// partsProgressStops sends nothing when the upload cannot be noted.
func partsProgressStops(c *contract) {
	key, body := c.root+"k", content(5, 2*PartSize)
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
	key, body := c.root+"k", content(6, 3*PartSize)
	left, err := c.broken(c.ctx, key, body, func() error { return errRefused })
	c.wraps(err, errRefused, "put stopped by Progress")
	for range 2 {
		c.ok(c.Abort(c.ctx, key, left), "abort")
		c.settled()
	}
	c.missing(key)
}

// partsBase composes an object from an older one and what has changed in it,
// of which alone it reads the body.
func partsBase(c *contract) {
	old := content(7, 4*PartSize+100)
	base := c.put(c.root+"base", old)
	body := slices.Concat(old, []byte("appended"))
	changed := s3backend.Range{Off: 2*PartSize + 5, Len: 10}
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
			if w.touched(s3backend.Range{Off: part * PartSize, Len: PartSize}) {
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
	body := content(8, 3*PartSize)
	base := c.put(c.root+"base", body)
	base.Version = "" // what is there now
	p := s3backend.Put{
		Key: c.root + "k", Body: bytes.NewReader(body), Size: int64(len(body)), Base: &base,
		Unchanged: []s3backend.Range{{Len: 2 * PartSize}},
	}
	c.put(base.Key, content(9, 3*PartSize))
	_, err := c.Put(c.ctx, p)
	c.kind(err, "put upon a base that has changed", s3backend.Changed)
	c.ok(c.remove(base.Key, ""), "delete")
	_, err = c.Put(c.ctx, p)
	c.kind(err, "put upon a base that is gone", s3backend.Changed, s3backend.NotFound)
	c.missing(p.Key)
	c.settled()
}
