package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// publish writes the results: Markdown to s.out or standard output, and beside
// a file JSON and plots.
func publish(s settings, r *results) error {
	all := works(s.Sizes)
	r.holdTo(all)
	if s.compare != "" {
		return compareWith(s.compare, r)
	}
	if s.out == "" {
		return r.write(os.Stdout, "", all)
	}
	base := strings.TrimSuffix(s.out, filepath.Ext(s.out))
	if err := r.save(base + ".json"); err != nil {
		return err
	}
	if err := r.draw(base); err != nil {
		return err
	}
	f, err := os.Create(s.out)
	if err != nil {
		return err
	}
	if err := r.write(f, filepath.Base(base), all); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// write prints the report. base begins the names of the plots' files; empty:
// there are none.
func (r *results) write(w io.Writer, base string, all []*work) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeTargets(&b, all)
	r.writeReasons(&b)
	r.writeFigures(&b, all)
	r.writeCosts(&b, all)
	writeCommands(&b)
	if base != "" && len(r.Curves) > 0 {
		b.WriteString("\n## Time against size\n\n")
		for _, c := range r.Curves {
			fmt.Fprintf(&b, "![%s](%s)\n", c.Title, plotName(base, c))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *results) writeHead(b *strings.Builder) {
	s, m := r.Settings, r.Machine
	fmt.Fprintf(b, `# Results

Written by `+"`make bench`"+`. moorfs %s, %s, Linux %s, %s; %d processors, %d GiB of memory, cache on %s; load when it began: %s.
Servers: %s, on loopback, sharing the processors. Peers on PATH: %s. Took %s.

Median of up to %d runs of moorfs and of references, their number in brackets, one of peers. lan: no delay; wan: %v a request and %d MB/s a connection.
limit: the same by a bare program on the AWS SDK through the same proxy; ext4: the cache's disk; fuse: go-fuse's loopback on it
with passthrough; loopback: the same without. Ratios are times by times: less is better, 1.11 is nine tenths of the speed.
Every result was compared by checksums.
`, m.Moorfs, m.Go, m.Kernel, m.Date, m.Processors, m.MemoryGiB, m.Disk, m.Load,
		strings.Join(m.Servers, ", "), orNone(strings.Join(m.Peers, ", ")), r.Took, s.Runs, s.Latency, s.Bandwidth/1e6)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (r *results) writeTargets(b *strings.Builder, all []*work) {
	met, held := 0, 0
	var rows strings.Builder
	for _, x := range r.Ratios {
		if x.Note == "" || x.Note == failed {
			held++
		}
		verdict := "no"
		if x.Met {
			verdict = "yes"
			met++
		}
		against, value := x.Against, number3(x.Value)
		if against == "" {
			against = "–"
		}
		if x.Note != "" {
			value = x.Note
		}
		if x.Note != "" && x.Note != failed {
			verdict = "?"
		}
		if x.Note == "not measured" && len(r.Settings.only) > 0 {
			continue
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s | ≤ %s | %s |\n", titleOf(all, x.Work), x.Net, x.Of, against, value, number3(x.Most), verdict)
	}
	fmt.Fprintf(b, "\n## Targets: %d of %d met\n\n| work | network | measure | against | ratio or value | target | met |\n|---|---|---|---|---|---|---|\n%s",
		met, held, rows.String())
}

func titleOf(all []*work, name string) string {
	for _, w := range all {
		if w.name == name {
			return w.title
		}
	}
	return name
}

// writeCommands shows how each subject is mounted.
func writeCommands(b *strings.Builder) {
	b.WriteString("\n## Commands\n\n" +
		"    moorfs mount -f s3://BUCKET MOUNTPOINT --cache-dir CACHE --endpoint-url URL [--write-back 0s]\n")
	r := &run{bucket: "BUCKET", dir: "DIR", net: &network{proxy: &s3test.Proxy{URL: "URL"}}}
	for _, p := range peers {
		fmt.Fprintf(b, "    %s %s\n", p.program, strings.Join(p.arguments(r, "MOUNTPOINT", "CACHE"), " "))
	}
	b.WriteString("\nWhat is done on a mount stands in the works, bench/works_*.go.\n")
}

// writeReasons tells why targets are not met.
func (r *results) writeReasons(b *strings.Builder) {
	var rows strings.Builder
	for _, x := range r.Ratios {
		key := x.Work + ", " + string(x.Of)
		if reason := reasons[key]; reason != "" && !x.Met && x.Note == "" {
			fmt.Fprintf(&rows, "- %s, %s: %s\n", key, x.Net, reason)
		}
	}
	if rows.Len() > 0 {
		fmt.Fprintf(b, "\n## Not met, and why\n\n%s", rows.String())
	}
}

// columns are the kinds that have figures, in the order of measuring.
func (r *results) columns() []string {
	var all []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
		}
	}
	for _, name := range []string{moorfsName, delayedName, limit, fuse, through, ext4} {
		for _, m := range r.Figures {
			if m.Kind == name {
				add(name)
			}
		}
	}
	for _, m := range r.Figures {
		add(m.Kind)
	}
	return all
}

// writeFigures shows the times of all subjects side by side.
func (r *results) writeFigures(b *strings.Builder, all []*work) {
	columns := r.columns()
	fmt.Fprintf(b, "\n## Seconds to return / until in the bucket\n\n| work | network | %s |\n|---|---|%s\n",
		strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, w := range all {
		for _, net := range w.nets {
			if _, ok := r.figure(cell{w.name, net, moorfsName}); !ok && len(r.Settings.only) > 0 {
				continue
			}
			fmt.Fprintf(b, "| %s | %s |", w.title, net)
			for _, kind := range columns {
				fmt.Fprintf(b, " %s |", r.shown(cell{w.name, net, kind}))
			}
			b.WriteString("\n")
		}
	}
}

// shown is a figure's times, or why there are none.
func (r *results) shown(c cell) string {
	f, ok := r.figure(c)
	for _, s := range r.Skipped {
		if s == c {
			return "no time"
		}
	}
	switch {
	case ok && r.Settings.Runs > 1 && !isPeer(c.Kind):
		return fmt.Sprintf("%s (%d)", f.times(), f.Runs)
	case ok:
		return f.times()
	case strings.Contains(f.Failed, errPatience.Error()):
		return fmt.Sprintf("> %v", r.Settings.patience)
	case f.Failed != "":
		return failed
	}
	return ""
}

// writeCosts shows what moorfs and the peers ask of the bucket and of the
// machine.
func (r *results) writeCosts(b *strings.Builder, all []*work) {
	b.WriteString("\n## Requests, dollars at list prices, processor, memory\n\n" +
		"| work | network | subject | requests | $ per 1,000 times | MiB sent | MiB fetched | daemon's CPU, s | peak RSS, MiB |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Figures {
		f := m.Figure
		if f.Failed != "" || f.Requests == nil {
			continue
		}
		cpu, rss := "–", "–"
		if f.RSS > 0 {
			cpu, rss = number3(f.CPU), fmt.Sprint(f.RSS>>20)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.4g | %s | %s | %s | %s |\n", titleOf(all, m.Work), m.Net, m.Kind, f.kinds(), 1000*f.dollars(),
			number3(float64(f.Sent)/mib), number3(float64(f.Fetched)/mib), cpu, rss)
	}
	most := int64(0)
	for _, m := range r.Figures {
		if m.Kind == moorfsName {
			most = max(most, m.Figure.RSS)
		}
	}
	fmt.Fprintf(b, "\nThe most memory that moorfs had in any of these works: %d MiB.\n", most>>20)
}
