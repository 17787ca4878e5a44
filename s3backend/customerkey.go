package s3backend

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
)

// customerKeySize is that of AES-256, the only algorithm of SSE-C.
const customerKeySize = 32

// A CustomerKey is a key of SSE-C. Printed, logged or marshalled it shows its
// MD5, which S3 shows as well; the key itself leaves only in request headers.
// The zero CustomerKey is none.
type CustomerKey struct {
	secret *customerSecret // a pointer, so that even %+v of what embeds it shows an address
}

type customerSecret struct {
	key [customerKeySize]byte
	md5 string // base64
}

func newCustomerKey(raw []byte) CustomerKey {
	s := &customerSecret{}
	copy(s.key[:], raw)
	sum := md5.Sum(raw)
	s.md5 = base64.StdEncoding.EncodeToString(sum[:])
	return CustomerKey{secret: s}
}

// ReadCustomerKey reads a key from a file: 32 raw bytes, or their base64, a
// line feed behind it or not. The file must be a regular one of ours or of
// root, closed to group and others.
func ReadCustomerKey(file string) (CustomerKey, error) {
	raw, err := readSecretFile(file, 128)
	if err != nil {
		return CustomerKey{}, fmt.Errorf("SSE-C key: %w", err)
	}
	if len(raw) == customerKeySize {
		return newCustomerKey(raw), nil
	}
	k, err := ParseCustomerKey(string(bytes.TrimRight(raw, "\r\n")))
	if err != nil {
		return CustomerKey{}, fmt.Errorf("SSE-C key file %s: holds neither 32 bytes nor their base64", file)
	}
	return k, nil
}

// readSecretFile reads the first limit bytes of a file that must be a regular one
// of ours or of root, closed to group and others.
func readSecretFile(file string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo would wait for a writer
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkKeyFile(info); err != nil {
		return nil, fmt.Errorf("file %s: %w", file, err)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// checkKeyFile refuses files that somebody else could have read or written.
func checkKeyFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("mode %04o lets others read it; chmod 0600 it", info.Mode().Perm())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to user %d, neither to you nor to root", st.Uid)
	}
	return nil
}

// ParseCustomerKey reads a key from its base64, as the environment holds it.
func ParseCustomerKey(b64 string) (CustomerKey, error) {
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(raw) != customerKeySize {
		return CustomerKey{}, errors.New("SSE-C key: not the base64 of 32 bytes")
	}
	return newCustomerKey(raw), nil
}

// MD5 returns the base64 of the key's MD5, by which S3 names it.
func (k CustomerKey) MD5() string {
	if k.secret == nil {
		return ""
	}
	return k.secret.md5
}

// String returns what may be shown of the key.
func (k CustomerKey) String() string { return "[redacted md5=" + k.MD5() + "]" }

// GoString is String.
func (k CustomerKey) GoString() string { return k.String() }

// LogValue is String.
func (k CustomerKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String.
func (k CustomerKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// base64 returns the key as request headers carry it.
func (k CustomerKey) base64() string { return base64.StdEncoding.EncodeToString(k.secret.key[:]) }
