package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/moorfs/moorfs/tests/bench/chart"
)

// A curve is the time of a work against its size, for several kinds.
type curve struct {
	Name, Title string
	Unit        string // of sizes
	Lines       []line
}

type line struct {
	Kind   string
	Sizes  []float64
	Values []float64 // seconds
}

// A growth is a work at several sizes.
type growth struct {
	curve
	work  string
	of    measure
	kinds []kind
	sizes []int
	set   func(*sizes, int)
}

func growths(s sizes) []growth {
	upTo := func(most int, parts ...int) []int {
		var all []int
		for _, p := range parts {
			if most/p > 0 {
				all = append(all, most/p)
			}
		}
		return all
	}
	return []growth{
		{curve: curve{Name: "write", Title: "Sequential write, until in the bucket (lan)", Unit: "MiB"}, work: "write", of: inBucket,
			kinds: []kind{moorfsKind, referenceKinds[limit]}, sizes: upTo(int(s.Large>>20), 64, 16, 4, 1),
			set: func(s *sizes, n int) { s.Large = int64(n) << 20 }},
		{curve: curve{Name: "read", Title: "Sequential read, cold (lan)", Unit: "MiB"}, work: "read-cold", of: returned,
			kinds: []kind{moorfsKind, referenceKinds[limit]}, sizes: upTo(int(s.Large>>20), 64, 16, 4, 1),
			set: func(s *sizes, n int) { s.Large = int64(n) << 20 }},
		{curve: curve{Name: "small", Title: "Untar, until in the bucket (lan)", Unit: "files"}, work: "untar", of: inBucket,
			kinds: []kind{moorfsKind, referenceKinds[limit]}, sizes: upTo(s.Files, 50, 10, 4, 1),
			set: func(s *sizes, n int) { s.Files = n }},
		{curve: curve{Name: "list", Title: "ls -lR, cold (lan, versitygw)", Unit: "files"}, work: "lookups", of: returned,
			kinds: []kind{moorfsKind}, sizes: upTo(s.Known, 1000, 100, 10, 1),
			set: func(s *sizes, n int) { s.Known = n }},
	}
}

// A point is one size of a growth, on one kind of subject.
type point struct {
	growth
	kind kind
	size int
}

// measureCurves measures works at several sizes, each once.
func (l *lab) measureCurves(res *results, all []growth) {
	for _, g := range all {
		c := g.curve
		for _, k := range g.kinds {
			out := line{Kind: k.name}
			for _, n := range g.sizes {
				v, ok := l.measurePoint(res, point{g, k, n})
				if !ok {
					break
				}
				out.Sizes, out.Values = append(out.Sizes, float64(n)), append(out.Values, v)
			}
			if len(out.Sizes) > 0 {
				c.Lines = append(c.Lines, out)
			}
		}
		if len(c.Lines) > 0 {
			res.Curves = append(res.Curves, c)
		}
	}
}

// measurePoint measures one size, in a lab of its own that uses the same
// servers; the largest has been measured already.
func (l *lab) measurePoint(res *results, p point) (float64, bool) {
	g, k, n := p.growth, p.kind, p.size
	if n == slices.Max(g.sizes) {
		if f, ok := res.figure(cell{g.work, lan, k.name}); ok {
			return f.value(g.of), true
		}
	}
	if !l.timeLeft() {
		return 0, false
	}
	s := l.s
	g.set(&s.Sizes, n)
	other := newLab(l.t, s)
	other.networks, other.direct = l.networks, l.direct
	f, err := other.measure(other.work(g.work), lan, k, 0)
	if removed := other.removeFixtures(); removed != nil {
		l.t.Errorf("%v", removed)
	}
	if err != nil {
		l.t.Logf("%s, %d %s, %s: %v", g.work, n, g.Unit, k.name, err)
		return 0, false
	}
	l.t.Logf("%s, %d %s, %s: %s", g.work, n, g.Unit, k.name, f)
	return f.value(g.of), true
}

// removeFixtures removes the fixtures from the disk and from the servers.
func (l *lab) removeFixtures() error {
	var errs []error
	for _, f := range l.fixtures {
		errs = append(errs, os.RemoveAll(f.dir))
		for place, bucket := range f.buckets {
			errs = append(errs, emptyBucket(context.Background(), l.direct[place.server], bucket))
		}
	}
	return errors.Join(errs...)
}

func plotName(base string, c curve) string { return fmt.Sprintf("%s-%s.svg", base, c.Name) }

// draw writes the plots.
func (r *results) draw(base string) error {
	for _, c := range r.Curves {
		p := chart.Plot{Title: c.Title, X: c.Unit, Y: "seconds"}
		for _, l := range c.Lines {
			p.Lines = append(p.Lines, chart.Line{Name: l.Kind, X: l.Sizes, Y: l.Values})
		}
		if err := os.WriteFile(plotName(base, c), p.SVG(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
