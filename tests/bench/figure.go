package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A figure is what one work took on one subject.
type figure struct {
	Returned float64        // seconds
	InBucket float64        `json:",omitempty"` // seconds since the beginning; zero: nothing was written
	First    float64        `json:",omitempty"` // seconds to the first byte; zero: not measured
	CPU      float64        `json:",omitempty"` // seconds of the daemon
	RSS      int64          `json:",omitempty"` // bytes, the daemon's peak
	Requests map[string]int `json:",omitempty"`
	Sent     int64          `json:",omitempty"` // bytes
	Fetched  int64          `json:",omitempty"` // bytes
	Runs     int            `json:",omitempty"` // of which this is the median
	Failed   string         `json:",omitempty"` // why there is no figure
}

// value returns a measure of the figure.
func (f figure) value(m measure) float64 {
	switch m {
	case returned:
		return f.Returned
	case inBucket:
		return f.InBucket
	case firstByte:
		return f.First
	case peakRSS:
		return float64(f.RSS) / mib
	case sent:
		return float64(f.Sent) / mib
	case fetched:
		return float64(f.Fetched) / mib
	case requests:
		return float64(f.total())
	}
	return float64(f.Requests[string(m)])
}

func (f figure) total() int {
	n := 0
	for _, k := range f.Requests {
		n += k
	}
	return n
}

// List prices of S3 Standard in us-east-1, in dollars a request. Deletions
// cost nothing; neither do bytes within the region.
const (
	writePrice = 0.005 / 1000
	readPrice  = 0.0004 / 1000
)

// freeOperations and cheapOperations have the lower prices; all others are
// PUT, COPY, POST or LIST.
var (
	freeOperations  = []string{"DeleteObject", "DeleteObjects", "AbortMultipartUpload"}
	cheapOperations = []string{"GetObject", "HeadObject", "HeadBucket", "GetObjectTagging", "GetObjectAcl", "GetObjectAttributes",
		"GetBucketLocation", "GetBucketVersioning"}
)

// dollars is what the requests cost at list prices.
func (f figure) dollars() float64 {
	sum := 0.0
	for op, n := range f.Requests {
		switch {
		case slices.Contains(freeOperations, op):
		case slices.Contains(cheapOperations, op):
			sum += float64(n) * readPrice
		default:
			sum += float64(n) * writePrice
		}
	}
	return sum
}

// kinds lists the requests by kind, the most frequent first.
func (f figure) kinds() string {
	names := slices.SortedFunc(maps.Keys(f.Requests), func(a, b string) int {
		if f.Requests[a] != f.Requests[b] {
			return f.Requests[b] - f.Requests[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", f.Requests[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// times shows the seconds to return, and until in the bucket.
func (f figure) times() string {
	if f.InBucket == 0 {
		return number3(f.Returned)
	}
	return number3(f.Returned) + " / " + number3(f.InBucket)
}

// number3 shows three digits that matter.
func number3(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	case v >= 0.01:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

func (f figure) String() string {
	if f.Failed != "" {
		return f.Failed
	}
	s := f.times() + " s"
	if f.RSS > 0 {
		s += fmt.Sprintf(", %.2f s CPU, %d MiB", f.CPU, f.RSS>>20)
	}
	if f.total() > 0 {
		s += ", " + f.kinds()
	}
	return s
}

// median returns the first figure with the median of each time, of those runs
// that measured it, and the largest memory. There is at least one.
func median(all []figure) figure {
	m := all[0]
	m.Runs = len(all)
	middle := func(of func(figure) float64) float64 {
		var values []float64
		for _, f := range all {
			if v := of(f); v > 0 {
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			return 0
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	m.Returned = middle(func(f figure) float64 { return f.Returned })
	m.InBucket = middle(func(f figure) float64 { return f.InBucket })
	m.First = middle(func(f figure) float64 { return f.First })
	m.CPU = middle(func(f figure) float64 { return f.CPU })
	for _, f := range all {
		m.RSS = max(m.RSS, f.RSS)
	}
	return m
}
