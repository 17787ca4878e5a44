package s3backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// endpoint sets the endpoint of o for S3 alone: the services that credentials
// come from have their own.
func endpoint(s *s3.Options, o Options) {
	if o.EndpointURL != "" {
		s.BaseEndpoint = &o.EndpointURL
	}
}

// customEndpoint reports whether requests go elsewhere than to Amazon, by
// Options or by the environment, and refuses endpoints that would not do.
func customEndpoint(cfg aws.Config, o Options) (bool, error) {
	base := aws.ToString(s3.NewFromConfig(cfg, func(s *s3.Options) { endpoint(s, o) }).Options().BaseEndpoint)
	if base == "" {
		return false, nil
	}
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return false, errors.New("the endpoint URL is not of the form https://host[:port]")
	}
	host := u.Hostname()
	if len(o.SSECKeys) > 0 && u.Scheme == "http" && !loopback(host) {
		return false, fmt.Errorf("SSE-C needs https: the key would travel in clear to %s", host)
	}
	return !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn"), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// region returns the region to sign for: that of Options; of a custom endpoint
// what the environment says, else the server, else the default; of Amazon where
// the bucket is.
func region(ctx context.Context, cfg aws.Config, o Options, custom bool) (string, error) {
	switch {
	case o.Region != "":
		return o.Region, nil
	case custom && cfg.Region == "":
		return askRegion(ctx, cfg, o), nil
	case custom:
		return cfg.Region, nil
	case strings.HasPrefix(o.Bucket, "arn:"):
		if parts := strings.Split(o.Bucket, ":"); len(parts) > 3 && parts[3] != "" {
			return parts[3], nil
		}
		return cfg.Region, nil
	}
	return findRegion(ctx, cfg, o)
}

// pathStyle decides what Options leave automatic: custom endpoints rarely have
// a wildcard DNS entry, and no certificate covers a bucket name with dots.
func pathStyle(o Options, custom bool) bool {
	switch o.PathStyle {
	case PathStyleOn:
		return true
	case PathStyleOff:
		return false
	}
	return !strings.HasPrefix(o.Bucket, "arn:") && (custom || strings.Contains(o.Bucket, "."))
}

// askRegion asks a custom endpoint for its region. Not every server tells it
// to strangers, and most take any: then it is the default.
func askRegion(ctx context.Context, cfg aws.Config, o Options) string {
	ask := cfg.Copy()
	ask.Credentials = aws.AnonymousCredentials{}
	ask.Region = defaultRegion
	api := s3.NewFromConfig(ask, func(s *s3.Options) {
		endpoint(s, o)
		s.UsePathStyle = pathStyle(o, true)
		s.Retryer = aws.NopRetryer{}
	})
	ctx, cancel := context.WithTimeout(ctx, regionTime(o))
	defer cancel()
	out, err := api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &o.Bucket})
	region := regionOf(err)
	if err == nil {
		region = aws.ToString(out.BucketRegion)
	}
	if region == "" && err != nil && statusOf(err) == 0 && o.KnownRegion != "" {
		return o.KnownRegion
	}
	if region == "" {
		return defaultRegion // whatever else is wrong shows with the first real request
	}
	return region
}

// findRegion asks Amazon where the bucket is; it answers strangers as well,
// with any status.
func findRegion(ctx context.Context, cfg aws.Config, o Options) (string, error) {
	ask := cfg.Copy()
	ask.Credentials = aws.AnonymousCredentials{}
	ask.Region = partitionHome(cfg.Region)
	api := s3.NewFromConfig(ask, func(s *s3.Options) {
		endpoint(s, o)
		s.UsePathStyle = pathStyle(o, false)
	})
	ctx, cancel := context.WithTimeoutCause(ctx, regionTime(o), stalled{})
	defer cancel()
	out, err := api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &o.Bucket})
	if err == nil {
		return aws.ToString(out.BucketRegion), nil
	}
	if region := regionOf(err); region != "" {
		return region, nil
	}
	e := fail(ctx, call{op: "HeadBucket", key: o.Bucket}, err)
	if known := cmp.Or(cfg.Region, o.KnownRegion); KindOf(e) == Offline && known != "" {
		return known, nil // of the environment, the profile or an earlier client; to be offline is no reason not to begin
	}
	if KindOf(e) == NotFound || KindOf(e) == NoBucket {
		return "", fmt.Errorf("no such bucket: %s: %w", o.Bucket, e)
	}
	return "", fmt.Errorf("finding the region of bucket %s (or give --region): %w", o.Bucket, e)
}

// regionTime is how long to ask for the region.
func regionTime(o Options) time.Duration {
	if o.KnownRegion != "" {
		return min(o.ReadTimeout, 5*time.Second)
	}
	return o.ReadTimeout
}

// partitionHome returns the region that knows all buckets of the partition in
// which region lies.
func partitionHome(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "cn-north-1"
	case strings.HasPrefix(region, "us-gov-"):
		return "us-gov-west-1"
	}
	return defaultRegion
}
