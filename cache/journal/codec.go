package journal

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// The first byte of every value is the version of its record's encoding. A
// change of an encoding takes the next number and keeps the decoder of the
// earlier one.
const (
	recordVersion  = 1 // of all records that have no line here
	inodeVersion   = 3 // 2: Next, Cursor; 3: Torn
	extentsVersion = 3 // 2: Damaged; in the head of the record: Sums; 3: Loose
)

// The append functions write one field each. Numbers are varints, so that the
// zeros most records are full of cost a byte.

func appendUint[T ~uint8 | ~uint32 | ~uint64](b []byte, v T) []byte {
	return binary.AppendUvarint(b, uint64(v))
}

func appendInt[T ~int | ~int32 | ~int64](b []byte, v T) []byte {
	return binary.AppendVarint(b, int64(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendString[T ~string | ~[]byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendMap writes the entries in the order of their names, so that equal maps
// have equal encodings.
func appendMap[V ~string | ~[]byte](b []byte, m map[string]V) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	if len(m) == 0 {
		return b
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(b, k)
		b = appendString(b, m[k])
	}
	return b
}

// appendTime keeps the zero time, which has no Unix nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return appendInt(append(b, 1), t.UnixNano())
}

func appendHeaders(b []byte, h *s3backend.Headers) []byte {
	b = appendString(b, h.CacheControl)
	b = appendString(b, h.ContentDisposition)
	b = appendString(b, h.ContentEncoding)
	b = appendString(b, h.ContentLanguage)
	b = appendString(b, h.ContentType)
	b = appendString(b, h.Expires)
	return appendString(b, h.WebsiteRedirect)
}

// A decoder takes the fields off a value in the order in which they were
// appended. After the first field that is not there every further one is zero;
// done reports it. Nothing it returns points into the value.
type decoder struct {
	b       []byte
	bad     bool
	version byte
}

// decode begins with the record version, which must be one that is known.
func decode(b []byte) decoder { return decodeTo(recordVersion, b) }

// decodeTo is decode of a record that has a version of its own.
func decodeTo(newest byte, b []byte) decoder {
	if len(b) == 0 || b[0] == 0 || b[0] > newest {
		return decoder{bad: true}
	}
	return decoder{b: b[1:], version: b[0]}
}

// done reports whether all fields were there and nothing is left.
func (d *decoder) done() error {
	switch {
	case d.bad:
		return fmt.Errorf("%w: malformed record", ErrDamaged)
	case len(d.b) != 0:
		return fmt.Errorf("%w: %d bytes too many in a record", ErrDamaged, len(d.b))
	}
	return nil
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) uint64() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int64() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 { return uint32(d.upTo(math.MaxUint32)) }
func (d *decoder) uint8() uint8   { return uint8(d.upTo(math.MaxUint8)) }

// upTo refuses numbers that would not fit, rather than cut them.
func (d *decoder) upTo(limit uint64) uint64 {
	v := d.uint64()
	if v > limit {
		d.fail()
		return 0
	}
	return v
}

func (d *decoder) int32() int32 {
	v := d.int64()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail()
		return 0
	}
	return int32(v)
}

func (d *decoder) bool() bool {
	if len(d.b) == 0 || d.b[0] > 1 {
		d.fail()
		return false
	}
	v := d.b[0] == 1
	d.b = d.b[1:]
	return v
}

// view returns the bytes of a string, which are part of the value.
func (d *decoder) view() []byte {
	n := d.uint64()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.view()) }

// count returns a number of entries that take at least size bytes each: one
// that promises more than is left is refused before room is made for it.
func (d *decoder) count(size int) int {
	n := d.uint64()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	if !d.bool() {
		return time.Time{}
	}
	return time.Unix(0, d.int64()).UTC()
}

func (d *decoder) headers() s3backend.Headers {
	return s3backend.Headers{
		CacheControl:       d.string(),
		ContentDisposition: d.string(),
		ContentEncoding:    d.string(),
		ContentLanguage:    d.string(),
		ContentType:        d.string(),
		Expires:            d.string(),
		WebsiteRedirect:    d.string(),
	}
}

// decodeMap returns nil for no entries.
func decodeMap[V ~string | ~[]byte](d *decoder) map[string]V {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]V, n)
	for range n {
		k := d.string()
		v := V(slices.Clone(d.view()))
		if d.bad {
			return nil
		}
		m[k] = v
	}
	if len(m) != n { // a name twice
		d.fail()
		return nil
	}
	return m
}
