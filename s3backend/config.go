package s3backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// Bounds of the SDK's own repetitions: a question to a host that refuses
// connections fails within about ten seconds. A write has a queue behind it,
// which tries for longer.
const (
	attempts       = 5
	writeAttempts  = 3
	attemptBackoff = 4 * time.Second
)

// fewTimes is for requests that write.
func fewTimes(o *s3.Options) { o.RetryMaxAttempts = writeAttempts }

// loadConfig runs the SDK's whole credential chain, with o on top.
func loadConfig(ctx context.Context, o Options) (aws.Config, error) {
	opts := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient(o)),
		config.WithRetryer(newRetryer),
		config.WithLogger(sdkLog{o.Log}),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	set := func(on bool, opt config.LoadOptionsFunc) {
		if on {
			opts = append(opts, opt)
		}
	}
	set(o.Region != "", config.WithRegion(o.Region))
	set(o.Profile != "", config.WithSharedConfigProfile(o.Profile))
	set(o.ConfigFile != "", config.WithSharedConfigFiles([]string{o.ConfigFile}))
	set(o.CredentialsFile != "", config.WithSharedCredentialsFiles([]string{o.CredentialsFile}))
	set(o.UseDualstack, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	set(o.UseFIPS, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	set(o.NoSignRequest, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if o.CABundle != "" {
		pem, err := os.ReadFile(o.CABundle)
		if err != nil {
			return aws.Config{}, fmt.Errorf("CA bundle: %w", err)
		}
		opts = append(opts, config.WithCustomCABundle(bytes.NewReader(pem)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	if o.RoleARN != "" {
		cfg.Credentials = assumeRole(cfg, o)
	}
	return cfg, nil
}

// sdkLog has the SDK's own remarks in our log, for those who look closely.
type sdkLog struct{ log *slog.Logger }

// Logf implements logging.Logger.
func (l sdkLog) Logf(_ logging.Classification, format string, args ...any) {
	l.log.Debug("sdk: " + fmt.Sprintf(format, args...))
}

// configure is loadConfig with credentials that can be had anew.
func configure(ctx context.Context, o Options) (aws.Config, error) {
	cfg, err := loadConfig(ctx, o)
	if err != nil || o.NoSignRequest || cfg.Credentials == nil {
		return cfg, err
	}
	cfg.Credentials = &renewable{now: cfg.Credentials, load: func(ctx context.Context) (aws.CredentialsProvider, error) {
		again, err := loadConfig(ctx, o)
		return again.Credentials, err
	}}
	return cfg, nil
}

// assumeRole returns credentials of the role, renewed before they expire.
// The security token service is Amazon's or that of AWS_ENDPOINT_URL_STS:
// Options.EndpointURL is for S3 only.
func assumeRole(cfg aws.Config, o Options) aws.CredentialsProvider {
	ask := cfg.Copy()
	if ask.Region == "" {
		ask.Region = defaultRegion
	}
	p := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(ask), o.RoleARN, func(a *stscreds.AssumeRoleOptions) {
		if o.ExternalID != "" {
			a.ExternalID = &o.ExternalID
		}
	})
	return aws.NewCredentialsCache(p)
}

func newRetryer() aws.Retryer {
	conflict := retry.RetryableErrorCode{Codes: map[string]struct{}{"ConditionalRequestConflict": {}}}
	somebodyElse := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if isTLS(err) || errors.As(err, new(*foreign)) {
			return aws.FalseTernary // it will not be another one in a second
		}
		return aws.UnknownTernary
	})
	return retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = attempts
		s.MaxBackoff = attemptBackoff
		s.RateLimiter = ratelimit.None
		s.Retryables = append([]retry.IsErrorRetryable{somebodyElse, conflict}, s.Retryables...)
	})
}

func dialerOptions(d *net.Dialer) {
	d.Timeout = 5 * time.Second
	d.KeepAlive = 15 * time.Second
}

// transportOptions keep as many connections as are used at a time, and leave
// content encodings alone: they belong to the object.
func transportOptions(o Options) func(*http.Transport) {
	return func(t *http.Transport) {
		idle := o.MaxUploads + o.MaxDownloads
		t.MaxIdleConns, t.MaxIdleConnsPerHost = idle, idle
		t.IdleConnTimeout = 60 * time.Second
		t.TLSHandshakeTimeout = 10 * time.Second
		t.DisableCompression = true
		t.ForceAttemptHTTP2 = false
		t.ReadBufferSize, t.WriteBufferSize = 64<<10, 64<<10
	}
}

// accountHeaders are those that every request of the bucket carries.
func accountHeaders(o Options) []func(*middleware.Stack) error {
	h := headers{}
	if o.RequestPayer {
		h["X-Amz-Request-Payer"] = "requester"
	}
	if o.ExpectedBucketOwner != "" {
		h["X-Amz-Expected-Bucket-Owner"] = o.ExpectedBucketOwner
	}
	if len(h) == 0 {
		return nil
	}
	return []func(*middleware.Stack) error{h.middleware("moorfs:account")}
}
