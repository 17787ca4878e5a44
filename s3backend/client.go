package s3backend

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A Client makes requests of one bucket. All methods may be called
// concurrently. Errors are *Error, or wrap the context's.
type Client struct {
	api    *s3.Client
	creds  aws.CredentialsProvider
	counts *counter

	running *underway
	gates   gates
	enc     encryption
	sums    checksum
	opts    Options

	copyMax int64         // above it a copy is made in parts
	uploads chan struct{} // one slot for each request that sends a body
	keys    keyMemory
	caps    atomic.Pointer[Capabilities]
	trouble atomic.Pointer[func(error)]
}

// New returns a client for the bucket of o. It asks the network only for the
// bucket's region, if that is not given; whether the bucket is there and may
// be used is for Check to find out.
func New(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	cfg, err := configure(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &Client{counts: newCounter(), running: newUnderway(), gates: newGates(o), opts: o, sums: checksums[o.ChecksumAlgorithm], copyMax: defaultCopyMax,
		uploads: make(chan struct{}, o.MaxUploads), creds: cfg.Credentials}
	if c.enc, err = newEncryption(o); err != nil {
		return nil, err
	}
	t := &transport{next: cfg.HTTPClient, counts: c.counts, running: c.running, gates: c.gates, trouble: &c.trouble, readStall: o.ReadTimeout / 2}
	if o.Debug {
		t.log = o.Log
	}
	custom, err := customEndpoint(cfg, o)
	if err != nil {
		return nil, err
	}
	if cfg.Region, err = region(ctx, cfg, o, custom); err != nil {
		return nil, err
	}
	c.api = s3.NewFromConfig(cfg, func(s *s3.Options) {
		s.HTTPClient = t
		endpoint(s, o)
		s.UsePathStyle = pathStyle(o, custom)
		s.UseAccelerate = o.UseAccelerate
		s.UseARNRegion = true
		s.ContinueHeaderThresholdBytes = -1 // a round trip for each part otherwise
		s.APIOptions = append(s.APIOptions, accountHeaders(o)...)
		if r, ok := cfg.Credentials.(*renewable); ok {
			s.APIOptions = append(s.APIOptions, r.middleware)
		}
	})
	if !custom {
		c.caps.Store(&amazon)
	}
	return c, nil
}

// String names the bucket; nothing of the configuration can leak through it.
func (c *Client) String() string { return "s3://" + c.opts.Bucket }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// Bucket returns the bucket's name.
func (c *Client) Bucket() string { return c.opts.Bucket }

// Region returns the region in use.
func (c *Client) Region() string { return c.api.Options().Region }

// Endpoint returns the custom endpoint in use, empty for Amazon's.
func (c *Client) Endpoint() string { return aws.ToString(c.api.Options().BaseEndpoint) }

// Use tells the client what Probe has found out, now or in an earlier life.
func (c *Client) Use(caps Capabilities) { c.caps.Store(&caps) }

// Capabilities returns what the client believes of its server: what Use was
// told, else what Amazon S3 documents, else nothing beyond conditional writes.
func (c *Client) Capabilities() Capabilities {
	if caps := c.caps.Load(); caps != nil {
		return *caps
	}
	return Capabilities{PutIf: true, CompleteIf: true, Checksums: true}
}

// httpClient is the SDK's own, so that CA bundles from the environment still
// find their place, tuned for many requests to one host.
func httpClient(o Options) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithDialerOptions(dialerOptions).WithTransportOptions(transportOptions(o))
}

// patience bounds a read that has no body: all its attempts together.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(listening(ctx), c.opts.ReadTimeout, stalled{})
}

// OnTrouble has fn told of each attempt that S3 was too busy for or did not
// answer, at once: requests repeat such attempts before they fail.
func (c *Client) OnTrouble(fn func(error)) { c.trouble.Store(&fn) }

type lastAnswerKey struct{}

// listening has the transport note how the last attempt of a request ended, for
// when the time is up between two.
func listening(ctx context.Context) context.Context {
	return context.WithValue(ctx, lastAnswerKey{}, new(atomic.Bool))
}

// wasBusy reports whether the last attempt was answered: later, perhaps.
func wasBusy(ctx context.Context) bool {
	busy, ok := ctx.Value(lastAnswerKey{}).(*atomic.Bool)
	return ok && busy.Load()
}

func noteAnswer(ctx context.Context, resp *http.Response) {
	if busy, ok := ctx.Value(lastAnswerKey{}).(*atomic.Bool); ok {
		busy.Store(resp != nil && kindOfStatus(resp.StatusCode) == Busy)
	}
}

// backoff is the pause before the n-th repetition of our own (the SDK has its
// own for what it repeats).
func backoff(n int) time.Duration { return min(100*time.Millisecond<<n, 3*time.Second) }

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
