package s3backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partSize returns the size of the parts of an object: that of Options, or
// more, in whole MiB, so that 10,000 parts suffice.
func (c *Client) partSize(size int64) int64 {
	need := (size + maxParts - 1) / maxParts
	return max(c.opts.PartSize, (need+1<<20-1)>>20<<20)
}

// A multipart is an object going up in parts. Parts are sent concurrently.
type multipart struct {
	c   *Client
	key string

	size     int64
	cond     Condition                                                           // under which the object is made
	sums     checksum                                                            // of the parts and the whole; none if parts are copied (see partSums)
	sealed   bool                                                                // the server has confirmed the encryption
	upload   func(ctx context.Context, m *multipart, number int32) (Part, error) // makes one part
	progress func(Upload) error                                                  // may be nil

	mu    sync.Mutex // guards state, and is held during progress, which it serialises
	state Upload
}

// putParts is Put in parts. A resumed upload that S3 does not know any more,
// or that does not fit, is started anew.
func (c *Client) putParts(ctx context.Context, p Put, a attributes) (Object, error) {
	m := &multipart{c: c, key: p.Key, size: p.Size, cond: p.If, progress: p.Progress, upload: sender{p}.part,
		sums: c.partSums(p.Base != nil && len(p.Unchanged) > 0)}
	end := ending{c.Capabilities().CompleteIf, p.Ready}
	resumed := m.resume(p.Resume)
	if !resumed && p.Resume.ID != "" {
		if err := c.Abort(ctx, p.Key, p.Resume); err != nil {
			return Object{}, err
		}
	}
	made, err := Object{}, error(nil)
	if resumed {
		made, err = m.finish(ctx, end)
	}
	if !resumed || startAnew(err) || KindOf(err) == Offline && m.vanished(ctx) {
		m.state, m.sealed = Upload{}, false
		if err := m.create(ctx, a); err != nil {
			return Object{}, err
		}
		made, err = m.finish(ctx, end)
	}
	if err != nil {
		return Object{}, err
	}
	o := c.object(p.Key, a)
	o.ETag, o.Version = made.ETag, made.Version
	return o, nil
}

// partSums returns the checksum of an upload. One with copied parts has none:
// versitygw computes that of a copied part wrongly, MinIO not at all, and then
// refuses the part. The parts that are sent carry an MD5 instead.
func (c *Client) partSums(copies bool) checksum {
	if copies {
		return checksum{}
	}
	return c.checksum()
}

// startAnew reports whether a resumed upload failed for being a resumed one:
// it is not there any more, or was begun with other options.
func startAnew(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == NotFound || e.Kind == Corrupt || e.Kind == Other)
}

// vanished reports whether the server does not know the upload. One that finds
// that out while a part is still coming may close the connection before its
// answer can be read.
func (m *multipart) vanished(ctx context.Context) bool {
	cl := call{"ListParts", m.key}
	_, err := m.c.api.ListParts(ctx, &s3.ListPartsInput{Bucket: &m.c.opts.Bucket, Key: &m.key, UploadId: &m.state.ID, MaxParts: aws.Int32(1)})
	return err != nil && KindOf(fail(ctx, cl, err)) == NotFound
}

// resume takes over an earlier attempt, and reports whether it could. Parts
// that do not have the size they must have are sent again.
func (m *multipart) resume(u Upload) bool {
	if u.ID == "" || u.PartSize < minPartSize || (m.size+u.PartSize-1)/u.PartSize > maxParts {
		return false
	}
	m.state = Upload{ID: u.ID, PartSize: u.PartSize}
	for _, p := range u.Parts {
		if p.Number >= 1 && p.Number <= m.count() && p.Size == m.rangeOf(p.Number).Len && p.ETag != "" {
			m.state.Parts = append(m.state.Parts, p)
		}
	}
	return true
}

func (m *multipart) count() int32 {
	return int32(max(1, (m.size+m.state.PartSize-1)/m.state.PartSize))
}

func (m *multipart) rangeOf(number int32) Range {
	off := int64(number-1) * m.state.PartSize
	return Range{off, min(m.state.PartSize, m.size-off)}
}

