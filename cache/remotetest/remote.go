package remotetest

import (
	"context"
	"io"
	"iter"

	"github.com/moorfs/moorfs/s3backend"
)

// A Remote is a bucket; package cache declares the same interface.
type Remote interface {
	List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] // one level
	ListPage(ctx context.Context, prefix, after string, max int) ([]s3backend.Entry, bool, error)
	Head(ctx context.Context, key string) (s3backend.Object, error)
	Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error)
	Put(ctx context.Context, p s3backend.Put) (s3backend.Object, error)
	Copy(ctx context.Context, c s3backend.Copy) (s3backend.Object, error)
	Delete(ctx context.Context, ds ...s3backend.Deletion) []error
	Abort(ctx context.Context, key string, u s3backend.Upload) error
	Uploads(ctx context.Context, prefix string) ([]s3backend.PendingUpload, error)
}

var (
	_ Remote = (*Memory)(nil)
	_ Remote = (*Faults)(nil)
	_ Remote = (*s3backend.Client)(nil)
)
