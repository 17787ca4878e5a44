package coherence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// clientStep has the client of the bucket do one thing.
func (w *World) clientStep(r *rand.Rand) {
	key := r.IntN(w.Keys)
	w.bucketMu[key].Lock()
	defer w.bucketMu[key].Unlock()
	var err error
	switch n := r.IntN(20); {
	case n < 8:
		err = w.clientPut(r, key)
	case n == 8:
		err = w.clientRemove(key)
	default:
		err = w.observe(key)
	}
	if err != nil {
		w.Violated("the client, at %s: %v", name(key), err)
	}
}

func (w *World) clientPut(r *rand.Rand, key int) error {
	ctx := context.Background()
	v := w.hist.add(Version{Key: key, Writer: client, Size: sizeFor(r)})
	w.hist.began(client, key, false)
	var err error
	if v.Size > inParts {
		err = w.S3.Raw.PutParts(ctx, name(key), v.All(), inParts)
		for s3test.IsNotFound(err) && strings.HasPrefix(err.Error(), "part 1:") { // a mount took it for what it had left
			w.Counts.Aborted.Add(1)
			err = w.S3.Raw.PutParts(ctx, name(key), v.All(), inParts)
		}
	} else {
		err = w.S3.Raw.Put(ctx, name(key), v.All(), nil)
	}
	if err != nil {
		return err
	}
	w.Counts.ClientWrites.Add(1)
	return w.hist.observed(key, v)
}

func (w *World) clientRemove(key int) error {
	w.hist.began(client, key, true)
	defer w.hist.removed(key)
	if err := w.S3.Raw.Delete(context.Background(), name(key)); err != nil {
		return err
	}
	w.Counts.Removals.Add(1)
	return w.hist.observed(key, nil)
}

// observe looks what is at a key. The caller holds its bucketMu.
func (w *World) observe(key int) error {
	_, body, err := w.S3.Raw.Get(context.Background(), name(key))
	if s3test.IsNotFound(err) {
		return w.hist.observed(key, nil)
	}
	if err != nil {
		return err
	}
	found, err := w.identify(key, body)
	if err != nil {
		return err
	}
	if len(found) > 1 {
		return nil
	}
	return w.hist.observed(key, found[0])
}

// identify says which versions a whole content can be.
func (w *World) identify(key int, body []byte) ([]*Version, error) {
	if len(body) == 0 {
		return nil, fmt.Errorf("the object is empty")
	}
	blocks, err := parse(body, 0)
	if err != nil {
		return nil, err
	}
	w.Counts.Blocks.Add(int64(len(blocks)))
	return w.hist.candidates(key, int64(len(body)), blocks)
}
