package s3backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxBatch is what DeleteObjects takes at most.
const maxBatch = 1000

// parallelDeletes is how many requests of one key Delete has under way.
const parallelDeletes = 8

// Delete removes objects and returns one error for each deletion, in their
// order; nil means that nothing is at the key any more (a key that was not
// there is no error), Changed that its condition did not hold. Without
// conditions, and with them where the server checks them in batches, a request
// takes 1,000 keys. A marker goes after the keys that begin with it: a server
// whose keys are paths may keep the directory otherwise.
func (c *Client) Delete(ctx context.Context, ds ...Deletion) []error {
	errs := make([]error, len(ds))
	caps := c.Capabilities()
	var batch, single []int
	for i, d := range ds {
		if xmlSafe(d.Key) && len(ds) > 1 && (d.If.None() || (caps.BatchDeleteIf && !d.If.Absent)) {
			batch = append(batch, i)
		} else {
			single = append(single, i)
		}
	}
	slices.SortFunc(batch, func(i, j int) int { return strings.Compare(ds[j].Key, ds[i].Key) })
	for len(batch) > 0 {
		n := min(len(batch), maxBatch)
		c.deleteBatch(ctx, deletions{ds, errs, batch[:n]})
		batch = batch[n:]
	}
	c.deleteSingles(ctx, deletions{ds, errs, single})
	return errs
}

// deletions are some of a Delete's, by their indices.
type deletions struct {
	all  []Deletion
	errs []error
	pick []int
}

// xmlSafe reports whether XML 1.0 can carry the key.
func xmlSafe(key string) bool {
	if !utf8.ValidString(key) {
		return false
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return true
}

// deleteBatch is one DeleteObjects. Every key must be accounted for.
func (c *Client) deleteBatch(ctx context.Context, ds deletions) {
	cl := call{"DeleteObjects", ds.all[ds.pick[0]].Key}
	ids := make([]types.ObjectIdentifier, len(ds.pick))
	at := make(map[string][]int, len(ds.pick))
	for n, i := range ds.pick {
		d := ds.all[i]
		ids[n].Key = &d.Key
		if d.If.Match != "" {
			ids[n].ETag = d.If.Match.quote()
		}
		at[d.Key] = append(at[d.Key], i)
		ds.errs[i] = call{cl.op, d.Key}.corrupt("the answer does not mention the key")
	}
	out, err := c.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &c.opts.Bucket, Delete: &types.Delete{Objects: ids}},
		func(o *s3.Options) { o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware) }, fewTimes)
	if err != nil {
		for _, i := range ds.pick {
			ds.errs[i] = fail(ctx, call{cl.op, ds.all[i].Key}, err)
		}
		return
	}
	for _, d := range out.Deleted {
		for _, i := range at[aws.ToString(d.Key)] {
			ds.errs[i] = nil
		}
	}
	for _, e := range out.Errors {
		for _, i := range at[aws.ToString(e.Key)] {
			ds.errs[i] = batchError(call{cl.op, aws.ToString(e.Key)}, e)
		}
	}
}

// batchError maps what DeleteObjects says of one key.
func batchError(cl call, e types.Error) error {
	code, msg := aws.ToString(e.Code), aws.ToString(e.Message)
	kind, known := kindOfText(code, msg)
	if kind == NotFound {
		return nil
	}
	if !known {
		kind = Other
	}
	return &Error{Op: cl.op, Key: cl.key, Kind: kind, Err: fmt.Errorf("%s: %s", code, msg)}
}

// deleteSingles sends one request for each key, some at a time.
func (c *Client) deleteSingles(ctx context.Context, ds deletions) {
	waves := map[int][]int{} // by the depth of markers; 0: all other keys
	for _, i := range ds.pick {
		depth := 0
		if key := ds.all[i].Key; strings.HasSuffix(key, "/") {
			depth = strings.Count(key, "/")
		}
		waves[depth] = append(waves[depth], i)
	}
	c.deleteWave(ctx, deletions{ds.all, ds.errs, waves[0]})
	delete(waves, 0)
	for _, depth := range slices.Backward(slices.Sorted(maps.Keys(waves))) {
		c.deleteWave(ctx, deletions{ds.all, ds.errs, waves[depth]})
	}
}

// deleteWave deletes keys that need not go in any order.
func (c *Client) deleteWave(ctx context.Context, ds deletions) {
	slots := make(chan struct{}, parallelDeletes)
	var running sync.WaitGroup
	for _, i := range ds.pick {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			ds.errs[i] = c.guarded(call{"DeleteObject", ds.all[i].Key}, func() error { return c.deleteOne(ctx, ds.all[i]) })
		})
	}
	running.Wait()
}

// deleteOne is a DeleteObject, with a HEAD before it where the server does not
// check conditions.
func (c *Client) deleteOne(ctx context.Context, d Deletion) error {
	if d.If.Absent {
		return c.holds(ctx, d.Key, d.If)
	}
	in := &s3.DeleteObjectInput{Bucket: &c.opts.Bucket, Key: &d.Key, IfMatch: d.If.match()}
	if !d.If.None() && !c.Capabilities().DeleteIf {
		in.IfMatch = nil
		if gone, err := c.goneUnless(ctx, d); gone || err != nil {
			return err
		}
	}
	_, err := c.api.DeleteObject(ctx, in, fewTimes)
	if err == nil {
		return nil
	}
	err = fail(ctx, call{"DeleteObject", d.Key}, err)
	switch KindOf(err) {
	case NotFound:
		return nil
	case Changed: // some servers answer so for a key that is not there
		gone, headErr := c.goneUnless(ctx, d)
		if gone && headErr == nil {
			return nil
		}
		if headErr == nil { // nobody changed it: a deletion is not given up for that
			return &Error{Op: "DeleteObject", Key: d.Key, Kind: Busy, Err: fmt.Errorf("refused, though the condition holds: %w", err)}
		}
	}
	return err
}

// goneUnless reports whether nothing is at the key any more; if something is,
// the condition must hold of it.
func (c *Client) goneUnless(ctx context.Context, d Deletion) (bool, error) {
	o, err := c.Head(ctx, d.Key)
	switch {
	case KindOf(err) == NotFound:
		return true, nil
	case err != nil:
		return false, err
	case o.ETag != d.If.Match:
		return false, &Error{Op: "HeadObject", Key: d.Key, Kind: Changed,
			Err: fmt.Errorf("expected %s, found etag %s", d.If, o.ETag)}
	}
	return false, nil
}

// Abort removes an upload under way and its parts. One that is not there is
// no error.
func (c *Client) Abort(ctx context.Context, key string, u Upload) error {
	if u.ID == "" {
		return nil
	}
	_, err := c.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.opts.Bucket, Key: &key, UploadId: &u.ID}, fewTimes)
	if err != nil {
		if err = fail(ctx, call{"AbortMultipartUpload", key}, err); KindOf(err) == NotFound {
			return nil
		}
	}
	return err
}
