package extent_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/cache/extent"
)

// A bitmap is the model: one bool a byte.
type bitmap [80]bool

func (b *bitmap) set(off, n int64, v bool) {
	for i := max(off, 0); i < min(off+n, int64(len(b))); i++ {
		b[i] = v
	}
}

// ranges returns the runs of bytes within off..off+n that are v.
func (b *bitmap) ranges(off, n int64, v bool) []extent.Range {
	var rs []extent.Range
	for i := max(off, 0); i < off+n; i++ {
		if in := i < int64(len(b)) && b[i]; in != v {
			continue
		}
		if k := len(rs); k > 0 && rs[k-1].End() == i {
			rs[k-1].Len++
		} else {
			rs = append(rs, extent.Range{Off: i, Len: 1})
		}
	}
	return rs
}

func compare(t *testing.T, s extent.Set, b *bitmap, r *rand.Rand) {
	t.Helper()
	all := b.ranges(0, int64(len(b)), true)
	if !slices.Equal(s.Ranges(), all) {
		t.Fatalf("the set is %v, the model %v", s, all)
	}
	var n int64
	for _, p := range all {
		n += p.Len
	}
	if s.Len() != n || s.Empty() != (n == 0) {
		t.Fatalf("%v has length %d, empty %v, want %d", s, s.Len(), s.Empty(), n)
	}
	off, win := r.Int64N(90)-5, r.Int64N(40)
	within, missing := b.ranges(off, win, true), b.ranges(off, win, false)
	if got := s.Within(off, win); !slices.Equal(got, within) {
		t.Fatalf("%v within [%d,+%d): %v, want %v", s, off, win, got, within)
	}
	if got := s.Missing(off, win); !slices.Equal(got, missing) {
		t.Fatalf("%v misses of [%d,+%d): %v, want %v", s, off, win, got, missing)
	}
	if got := s.Overlaps(off, win); got != (len(within) > 0) {
		t.Fatalf("%v overlaps [%d,+%d): %v", s, off, win, got)
	}
	if got := s.Contains(off, win); got != (win == 0 || off >= 0 && len(missing) == 0) {
		t.Fatalf("%v contains [%d,+%d): %v", s, off, win, got)
	}
}

func TestSetAgainstBitmap(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s extent.Set
		var b bitmap
		for range 60 {
			off, n := r.Int64N(85)-5, r.Int64N(20)
			n = min(n, int64(len(b))-off)
			switch r.IntN(6) {
			case 0, 1, 2:
				s.Add(off, n)
				b.set(off, n, true)
			case 3, 4:
				s.Remove(off, n)
				b.set(off, n, false)
			case 5:
				if r.IntN(4) == 0 {
					s.Truncate(off)
					b.set(max(off, 0), int64(len(b)), false)
				}
			}
			compare(t, s, &b, r)
		}
	}
}

func TestSetsOfSets(t *testing.T) {
	s := extent.New(extent.Range{Off: 20, Len: 10}, extent.Range{Off: 0, Len: 10})
	u := s.Clone()
	u.AddSet(extent.New(extent.Range{Off: 10, Len: 5}, extent.Range{Off: 25, Len: 10}))
	if got, want := u.String(), "[0,15) [20,35)"; got != want {
		t.Errorf("union is %s, want %s", got, want)
	}
	u.RemoveSet(s)
	if got, want := u.String(), "[10,15) [30,35)"; got != want {
		t.Errorf("difference is %s, want %s", got, want)
	}
	if got, want := s.String(), "[0,10) [20,30)"; got != want {
		t.Errorf("the original of a clone became %s, want %s", got, want)
	}
	if s.RemoveSet(s); !s.Empty() {
		t.Errorf("a set without itself is %s", s)
	}
}

func TestEnds(t *testing.T) {
	var s extent.Set
	s.Add(-10, 5)
	s.Add(math.MinInt64, math.MaxInt64)
	s.Add(5, -3)
	if !s.Empty() {
		t.Errorf("bytes below zero are in the set: %v", s)
	}
	s.Add(-10, 15)
	s.Add(math.MaxInt64-5, 100)
	want := []extent.Range{{Off: 0, Len: 5}, {Off: math.MaxInt64 - 5, Len: 5}}
	if !slices.Equal(s.Ranges(), want) {
		t.Errorf("got %v, want %v", s, want)
	}
	if s.Contains(-1, 2) || s.Contains(math.MaxInt64-5, 6) || !s.Contains(7, 0) {
		t.Errorf("%v contains what it does not have, or lacks nothing", s)
	}
	s.Truncate(-3)
	if !s.Empty() {
		t.Errorf("truncated below zero: %v", s)
	}
}

func TestEncodingRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var s, back extent.Set
		for range r.IntN(50) {
			s.Add(r.Int64N(1<<r.IntN(62)), r.Int64N(1<<r.IntN(62)))
		}
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalBinary(b); err != nil || !back.Equal(s) {
			t.Fatalf("%v comes back as %v, %v", s, back, err)
		}
		if len(b) > 0 {
			if err := back.UnmarshalBinary(b[:len(b)-1]); err == nil {
				t.Fatalf("%v cut short decodes to %v", s, back)
			}
		}
		if err := back.UnmarshalBinary(append(b, 0)); err == nil {
			t.Fatalf("%v with a byte too many decodes", s)
		}
	}
}

// FuzzUnmarshal checks that whatever decodes is a well-formed set in its only
// encoding.
func FuzzUnmarshal(f *testing.F) {
	for _, b := range [][]byte{nil, {0}, {1, 0, 1}, {2, 0, 1, 1, 1}, {2, 0, 1, 0, 1}, {1, 0, 0}, {0x81, 0, 5, 5}, {255, 255, 255, 255, 15}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s extent.Set
		if err := s.UnmarshalBinary(b); err != nil {
			if !s.Empty() {
				t.Fatalf("%x is refused, but leaves %v", b, s)
			}
			return
		}
		if got := extent.New(s.Ranges()...); !got.Equal(s) {
			t.Fatalf("%x decodes to %v, which should be %v", b, s, got)
		}
		if again, err := s.MarshalBinary(); err != nil || !slices.Equal(again, b) {
			t.Fatalf("%x decodes to %v, which is encoded as %x, %v", b, s, again, err)
		}
	})
}
