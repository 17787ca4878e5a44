package main

import (
	"context"
	"slices"
)

// A work is what is measured: one line of the tables. doc.go says how.
type work struct {
	name, title string
	nets        []string // lan if none is given
	server      string   // MinIO if none is given
	fixture     string   // what is in the bucket before
	input       string   // the fixture that is brought there, if any
	ours        bool     // the fixture was written by moorfs and has its metadata
	changes     bool     // the bucket is a copy of the fixture, and is compared after
	rewrites    []string // files that are changed and keep their size
	pages       int64    // bytes of memory that are needed for pages
	cold        bool     // the local disk's pages are dropped before
	once        bool     // one run is enough: what is measured is no time, or takes long
	options     []string // of moorfs mount, besides the usual

	warm  func(*run) error // before, not measured
	act   func(*run) error // measured
	check func(*run) error // is the result right? without it, all files are compared
	limit func(context.Context, *bare) error

	targets []target
}

// A target holds a measure of moorfs against the same of a reference, or
// against a number.
type target struct {
	of      measure
	against string  // a kind, or bestPeer; empty: most is a number
	most    float64 // of the ratio, or of the measure
}

// A measure is what figures are compared by: one of these, or the name of a
// request.
type measure string

const (
	returned  measure = "seconds to return"
	inBucket  measure = "seconds until in the bucket"
	firstByte measure = "seconds to the first byte"
	requests  measure = "requests"
	peakRSS   measure = "peak RSS, MiB"
	sent      measure = "MiB sent"
	fetched   measure = "MiB fetched"
)

// subject is the kind of moorfs whose figure a measure of a work is taken
// from. How soon all is in the bucket is measured without a delay; what
// programs wait for, and which requests there are, as users have it.
func (w *work) subject(m measure) string {
	if w.delayed() && m != inBucket && m != peakRSS && m != sent {
		return delayedName
	}
	return moorfsName
}

// delayed reports whether the work is also done with the default delay.
func (w *work) delayed() bool { return w.changes && !w.once }

// The ratio of times for something that is to be so much as fast.
func asFastAs(speed float64) float64 { return 1 / speed }

// mostRSS is promised without any option.
const mostRSS = 200

// works returns all works, the most important first.
func works(s sizes) []*work {
	all := slices.Concat(largeWorks(s), smallWorks(s), randomWorks(s), changeWorks(s), programWorks(s), limitWorks(s), nameWorks(s))
	order := []string{"write", "read-cold", "read-warm", "read-cached", "untar", "find-foreign", "ls-foreign", "ls-own", "read-small-cold"}
	slices.SortStableFunc(all, func(a, b *work) int { return rank(order, a.name) - rank(order, b.name) })
	for _, w := range all {
		if len(w.nets) == 0 {
			w.nets = []string{lan}
		}
	}
	return all
}

func rank(order []string, name string) int {
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order)
}
