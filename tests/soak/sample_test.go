package soak

import (
	"encoding/json"
	"slices"
	"time"
)

// A sample is what a daemon had when all was sent.
type sample struct {
	at                      time.Duration
	memory                  int64 // of its own, bytes
	descriptors, goroutines int
}

func (s *soak) sample(at time.Duration) {
	m := s.w.Sides[1].M
	status, out := m.Run(30*time.Second, "status", "--json", m.Dir)
	var report struct {
		Mounts []struct{ Goroutines int }
	}
	if err := json.Unmarshal([]byte(out), &report); status != 0 || err != nil || len(report.Mounts) != 1 || report.Mounts[0].Goroutines == 0 {
		s.t.Fatalf("moorfs status: %d, %v: %s", status, err, out)
	}
	s.table = append(s.table, sample{at: at, memory: m.Memory(), descriptors: m.Descriptors(), goroutines: report.Mounts[0].Goroutines})
}

// What a daemon may have more at the end than at the beginning.
const (
	moreMemory      = 64 << 20
	moreDescriptors = 40
	moreGoroutines  = 80
)

// checkGrowth compares the last third of the samples with the first but one,
// as caches and buffers fill at first.
func (s *soak) checkGrowth() {
	third := len(s.table) / 3
	if third == 0 {
		return
	}
	median := func(of []sample, what func(sample) int64) int64 {
		all := make([]int64, 0, len(of))
		for _, a := range of {
			all = append(all, what(a))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	for _, q := range []struct {
		name string
		more int64
		what func(sample) int64
	}{
		{"bytes of memory", moreMemory, func(a sample) int64 { return a.memory }},
		{"descriptors", moreDescriptors, func(a sample) int64 { return int64(a.descriptors) }},
		{"goroutines", moreGoroutines, func(a sample) int64 { return int64(a.goroutines) }},
	} {
		first, last := median(s.table[:third], q.what), median(s.table[len(s.table)-third:], q.what)
		s.t.Logf("%s: %d at first, %d at last", q.name, first, last)
		if last > first+q.more {
			s.t.Errorf("%s grow: %d at first, %d at last", q.name, first, last)
		}
	}
}
