package s3backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// PathStyle says how the bucket is put into URLs.
type PathStyle string

const (
	PathStyleAuto PathStyle = ""    // on for custom endpoints and bucket names with dots
	PathStyleOn   PathStyle = "on"  // https://host/bucket/key
	PathStyleOff  PathStyle = "off" // https://bucket.host/key
)

// Checksum is the algorithm of the checksums that uploads carry.
type Checksum string

const (
	CRC64NVME   Checksum = "CRC64NVME" // the default
	CRC32C      Checksum = "CRC32C"
	ChecksumOff Checksum = "off"
)

// Server-side encryption as the AWS CLI spells it (Options.SSE).
const (
	SSES3   = "AES256"
	SSEKMS  = "aws:kms"
	SSEDSSE = "aws:kms:dsse"
)

// Defaults of Options, where the zero value means one.
const (
	DefaultPartSize          = 16 << 20
	DefaultConnections       = 16
	DefaultReadTimeout       = 30 * time.Second
	minPartSize              = 5 << 20
	maxPartSize              = 5 << 30
	defaultRegion            = "us-east-1"
	defaultCopyMax           = 5 << 30 // CopyObject takes no more
	maxParts           int64 = 10_000
)

// Options say which bucket, as whom, and how objects are written. Whatever is
// empty comes from the environment and ~/.aws, as the SDK reads them.
type Options struct {
	Bucket              string // name, access point ARN or alias
	EndpointURL         string
	Region              string // empty: found out
	KnownRegion         string // what was found out earlier, if it cannot be now
	Profile             string
	RoleARN             string // assumed with the credentials found
	ExternalID          string // of RoleARN
	NoSignRequest       bool
	PathStyle           PathStyle
	UseAccelerate       bool
	UseDualstack        bool
	UseFIPS             bool
	CABundle            string // file of PEM certificates
	RequestPayer        bool   // the requester pays
	ExpectedBucketOwner string // account id
	ConfigFile          string // instead of ~/.aws/config
	CredentialsFile     string // instead of ~/.aws/credentials

	SSE           string // SSES3, SSEKMS, SSEDSSE; empty: the bucket's default
	SSEKMSKeyID   string
	SSEKMSContext string // a JSON object of strings
	BucketKey     *bool
	SSECKeys      []CustomerKey // the first writes, all read

	ACL               string // canned ACL of every object written
	StorageClass      string // of objects whose Put or Copy names none
	ChecksumAlgorithm Checksum

	PartSize     int64         // objects up to this size are one PUT; at least 5 MiB
	MaxUploads   int           // requests with a body at a time
	MaxDownloads int           // connections kept open for downloads
	ReadTimeout  time.Duration // a read ends with an error after so long without a byte

	Log   *slog.Logger // nil: nothing is logged
	Debug bool         // log every request, secrets redacted
}

// withDefaults returns o with its zero values replaced.
func (o Options) withDefaults() Options {
	if o.ChecksumAlgorithm == "" {
		o.ChecksumAlgorithm = CRC64NVME
	}
	if o.PartSize == 0 {
		o.PartSize = DefaultPartSize
	}
	if o.MaxUploads == 0 {
		o.MaxUploads = DefaultConnections
	}
	if o.MaxDownloads == 0 {
		o.MaxDownloads = DefaultConnections
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate refuses what no request could be made of.
func (o Options) validate() error {
	switch {
	case o.Bucket == "":
		return errors.New("no bucket given")
	case o.PartSize < minPartSize || o.PartSize > maxPartSize:
		return fmt.Errorf("part size %d is not between 5 MiB and 5 GiB", o.PartSize)
	case o.MaxUploads < 1 || o.MaxDownloads < 1:
		return errors.New("at least one upload and one download must be allowed at a time")
	case o.ExternalID != "" && o.RoleARN == "":
		return errors.New("an external id needs a role ARN")
	case o.NoSignRequest && (o.Profile != "" || o.RoleARN != ""):
		return errors.New("unsigned requests exclude a profile and a role")
	}
	switch o.PathStyle {
	case PathStyleAuto, PathStyleOn, PathStyleOff:
	default:
		return fmt.Errorf("path style %q is none of on, off", o.PathStyle)
	}
	switch o.ChecksumAlgorithm {
	case CRC64NVME, CRC32C, ChecksumOff:
	default:
		return fmt.Errorf("checksum algorithm %q is none of CRC64NVME, CRC32C, off", o.ChecksumAlgorithm)
	}
	return o.validateEncryption()
}

// validateEncryption refuses combinations that S3 would refuse at the first
// write.
func (o Options) validateEncryption() error {
	kms := o.SSE == SSEKMS || o.SSE == SSEDSSE
	switch {
	case o.SSE != "" && o.SSE != SSES3 && !kms:
		return fmt.Errorf("server-side encryption %q is none of AES256, aws:kms, aws:kms:dsse", o.SSE)
	case o.SSE != "" && len(o.SSECKeys) > 0:
		return errors.New("SSE-C excludes other server-side encryption of the same objects")
	case o.SSEKMSKeyID != "" && !kms, o.SSEKMSContext != "" && !kms:
		return errors.New("a KMS key id or context needs server-side encryption aws:kms or aws:kms:dsse")
	case o.BucketKey != nil && o.SSE != SSEKMS:
		return errors.New("a bucket key needs server-side encryption aws:kms")
	}
	if o.SSEKMSContext != "" {
		var pairs map[string]string
		if err := json.Unmarshal([]byte(o.SSEKMSContext), &pairs); err != nil {
			return errors.New("the KMS context is no JSON object of strings")
		}
	}
	for _, k := range o.SSECKeys {
		if k.secret == nil {
			return errors.New("an SSE-C key is empty")
		}
	}
	return nil
}
