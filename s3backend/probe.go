package s3backend

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Capabilities are what a server really does, as Probe found out by trying.
// They hold for one bucket and one set of options, and may be remembered.
type Capabilities struct {
	PutIf         bool `json:"put_if"`          // PutObject checks If-Match and If-None-Match
	CompleteIf    bool `json:"complete_if"`     // so does CompleteMultipartUpload
	CopyIf        bool `json:"copy_if"`         // so does CopyObject, of the destination
	DeleteIf      bool `json:"delete_if"`       // DeleteObject checks If-Match
	BatchDeleteIf bool `json:"batch_delete_if"` // so does DeleteObjects, for each key
	Checksums     bool `json:"checksums"`       // checksum headers are accepted
	MD5ETag       bool `json:"md5_etag"`        // the ETag of a plain object is its MD5
	Versioned     bool `json:"versioned"`       // objects get version ids
	OddMarkers    bool `json:"odd_markers"`     // an object "dir/" has another ETag than its PUT was answered
	OddAbsence    bool `json:"odd_absence"`     // If-None-Match also meets what was deleted, in a bucket with versions
}

// amazon is what Amazon S3 documents; a client of it needs no Probe to begin.
var amazon = Capabilities{PutIf: true, CompleteIf: true, DeleteIf: true, Checksums: true, MD5ETag: true}

// probeTime bounds Probe's cleaning up.
const probeTime = 30 * time.Second

// wrongETag is nobody's.
const wrongETag ETag = "00000000000000000000000000000000"

// Probe tries on scratch keys below scratchPrefix what the server does
// with conditions and encryption, and removes them, by version where there
// are versions. It judges by what the keys hold afterwards, not by status
// codes. A server that does not encrypt as asked is an error of kind
// Unsealed. Nothing is changed in c: see Use.
func (c *Client) Probe(ctx context.Context, scratchPrefix string) (Capabilities, error) {
	p := &prober{key: scratchPrefix + ".moorfs-probe-" + strings.ToLower(rand.Text()), made: map[[2]string]bool{}}
	p.other = p.key + "-2"
	p.all(c, true)
	defer p.clean(ctx)
	if err := p.seal(ctx); err != nil {
		return Capabilities{}, err
	}
	odd, err := p.oddMarkers(ctx)
	if err != nil {
		return Capabilities{}, fmt.Errorf("probing what the server does: %w", err)
	}
	found := Capabilities{OddMarkers: odd, Checksums: p.c.Capabilities().Checksums, MD5ETag: p.md5ETag, Versioned: p.versioned}
	for _, t := range []struct {
		found *bool
		try   func(context.Context) (bool, error)
	}{
		{&found.PutIf, p.put}, {&found.CompleteIf, p.complete}, {&found.CopyIf, p.copy},
		{&found.DeleteIf, p.deleteOne}, {&found.BatchDeleteIf, p.deleteBatch},
	} {
		ok, err := t.try(ctx)
		if err != nil {
			return Capabilities{}, fmt.Errorf("probing what the server does: %w", err)
		}
		*t.found = ok
	}
	if found.OddAbsence, err = p.oddAbsence(ctx); err != nil {
		return Capabilities{}, fmt.Errorf("probing what the server does: %w", err)
	}
	return found, nil
}

// A prober makes the requests of Probe.
type prober struct {
	c          *Client // believes in every capability, so that it sends every condition
	key, other string

	md5ETag, versioned bool
	made               map[[2]string]bool // key and version of what was written
}

// all gives the prober a client of its own, like c, that sends all headers.
func (p *prober) all(c *Client, sums bool) {
	p.c = &Client{api: c.api, creds: c.creds, counts: c.counts, gates: c.gates, enc: c.enc, sums: c.sums, opts: c.opts,
		copyMax: c.copyMax, uploads: c.uploads}
	p.c.Use(Capabilities{PutIf: true, CompleteIf: true, CopyIf: true, DeleteIf: true, BatchDeleteIf: true, Checksums: sums})
}

// write puts text at key.
func (p *prober) write(ctx context.Context, key, text string, cond Condition) (Object, error) {
	o, err := p.c.Put(ctx, Put{Key: key, Body: strings.NewReader(text), Size: int64(len(text)), If: cond})
	if err == nil {
		p.made[[2]string{key, o.Version}] = true
	}
	return o, err
}

