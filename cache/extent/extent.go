package extent

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// A Range is Len bytes beginning at Off.
type Range struct{ Off, Len int64 }

// End returns the offset behind the last byte.
func (r Range) End() int64 { return r.Off + r.Len }

// String returns r as a half-open interval, "[10,20)".
func (r Range) String() string { return fmt.Sprintf("[%d,%d)", r.Off, r.End()) }

// A Set is a set of byte offsets. The zero value is empty and ready for use.
// A copied Set shares its ranges with the original: once either is changed the
// other must not be used, so take a Clone. Offsets below zero and behind
// math.MaxInt64 are never in a set; parts of an argument there are ignored.
type Set struct {
	ranges []Range // sorted, disjoint, not adjacent, none empty
}

// New returns the set of all bytes in ranges, which may overlap and come in
// any order.
func New(ranges ...Range) Set {
	var s Set
	for _, r := range ranges {
		s.Add(r.Off, r.Len)
	}
	return s
}

// Add puts n bytes from off into the set.
func (s *Set) Add(off, n int64) {
	r := clip(off, n)
	if r.Len == 0 {
		return
	}
	// from: the first range that ends at or behind the start of r, hence
	// overlaps or touches it, or lies behind it; to: the first strictly behind r.
	from := s.search(r.Off - 1)
	to := from
	end := r.End()
	for to < len(s.ranges) && s.ranges[to].Off <= end {
		to++
	}
	if from < to {
		end = max(end, s.ranges[to-1].End())
		r.Off = min(r.Off, s.ranges[from].Off)
		r.Len = end - r.Off
	}
	s.replace(from, to, r)
}

// Remove takes n bytes from off out of the set.
func (s *Set) Remove(off, n int64) {
	r := clip(off, n)
	if r.Len == 0 {
		return
	}
	from := s.search(r.Off)
	to := from
	for to < len(s.ranges) && s.ranges[to].Off < r.End() {
		to++
	}
	if from == to {
		return
	}
	var keep []Range
	if first := s.ranges[from]; first.Off < r.Off {
		keep = append(keep, Range{first.Off, r.Off - first.Off})
	}
	if last := s.ranges[to-1]; last.End() > r.End() {
		keep = append(keep, Range{r.End(), last.End() - r.End()})
	}
	s.replace(from, to, keep...)
}

// Truncate takes out everything at and behind size.
func (s *Set) Truncate(size int64) {
	size = max(size, 0)
	s.Remove(size, math.MaxInt64-size)
}

// AddSet puts all bytes of t into s.
func (s *Set) AddSet(t Set) {
	for _, r := range t.ranges {
		s.Add(r.Off, r.Len)
	}
}

// RemoveSet takes all bytes of t out of s.
func (s *Set) RemoveSet(t Set) {
	// Removing a set from itself would edit the ranges that are walked.
	for _, r := range slices.Clone(t.ranges) {
		s.Remove(r.Off, r.Len)
	}
}

// Contains reports whether all n bytes from off are in the set. No bytes are
// always contained.
func (s Set) Contains(off, n int64) bool {
	if n <= 0 {
		return true
	}
	r := clip(off, n)
	if r.Off != off || r.Len != n {
		return false
	}
	i := s.search(off)
	return i < len(s.ranges) && s.ranges[i].Off <= off && s.ranges[i].End() >= r.End()
}

// Overlaps reports whether any of the n bytes from off is in the set.
func (s Set) Overlaps(off, n int64) bool {
	r := clip(off, n)
	if r.Len == 0 {
		return false
	}
	i := s.search(r.Off)
	return i < len(s.ranges) && s.ranges[i].Off < r.End()
}

// Missing returns, in order, the ranges of the n bytes from off that are not
// in the set.
func (s Set) Missing(off, n int64) []Range {
	r := clip(off, n)
	var gaps []Range
	at := r.Off
	for _, p := range s.Within(off, n) {
		if p.Off > at {
			gaps = append(gaps, Range{at, p.Off - at})
		}
		at = p.End()
	}
	if at < r.End() {
		gaps = append(gaps, Range{at, r.End() - at})
	}
	return gaps
}

// Within returns, in order, the ranges of the n bytes from off that are in
// the set.
func (s Set) Within(off, n int64) []Range {
	r := clip(off, n)
	if r.Len == 0 {
		return nil
	}
	var found []Range
	for i := s.search(r.Off); i < len(s.ranges) && s.ranges[i].Off < r.End(); i++ {
		p := s.ranges[i]
		from, to := max(p.Off, r.Off), min(p.End(), r.End())
		found = append(found, Range{from, to - from})
	}
	return found
}

// Ranges returns the ranges in order. The caller must not change them, and
// they are valid until the set is changed.
func (s Set) Ranges() []Range { return s.ranges }

// Len returns the number of bytes in the set.
func (s Set) Len() int64 {
	var n int64
	for _, r := range s.ranges {
		n += r.Len
	}
	return n
}

// Empty reports whether no byte is in the set.
func (s Set) Empty() bool { return len(s.ranges) == 0 }

// Clone returns a set of the same bytes that shares nothing with s.
func (s Set) Clone() Set { return Set{ranges: slices.Clone(s.ranges)} }

// Equal reports whether s and t hold the same bytes.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }

// String returns the ranges as half-open intervals, "[0,10) [20,30)".
func (s Set) String() string {
	var b strings.Builder
	for i, r := range s.ranges {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// search returns the index of the first range that ends behind off.
func (s Set) search(off int64) int {
	return sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].End() > off })
}

// replace puts rs where the ranges from..to were.
func (s *Set) replace(from, to int, rs ...Range) {
	s.ranges = slices.Replace(s.ranges, from, to, rs...)
}

// clip returns n bytes from off, without what lies outside 0..MaxInt64.
func clip(off, n int64) Range {
	if n <= 0 {
		return Range{Off: max(off, 0)}
	}
	if off < 0 {
		if n <= -off || off == math.MinInt64 {
			return Range{}
		}
		n += off
		off = 0
	}
	return Range{Off: off, Len: min(n, math.MaxInt64-off)}
}
