package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/s3backend"
)

// Delays of publication that nobody sets (CLI: --write-back).
const (
	writeBackMax = 30 * time.Second
	openRest     = 60 * time.Second

	minReadTimeout = time.Second
	minPartSize    = 5 << 20 // S3's
)

// checkSettings refuses combinations that no single option shows.
func checkSettings(s settings) error {
	if s.bytes("part-size") < minPartSize {
		return fmt.Errorf("option part-size: S3 takes no parts under 5MiB")
	}
	if _, err := httpAddress(s.text("http")); s.text("http") != "" && err != nil {
		return err
	}
	if s.wait("stuck-after") <= 0 {
		return fmt.Errorf("option stuck-after must be more than 0")
	}
	if s.wait("read-timeout") < minReadTimeout {
		return fmt.Errorf("option read-timeout: at least %v", minReadTimeout)
	}
	if s.number("max-uploads", 1) == 0 || s.number("max-downloads", 1) == 0 {
		return fmt.Errorf("options max-uploads and max-downloads must be at least 1")
	}
	if !strings.HasPrefix(s.text("sse"), "aws:kms") && (s.text("sse-kms-key-id") != "" || s.text("sse-kms-context") != "") {
		return fmt.Errorf("a KMS key or context needs --sse aws:kms or aws:kms:dsse")
	}
	if s.text("sse") != "" && (len(s.all("sse-c-key-file")) > 0 || os.Getenv(keyVariable) != "") {
		return fmt.Errorf("--sse and a customer key exclude each other: S3 encrypts an object in one way")
	}
	return checkEvents(s)
}

// keyVariable holds a customer key in base64, for those who have no file.
const keyVariable = "MOORFS_SSE_C_KEY"

// customerKeys reads the keys: the files in their order, then the variable.
func customerKeys(s settings) ([]s3backend.CustomerKey, error) {
	var keys []s3backend.CustomerKey
	for _, f := range s.all("sse-c-key-file") {
		k, err := s3backend.ReadCustomerKey(f)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if v := os.Getenv(keyVariable); v != "" {
		k, err := s3backend.ParseCustomerKey(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyVariable, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// clientOptions says how to reach the bucket.
func clientOptions(src source, s settings, log *slog.Logger) (s3backend.Options, error) {
	keys, err := customerKeys(s)
	if err != nil {
		return s3backend.Options{}, err
	}
	for _, name := range []string{"config-file", "credentials-file"} {
		if err := readable(s.text(name)); err != nil {
			return s3backend.Options{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	o := s3backend.Options{
		Bucket: src.bucket, EndpointURL: s.text("endpoint-url"), Region: s.text("region"), Profile: s.text("profile"),
		RoleARN: s.text("role-arn"), ExternalID: s.text("external-id"), NoSignRequest: s.on("no-sign-request"),
		PathStyle: pathStyle(s), UseAccelerate: s.on("use-accelerate"),
		UseDualstack: s.on("use-dualstack"), UseFIPS: s.on("use-fips"), CABundle: s.text("ca-bundle"),
		RequestPayer: s.text("request-payer") != "", ExpectedBucketOwner: s.text("expected-bucket-owner"),
		ConfigFile: s.text("config-file"), CredentialsFile: s.text("credentials-file"),
		SSE: s.text("sse"), SSEKMSKeyID: s.text("sse-kms-key-id"), SSEKMSContext: s.text("sse-kms-context"), SSECKeys: keys,
		ACL: s.text("acl"), StorageClass: s.text("storage-class"), ChecksumAlgorithm: s3backend.Checksum(s.text("checksum-algorithm")),
		PartSize: s.bytes("part-size"), MaxUploads: s.number("max-uploads", 0), MaxDownloads: s.number("max-downloads", 0),
		ReadTimeout: s.wait("read-timeout"), Log: log, Debug: s.on("debug-s3"),
	}
	if b := s.text("bucket-key"); b != "auto" {
		on := b == "on"
		o.BucketKey = &on
	}
	return o, nil
}

// readable fails for a file that was named and cannot be read: the SDK passes
// over it. A variable of AWS may name one that is not there.
func readable(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

func pathStyle(s settings) s3backend.PathStyle {
	if p := s.text("path-style"); p != "auto" {
		return s3backend.PathStyle(p)
	}
	return s3backend.PathStyleAuto
}

// probeName is the note under which a cache remembers what the server can do
// for these options: another encryption is another question.
func probeName(o s3backend.Options) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%s|%s|%v|%s|%s|%s", o.EndpointURL, o.SSE, o.SSEKMSKeyID, o.SSEKMSContext,
		o.ACL, o.SSECKeys, o.StorageClass, o.ChecksumAlgorithm, strconv.FormatBool(o.UseAccelerate)))
	return "probe-2-" + hex.EncodeToString(sum[:8])
}

// cacheDirOf returns the cache directory that the settings name, or the
// default one.
func cacheDirOf(src source, s settings) (string, error) {
	if d := s.text("cache-dir"); d != "" {
		return d, nil
	}
	root, err := stateRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, src.id(endpointOf(s))), nil
}

// cacheConfig says how to keep the cache; dir exists.
func cacheConfig(src source, s settings, dir string) (cache.Config, error) {
	limit, minFree, err := cacheLimits(s, dir)
	if err != nil {
		return cache.Config{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return cache.Config{}, fmt.Errorf("name of this host: %w", err)
	}
	attrs := cache.AttrsExact
	if s.text("attrs") == "list" {
		attrs = cache.AttrsList
	}
	mask := s.mode("umask")
	return cache.Config{
		Dir: dir, Bucket: src.bucket, Prefix: src.prefix, Host: host,
		Size: limit, MinFree: minFree,
		WriteBack: s.wait("write-back"), WriteBackMax: max(writeBackMax, s.wait("write-back")), OpenRest: openRest,
		Durability: cache.Durability(s.text("durability")), ReadOnly: s.on("read-only"),
		OnConflict: cache.ConflictPolicy(s.text("on-conflict")), ExclusiveCreate: cache.Exclusivity(s.text("exclusive-create")),
		AttrTTL: s.wait("attr-ttl"), ListTTL: s.wait("list-ttl"), NegativeTTL: s.wait("negative-ttl"), Attrs: attrs, Poll: s.wait("poll"),
		Uid: uint32(s.number("uid", os.Getuid())), Gid: uint32(s.number("gid", os.Getgid())),
		FileMode: s.mode("file-mode") &^ mask, DirMode: s.mode("dir-mode") &^ mask, Xattrs: s.on("xattrs"),
		MaxUploads: s.number("max-uploads", 0), MaxDownloads: s.number("max-downloads", 0), PartSize: s.bytes("part-size"),
		ReadAhead: s.bytes("read-ahead"), ReadTimeout: s.wait("read-timeout"),
	}, nil
}
