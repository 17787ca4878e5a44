package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// A source is what is mounted: a bucket or the keys of it that begin with a
// prefix.
type source struct {
	bucket string
	prefix string // empty or ends in "/"
}

// parseSource reads s3://BUCKET[/PREFIX], also with an access point's ARN as
// bucket, and "moorfs#" before it as old fstab lines have it.
func parseSource(s string) (source, error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "moorfs#"), "s3://")
	if !ok {
		return source{}, fmt.Errorf("%q is no bucket; write s3://BUCKET or s3://BUCKET/PREFIX", s)
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if strings.HasPrefix(bucket, "arn:") && strings.HasSuffix(bucket, ":accesspoint") {
		var name string
		name, prefix, _ = strings.Cut(prefix, "/")
		bucket += "/" + name
	}
	if bucket == "" || strings.ContainsAny(bucket, " \t\n\\") {
		return source{}, fmt.Errorf("%q names no bucket; write s3://BUCKET or s3://BUCKET/PREFIX", s)
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return source{bucket: bucket, prefix: prefix}, nil
}

// String returns the source as the list of mounts shows it.
func (s source) String() string {
	return strings.TrimSuffix("s3://"+s.bucket+"/"+s.prefix, "/")
}

// id names the cache of s at an endpoint: the bucket, for people, and a hash
// of everything that tells it from others.
func (s source) id(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint + "\x00" + s.bucket + "\x00" + s.prefix))
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, s.bucket)
	return strings.TrimLeft(readable, ".-") + "-" + hex.EncodeToString(sum[:5])
}

// stateRoot is where the caches of this user lie unless --cache-dir says
// otherwise. Nothing cleans it: it may hold the only copy of unsent work.
func stateRoot() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/moorfs", nil
	}
	home, err := homeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local/share/moorfs"), nil
}

// homeDir returns HOME, or what passwd says where HOME is unset, as in
// systemd's units.
func homeDir() (string, error) {
	if h := os.Getenv("HOME"); h != "" {
		return h, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return "", fmt.Errorf("home directory: %w", err)
	}
	if u.HomeDir == "" {
		return "", errors.New("home directory: HOME is unset and passwd has none")
	}
	return u.HomeDir, nil
}

// ensureEnvironment sets what systemd's units and umount(8) leave out: HOME,
// for the libraries that read ~/.aws, and PATH, where fusermount3 is found.
func ensureEnvironment() error {
	if os.Getenv("PATH") == "" {
		if err := os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"); err != nil {
			return err
		}
	}
	if os.Getenv("HOME") != "" {
		return nil
	}
	h, err := homeDir()
	if err != nil {
		return err
	}
	return os.Setenv("HOME", h)
}

// endpointOf returns the endpoint that the settings or the environment name,
// empty for AWS itself. It is part of a cache's identity.
func endpointOf(s settings) string {
	for _, e := range []string{s.text("endpoint-url"), os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")} {
		if e != "" {
			return strings.TrimSuffix(e, "/")
		}
	}
	return ""
}