// seal writes the first object, without checksum or condition if the server
// takes it only so, and makes sure that it is encrypted.
func (p *prober) seal(ctx context.Context) error {
	const text = "written by a probe"
	o, err := p.write(ctx, p.key, text, Condition{Absent: true})
	if err != nil && KindOf(err) == Other {
		p.all(p.c, false)
		o, err = p.write(ctx, p.key, text, Condition{Absent: true})
	}
	if err != nil && KindOf(err) == Other {
		o, err = p.write(ctx, p.key, text, Condition{})
	}
	if err != nil && KindOf(err) == Unsealed {
		return p.unsealed(err)
	}
	if err != nil {
		return err
	}
	sum := md5.Sum([]byte(text))
	p.md5ETag = string(o.ETag) == hex.EncodeToString(sum[:])
	p.versioned = realVersion(o.Version) != nil
	if p.c.enc.writeKey().secret == nil {
		return nil
	}
	if _, err := p.c.headWith(ctx, p.key, CustomerKey{}); err == nil {
		return p.unsealed(&Error{Op: "HeadObject", Key: p.key, Kind: Unsealed,
			Err: fmt.Errorf("an object written with SSE-C can be read without the key")})
	}
	return nil
}

// unsealed says what e means for whoever wants to mount.
func (p *prober) unsealed(e error) error {
	if p.c.enc.writeKey().secret != nil {
		return fmt.Errorf("the server accepts SSE-C headers but stores in clear: %w", e)
	}
	return fmt.Errorf("the server accepts headers of server-side encryption but does not encrypt as asked: %w", e)
}

// oddMarkers finds out whether the ETag of a directory's marker must be asked
// for: MinIO shows it encrypted in answers to HEAD, and compares it so.
func (p *prober) oddMarkers(ctx context.Context) (bool, error) {
	put, err := p.write(ctx, p.key+"-dir/", "", Condition{})
	if err != nil {
		return false, err
	}
	head, err := p.c.Head(ctx, put.Key)
	return head.ETag != put.ETag, err
}

// text returns what the key holds, empty if nothing.
func (p *prober) text(ctx context.Context, key string) (string, error) {
	o, err := p.c.Head(ctx, key)
	if KindOf(err) == NotFound || (err == nil && o.Size == 0) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	r, err := p.c.Get(ctx, Get{Key: key, At: o.ETag, Size: o.Size, Range: Range{Len: o.Size}})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	if closed := r.Close(); err == nil {
		err = closed
	}
	return string(b), err
}

// expect reports whether a request refused (Changed) or accepted as want says,
// and left text at the key. Only what says nothing about the server's
// abilities is an error.
func (p *prober) expect(ctx context.Context, got error, want bool, text string) (bool, error) {
	switch {
	case got == nil:
		if !want {
			return false, nil
		}
	case ctx.Err() != nil, KindOf(got) == Offline, KindOf(got) == Busy, KindOf(got) == Unsealed:
		return false, got
	case KindOf(got) != Changed || want:
		return false, nil
	}
	held, err := p.text(ctx, p.key)
	return held == text, err
}

// put tries conditions of PutObject.
func (p *prober) put(ctx context.Context) (bool, error) {
	o, err := p.write(ctx, p.key, "old", Condition{})
	if err != nil {
		return false, err
	}
	for _, cond := range []Condition{{Absent: true}, {Match: wrongETag}} {
		_, got := p.write(ctx, p.key, "new", cond)
		if ok, err := p.expect(ctx, got, false, "old"); !ok {
			return false, err
		}
	}
	_, got := p.write(ctx, p.key, "newer", Condition{Match: o.ETag})
	return p.expect(ctx, got, true, "newer")
}

