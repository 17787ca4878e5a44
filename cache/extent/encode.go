package extent

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrEncoding is what UnmarshalBinary wraps: the bytes are not a set that
// AppendBinary wrote.
var ErrEncoding = errors.New("extent: malformed encoding of a set")

// AppendBinary appends the encoding of s to b: the number of ranges, then for
// each the gap before it and its length, all as unsigned varints. Its error is
// always nil.
func (s Set) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(s.ranges)))
	at := int64(0)
	for _, r := range s.ranges {
		b = binary.AppendUvarint(b, uint64(r.Off-at))
		b = binary.AppendUvarint(b, uint64(r.Len))
		at = r.End()
	}
	return b, nil
}

// MarshalBinary returns the encoding of s; see AppendBinary.
func (s Set) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary sets s to what AppendBinary encoded. Anything else, with
// bytes left over or not in the one form that AppendBinary writes, gives
// ErrEncoding and leaves s as it was. b is not kept.
func (s *Set) UnmarshalBinary(b []byte) error {
	n, b, ok := number(b)
	// Each range takes two bytes at least: a count that promises more is
	// refused before anything is allocated for it.
	if !ok || n > int64(len(b)/2) {
		return ErrEncoding
	}
	var ranges []Range
	if n > 0 {
		ranges = make([]Range, 0, n)
	}
	at := int64(0)
	for i := range n {
		var gap, length int64
		if gap, b, ok = number(b); !ok {
			return ErrEncoding
		}
		if length, b, ok = number(b); !ok {
			return ErrEncoding
		}
		if length == 0 || (i > 0 && gap == 0) || gap > math.MaxInt64-at || length > math.MaxInt64-at-gap {
			return ErrEncoding
		}
		ranges = append(ranges, Range{at + gap, length})
		at += gap + length
	}
	if len(b) != 0 {
		return ErrEncoding
	}
	s.ranges = ranges
	return nil
}

// number takes a varint in its shortest form off b.
func number(b []byte) (int64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > math.MaxInt64 || (n > 1 && b[n-1] == 0) {
		return 0, b, false
	}
	return int64(v), b[n:], true
}
