package s3backend

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type probingKey struct{}

// Probing marks the requests of a context as probes of the network: each goes
// out once, and its outcome is told as it is.
func Probing(ctx context.Context) context.Context { return context.WithValue(ctx, probingKey{}, true) }

// IsProbing reports whether ctx is marked so.
func IsProbing(ctx context.Context) bool { return ctx.Value(probingKey{}) != nil }

// unrepeated has the SDK make a probe's request once.
func unrepeated(ctx context.Context) func(*s3.Options) {
	return func(o *s3.Options) {
		if IsProbing(ctx) {
			o.Retryer = aws.NopRetryer{}
		}
	}
}