// complete tries conditions of CompleteMultipartUpload.
func (p *prober) complete(ctx context.Context) (bool, error) {
	o, err := p.write(ctx, p.key, "old", Condition{})
	if err != nil {
		return false, err
	}
	for _, t := range []struct {
		cond Condition
		want bool
		text string
	}{{Condition{Absent: true}, false, "old"}, {Condition{Match: wrongETag}, false, "old"}, {Condition{Match: o.ETag}, true, "new"}} {
		m := &multipart{c: p.c, key: p.key, size: 3, cond: t.cond, sums: p.c.checksum(), upload: sender{Put{Body: strings.NewReader("new")}}.part}
		got := m.create(ctx, attributes{})
		if got == nil {
			_, got = m.run(ctx, ending{honoured: true})
		}
		if got != nil {
			got = m.giveUp(ctx, got)
		}
		if ok, err := p.expect(ctx, got, t.want, t.text); !ok {
			return false, err
		}
	}
	return true, nil
}

// copy tries conditions of CopyObject on the destination.
func (p *prober) copy(ctx context.Context) (bool, error) {
	o, err := p.write(ctx, p.key, "old", Condition{})
	if err != nil {
		return false, err
	}
	from, err := p.write(ctx, p.other, "new", Condition{})
	if err != nil {
		return false, err
	}
	for _, cond := range []Condition{{Absent: true}, {Match: wrongETag}} {
		_, got := p.c.Copy(ctx, Copy{From: from, To: p.key, If: cond})
		if ok, err := p.expect(ctx, got, false, "old"); !ok {
			return false, err
		}
	}
	_, got := p.c.Copy(ctx, Copy{From: from, To: p.key, If: Condition{Match: o.ETag}})
	return p.expect(ctx, got, true, "new")
}

// deleteOne tries the condition of DeleteObject.
func (p *prober) deleteOne(ctx context.Context) (bool, error) {
	return p.deleting(ctx, func(d Deletion) error { return p.c.deleteOne(ctx, d) })
}

// deleteBatch tries the condition of DeleteObjects.
func (p *prober) deleteBatch(ctx context.Context) (bool, error) {
	return p.deleting(ctx, func(d Deletion) error {
		errs := []error{nil}
		p.c.deleteBatch(ctx, deletions{[]Deletion{d}, errs, []int{0}})
		return errs[0]
	})
}

func (p *prober) deleting(ctx context.Context, remove func(Deletion) error) (bool, error) {
	o, err := p.write(ctx, p.key, "old", Condition{})
	if err != nil {
		return false, err
	}
	got := remove(Deletion{Key: p.key, If: Condition{Match: wrongETag}})
	if ok, err := p.expect(ctx, got, false, "old"); !ok {
		return false, err
	}
	got = remove(Deletion{Key: p.key, If: Condition{Match: o.ETag}})
	return p.expect(ctx, got, true, "")
}

// oddAbsence finds out whether a key whose object was deleted counts as one
// that has an object: versitygw compares the delete marker.
func (p *prober) oddAbsence(ctx context.Context) (bool, error) {
	if !p.versioned {
		return false, nil
	}
	if err := p.c.deleteOne(ctx, Deletion{Key: p.key}); err != nil && KindOf(err) != NotFound {
		return false, err
	}
	_, got := p.write(ctx, p.key, "again", Condition{Absent: true})
	if got == nil {
		return false, nil
	}
	return p.expect(ctx, got, false, "")
}

// clean removes all versions of the scratch keys, even if ctx has ended. What
// it cannot remove is logged: a probe's verdict does not depend on it.
func (p *prober) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	for _, key := range []string{p.key, p.other} {
		p.made[[2]string{key, ""}] = true // made by other means than write
	}
	out, err := p.c.api.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &p.c.opts.Bucket, Prefix: &p.key})
	if err == nil && (p.versioned || len(out.DeleteMarkers) > 0) {
		clear(p.made)
		for _, v := range out.Versions {
			p.made[[2]string{aws.ToString(v.Key), aws.ToString(v.VersionId)}] = true
		}
		for _, m := range out.DeleteMarkers {
			p.made[[2]string{aws.ToString(m.Key), aws.ToString(m.VersionId)}] = true
		}
	}
	for made := range p.made {
		in := &s3.DeleteObjectInput{Bucket: &p.c.opts.Bucket, Key: &made[0], VersionId: optional(made[1])}
		if _, err := p.c.api.DeleteObject(ctx, in); err != nil {
			p.c.opts.Log.Warn("a probe's scratch object stays", "error", fail(ctx, call{"DeleteObject", made[0]}, err))
		}
	}
}
