package s3backend

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Copy writes the content of one object to a key, on the server. The source
// must still have its ETag, else the error is of kind Changed, or NotFound
// if it has gone. Source and destination may be the same key.
func (c *Client) Copy(ctx context.Context, cp Copy) (Object, error) {
	var o Object
	var err error
	if cp.From.Size > c.copyMax {
		o, err = c.copyParts(ctx, cp)
	} else {
		o, err = c.copyWhole(ctx, cp)
	}
	if err != nil {
		return Object{}, err
	}
	c.keys.note(cp.To, 0)
	o.Size, o.Tags = cp.From.Size, cp.From.Tags
	return o, c.markerETag(ctx, &o)
}

// copyWhole is a single CopyObject.
func (c *Client) copyWhole(ctx context.Context, cp Copy) (Object, error) {
	cl := call{"CopyObject", cp.To}
	cond, err := c.beforeCopy(ctx, cp)
	if err != nil {
		return Object{}, err
	}
	a := attributes{meta: cp.Meta, stored: cp.Headers, storageClass: cp.StorageClass}
	in := &s3.CopyObjectInput{Bucket: &c.opts.Bucket, Key: &cp.To, CopySource: c.copySource(cp.From),
		CopySourceIfMatch: cp.From.ETag.quote(), MetadataDirective: types.MetadataDirectiveReplace,
		IfMatch: cond.match(), IfNoneMatch: cond.noneMatch()}
	o := c.object(cp.To, a)
	err = c.opening(cp.From.Key, func(k CustomerKey) error {
		out, err := c.api.CopyObject(ctx, in, c.create(a).with(k.headers(prefixSourceSSEC)).option, fewTimes)
		if err != nil {
			return fail(ctx, cl, err)
		}
		if out.CopyObjectResult == nil || unquote(out.CopyObjectResult.ETag) == "" {
			return cl.corrupt("the answer has no ETag")
		}
		o.ETag, o.Version = unquote(out.CopyObjectResult.ETag), aws.ToString(out.VersionId)
		o.Modified = seconds(out.CopyObjectResult.LastModified)
		return c.confirm(ctx, written{cl, o, cp.If}, answerOf(out.ResultMetadata).header)
	})
	return o, err
}

// beforeCopy returns the condition that the request shall carry. A copy onto
// itself needs none: that of the source says the same.
func (c *Client) beforeCopy(ctx context.Context, cp Copy) (Condition, error) {
	if cp.To == cp.From.Key && cp.If.Match == cp.From.ETag && realVersion(cp.From.Version) == nil {
		return Condition{}, nil
	}
	return c.before(ctx, cp.To, cp.If, c.Capabilities().CopyIf)
}

// copyParts is Copy of what CopyObject does not take.
func (c *Client) copyParts(ctx context.Context, cp Copy) (Object, error) {
	a := attributes{meta: cp.Meta, stored: cp.Headers, storageClass: cp.StorageClass}
	if cp.From.Tags > 0 {
		var err error
		if a.tagging, _, err = c.tagging(ctx, cp.From); err != nil {
			return Object{}, err
		}
	}
	m := &multipart{c: c, key: cp.To, size: cp.From.Size, cond: cp.If, upload: func(ctx context.Context, m *multipart, n int32) (Part, error) {
		return m.copyPart(ctx, cp.From, n)
	}}
	m.state.PartSize = c.copyPartSize(cp.From.Size)
	if err := m.create(ctx, a); err != nil {
		return Object{}, err
	}
	made, err := m.run(ctx, ending{honoured: c.Capabilities().CompleteIf})
	if err != nil {
		return Object{}, m.giveUp(ctx, err)
	}
	o := c.object(cp.To, a)
	o.ETag, o.Version = made.ETag, made.Version
	return o, nil
}

// copyPartSize is larger than that of uploads: no byte travels.
func (c *Client) copyPartSize(size int64) int64 {
	return max(c.partSize(size), min(c.copyMax, 256<<20))
}
