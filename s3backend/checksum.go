package s3backend

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math/bits"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// nvmePoly is CRC-64/NVME in reversed bit order.
const nvmePoly = 0x9a6c9329ac4bc9b5

var (
	nvmeTable       = crc64.MakeTable(nvmePoly)
	castagnoliTable = crc32.MakeTable(crc32.Castagnoli)
)

// A checksum is the algorithm that uploads carry. The zero checksum is none.
type checksum struct {
	algorithm types.ChecksumAlgorithm
	header    string
	bits      int
	poly      uint64
	hash      func() hash.Hash
}

var checksums = map[Checksum]checksum{
	CRC64NVME: {types.ChecksumAlgorithmCrc64nvme, "X-Amz-Checksum-Crc64nvme", 64, nvmePoly, newNVME},
	CRC32C: {types.ChecksumAlgorithmCrc32c, "X-Amz-Checksum-Crc32c", 32, crc32.Castagnoli,
		func() hash.Hash { return crc32.New(castagnoliTable) }},
}

func newNVME() hash.Hash { return crc64.New(nvmeTable) }

func (c checksum) off() bool { return c.hash == nil }

// of returns the checksum of all that r yields, as S3 spells it.
func (c checksum) of(r io.Reader) (string, error) {
	if c.off() {
		return "", nil
	}
	h := c.hash()
	buf := make([]byte, 256<<10)
	if _, err := io.CopyBuffer(h, onlyReader{r}, buf); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// onlyReader hides WriteTo, which would write in pieces of its own choice.
type onlyReader struct{ io.Reader }

// headers returns the header that carries the checksum.
func (c checksum) headers(sum string) headers {
	if c.off() || sum == "" {
		return nil
	}
	return headers{c.header: sum}
}

// combine returns the checksum of the whole from those of its parts, or the
// empty string if one is missing or unreadable.
func (c checksum) combine(parts []Part) string {
	if c.off() {
		return ""
	}
	var whole uint64
	for i, p := range parts {
		raw, err := base64.StdEncoding.DecodeString(p.CRC)
		if err != nil || len(raw) != c.bits/8 {
			return ""
		}
		v := uint64(0)
		for _, b := range raw {
			v = v<<8 | uint64(b)
		}
		if i == 0 {
			whole = v
			continue
		}
		whole = multiply(c, whole, power(c, uint64(p.Size)*8)) ^ v
	}
	raw := binary.BigEndian.AppendUint64(nil, whole)
	return base64.StdEncoding.EncodeToString(raw[8-c.bits/8:])
}

// multiply multiplies two polynomials modulo the CRC's, in reversed bit order:
// the highest bit is the coefficient of x^0.
func multiply(c checksum, a, b uint64) uint64 {
	top := uint64(1) << (c.bits - 1)
	var p uint64
	for m := top; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ c.poly
		} else {
			b >>= 1
		}
	}
	return p
}

// power returns x^n modulo the CRC's polynomial: appending n zero bits to a
// message multiplies its CRC by it.
func power(c checksum, n uint64) uint64 {
	result := uint64(1) << (c.bits - 1) // x^0
	square := uint64(1) << (c.bits - 2) // x^1
	for range bits.Len64(n) {
		if n&1 != 0 {
			result = multiply(c, result, square)
		}
		square = multiply(c, square, square)
		n >>= 1
	}
	return result
}

// A proof is what the bytes of a whole object must hash to.
type proof struct {
	name string
	hash hash.Hash
	want string // hex
}

// proofs are the full-object checksums S3 may answer with, the cheapest first.
var proofs = []struct {
	name string
	hash func() hash.Hash
}{
	{"Crc32c", func() hash.Hash { return crc32.New(castagnoliTable) }},
	{"Crc64nvme", newNVME},
	{"Crc32", func() hash.Hash { return crc32.NewIEEE() }},
	{"Sha1", sha1.New},
	{"Sha256", sha256.New},
}

// proofOf finds in the answer to a GET of a whole object what to verify it
// against. Checksums of checksums ("…-3") say nothing of the bytes. The ETag
// is an MD5 only where the server is known to make it so.
func proofOf(h http.Header, md5ETag bool) *proof {
	if h.Get("X-Amz-Checksum-Type") != string(types.ChecksumTypeComposite) {
		for _, p := range proofs {
			if raw, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Checksum-" + p.name)); err == nil && len(raw) > 0 {
				return &proof{strings.ToUpper(p.name), p.hash(), hex.EncodeToString(raw)}
			}
		}
	}
	etag := strings.Trim(h.Get("Etag"), `"`)
	sse := h.Get(headerSSE)
	if md5ETag && plainMD5(etag) && (sse == "" || sse == SSES3) && h.Get(prefixSSEC+"Algorithm") == "" {
		return &proof{"MD5", md5.New(), etag}
	}
	return nil
}

func plainMD5(etag string) bool {
	raw, err := hex.DecodeString(etag)
	return err == nil && len(raw) == md5.Size
}

// check is called behind the last byte.
func (p *proof) check() error {
	if got := hex.EncodeToString(p.hash.Sum(nil)); got != p.want {
		return fmt.Errorf("%s of the bytes received is %s, S3 has %s", p.name, got, p.want)
	}
	return nil
}
