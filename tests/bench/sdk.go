package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// How much is best at a time, as measured on loopback with two processors.
const (
	smallAtATime  = 32       // small objects, listings, copies
	partsAtATime  = 8        // parts of an upload
	partSize      = 16 << 20 // bytes of one
	rangesAtATime = 32       // ranges of a download
	rangeSize     = 8 << 20  // bytes of one
	deleteBatch   = 1000     // keys of a DeleteObjects
)

// newClient returns a client that spends nothing on checksums and signatures
// of bodies.
func newClient(endpoint string) *s3.Client {
	transport := &http.Transport{MaxIdleConns: 128, MaxIdleConnsPerHost: 128, DisableCompression: true,
		ReadBufferSize: 128 << 10, WriteBufferSize: 128 << 10}
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: s3test.Region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s3test.Access, s3test.Secret, ""),
		HTTPClient:                 &http.Client{Transport: transport},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
}

// parallel calls fn for each item, so many at a time, and returns the first
// error.
func parallel[T any](ctx context.Context, atATime int, items []T, fn func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T)
	var wg sync.WaitGroup
	for range min(atATime, len(items)) {
		wg.Go(func() {
			for item := range queue {
				if ctx.Err() == nil {
					if err := fn(ctx, item); err != nil {
						cancel(err)
					}
				}
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// remove deletes keys, a thousand with each request.
func remove(ctx context.Context, client *s3.Client, bucket string, keys []string) error {
	var batches [][]types.ObjectIdentifier
	for i, key := range keys {
		if i%deleteBatch == 0 {
			batches = append(batches, nil)
		}
		last := len(batches) - 1
		batches[last] = append(batches[last], types.ObjectIdentifier{Key: aws.String(key)})
	}
	return parallel(ctx, smallAtATime, batches, func(ctx context.Context, b []types.ObjectIdentifier) error {
		_, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket,
			Delete: &types.Delete{Objects: b, Quiet: aws.Bool(true)}})
		return err
	})
}