// create begins a new upload.
func (m *multipart) create(ctx context.Context, a attributes) error {
	c, cl := m.c, call{"CreateMultipartUpload", m.key}
	in := &s3.CreateMultipartUploadInput{Bucket: &c.opts.Bucket, Key: &m.key}
	if !m.sums.off() {
		in.ChecksumAlgorithm, in.ChecksumType = m.sums.algorithm, types.ChecksumTypeFullObject
	}
	out, err := c.api.CreateMultipartUpload(ctx, in, c.create(a).option, fewTimes)
	if err != nil {
		return fail(ctx, cl, err)
	}
	if aws.ToString(out.UploadId) == "" {
		return cl.corrupt("the answer has no upload id")
	}
	if m.state.PartSize == 0 {
		m.state.PartSize = c.partSize(m.size)
	}
	m.state.ID = *out.UploadId
	h := answerOf(out.ResultMetadata).header
	m.sealed = c.enc.sealed(h) == nil
	if err := c.enc.contradicts(h); err != nil {
		return m.giveUp(ctx, &Error{Op: cl.op, Key: cl.key, Kind: Unsealed, Err: err})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tellLocked()
}

// tellLocked reports the state to the caller, who keeps it for another
// attempt.
func (m *multipart) tellLocked() error {
	if m.progress == nil {
		return nil
	}
	u := m.state
	u.Parts = slices.Clone(u.Parts)
	if err := m.progress(u); err != nil {
		return &stopped{err}
	}
	return nil
}

// stopped is an error of Put.Progress. The upload stays: the caller knows of
// it and decides.
type stopped struct{ error }

func (s *stopped) Unwrap() error { return s.error }

// send makes the parts that are still missing, as many at a time as there are
// upload slots. The first failure ends it.
func (m *multipart) send(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	done := map[int32]bool{}
	for _, p := range m.state.Parts {
		done[p.Number] = true
	}
	var running sync.WaitGroup
	for n := int32(1); n <= m.count() && ctx.Err() == nil; n++ {
		if done[n] || m.c.acquire(ctx) != nil {
			continue
		}
		running.Go(func() {
			defer m.c.release()
			err := m.c.guarded(call{"UploadPart", m.key}, func() error { return m.sendOne(ctx, n) })
			if err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	running.Wait()
	if parent.Err() != nil {
		return fail(parent, call{"UploadPart", m.key}, parent.Err())
	}
	return context.Cause(ctx)
}

func (m *multipart) sendOne(ctx context.Context, n int32) error {
	p, err := m.upload(ctx, m, n)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Parts = append(m.state.Parts, p)
	return m.tellLocked()
}

// An ending is what stands between the last part and the object.
type ending struct {
	honoured bool         // the server checks the condition itself
	ready    func() error // may be nil
}

// finish sends what is missing and makes the object visible. The upload stays
// for another attempt if the network, the context or Progress ended this one.
func (m *multipart) finish(ctx context.Context, e ending) (Object, error) {
	o, err := m.run(ctx, e)
	if err != nil && !resumable(err) {
		return Object{}, m.giveUp(ctx, err)
	}
	return o, err
}

func (m *multipart) run(ctx context.Context, e ending) (Object, error) {
	if err := m.send(ctx); err != nil {
		return Object{}, err
	}
	cond, err := m.c.before(ctx, m.key, m.cond, e.honoured)
	if err != nil {
		return Object{}, err
	}
	return m.complete(ctx, conditional{call{"CompleteMultipartUpload", m.key}, cond, e.ready})
}

// resumable reports whether the same upload may succeed later.
func resumable(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind == Offline || e.Kind == Busy
	}
	var s *stopped
	return errors.As(err, &s) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// complete makes the object of its parts.
func (m *multipart) complete(ctx context.Context, q conditional) (Object, error) {
	c, cl := m.c, q.call
	slices.SortFunc(m.state.Parts, func(a, b Part) int { return cmp.Compare(a.Number, b.Number) })
	in := &s3.CompleteMultipartUploadInput{Bucket: &c.opts.Bucket, Key: &m.key, UploadId: &m.state.ID, MultipartUpload: m.list()}
	h := c.enc.part().with(nil)
	if whole := m.sums.combine(m.state.Parts); whole != "" {
		in.ChecksumType = types.ChecksumTypeFullObject
		h = h.with(m.sums.headers(whole))
	}
	out, err := unlessDeleted(ctx, c, q, func(cond Condition) (*s3.CompleteMultipartUploadOutput, error) {
		in.IfMatch, in.IfNoneMatch = cond.match(), cond.noneMatch()
		return c.api.CompleteMultipartUpload(ctx, in, h.option, fewTimes)
	})
	if err != nil {
		return Object{}, err
	}
	if unquote(out.ETag) == "" {
		return Object{}, cl.corrupt("the answer has no ETag")
	}
	o := Object{Key: m.key, ETag: unquote(out.ETag), Version: aws.ToString(out.VersionId)}
	if m.sealed {
		return o, nil
	}
	return o, c.confirm(ctx, written{cl, o, m.cond}, answerOf(out.ResultMetadata).header)
}

// list names the parts to S3.
func (m *multipart) list() *types.CompletedMultipartUpload {
	parts := make([]types.CompletedPart, len(m.state.Parts))
	for i, p := range m.state.Parts {
		parts[i] = types.CompletedPart{PartNumber: &p.Number, ETag: p.ETag.quote()}
		switch m.sums.algorithm {
		case types.ChecksumAlgorithmCrc64nvme:
			parts[i].ChecksumCRC64NVME = optional(p.CRC)
		case types.ChecksumAlgorithmCrc32c:
			parts[i].ChecksumCRC32C = optional(p.CRC)
		}
	}
	return &types.CompletedMultipartUpload{Parts: parts}
}

// giveUp aborts the upload after why, and returns why.
func (m *multipart) giveUp(ctx context.Context, why error) error {
	if err := m.c.Abort(context.WithoutCancel(ctx), m.key, m.state); err != nil {
		return fmt.Errorf("%w (and its upload was left behind: %w)", why, err)
	}
	return why
}
