package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/s3backend"
)

// shownWork is how many keys the text names; --json names more.
const shownWork = 10

// text is the report for people.
func (r statusReport) text() string {
	var b strings.Builder
	if len(r.Mounts)+len(r.Idle) == 0 {
		b.WriteString("nothing is mounted\n")
	}
	for i, m := range r.Mounts {
		if i > 0 {
			b.WriteByte('\n')
		}
		m.text(&b)
	}
	for _, n := range r.Idle {
		fmt.Fprintf(&b, "not mounted: %s\n", n.describe())
	}
	return b.String()
}

func (m mountReport) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s on %s\n", printable(m.Mount.Source), printable(m.Mount.Mountpoint))
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if m.Cache == nil {
		row("error", "%s", m.Error)
	} else {
		m.rows(row)
	}
	if m.Mount.Pid != 0 {
		row("daemon", "pid %d, moorfs %s, since %s", m.Mount.Pid, m.Mount.Version, m.Mount.Since.Local().Format(time.DateTime))
	}
	_ = w.Flush() // a strings.Builder takes everything
}

// rows shows what the daemon told.
func (m mountReport) rows(row func(name, format string, args ...any)) {
	c := m.Cache
	row("state", "%s", stateOf(*c))
	if net := c.Network; net.State != cache.Online {
		row("network", "%s since %s: %s", net.State, net.Since.Local().Format(time.DateTime), plainText(net.Error))
	}
	if m.Events != nil {
		row("events", "%s", eventsText(*m.Events))
	}
	if c.DiskError != "" {
		row("disk", "%s", c.DiskError)
	}
	if c.LastError != "" {
		row("last error", "%s", plainText(c.LastError))
	}
	row("cache", "%s of %s in %s", bytesText(c.CacheBytes), bytesText(c.CacheLimit), printable(c.CacheDir))
	if c.Scrub.Checked+c.Scrub.Again+c.Scrub.Lost > 0 {
		row("checked", "%s", scrubText(c.Scrub))
	}
	row("sent", "%s", bytesText(c.Uploaded))
	if len(m.Requests) > 0 {
		row("requests", "%s", requestsText(m.Requests))
	}
	for _, s := range m.Stuck.texts() {
		row("stuck", "%s", s)
	}
	if m.Faults > 0 {
		row("faults", "%s of moorfs itself; please report them with the stacks in the log", plural(int(m.Faults), "fault"))
	}
	for i, k := range c.Work {
		if i == shownWork {
			row("", "and %d more", max(c.Queued, len(c.Work))-i)
			break
		}
		row("queued", "%s  %s  %s, %s", printable(k.Key), bytesText(k.Size), k.State, humanize.Time(k.Since))
	}
	for _, x := range c.Conflicts {
		row("conflict", "%q: %s, %s (%s)", x.Path, whereOurs(x), humanize.Time(x.When), x.ID)
	}
}

// eventsText says how notifications come.
func eventsText(e s3backend.EventState) string {
	text := fmt.Sprintf("%s from %s", plural(int(e.Changes), "change"), e.Source)
	if !e.Last.IsZero() {
		text += ", the last " + humanize.Time(e.Last)
	}
	if e.Refused > 0 {
		text += fmt.Sprintf("; %d refused", e.Refused)
	}
	if e.Error != "" {
		text += fmt.Sprintf("; none come since %s: %s", e.Since.Local().Format(time.DateTime), e.Error)
	}
	return text
}

// stateOf says in a few words how far cache and bucket are apart.
func stateOf(c cache.Status) string {
	var parts []string
	if c.Network.State != cache.Online {
		parts = append(parts, string(c.Network.State))
	}
	if c.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("the cache is full of unsent data, %s waiting for uploads", plural(c.Waiting, "writer")))
	}
	if c.DiskError != "" {
		parts = append(parts, "the cache's disk fails")
	}
	if c.DiskLow {
		parts = append(parts, "the cache's disk is nearly full")
	}
	if c.Queued > 0 {
		s := fmt.Sprintf("%d queued, %s to send", c.Queued, bytesText(c.DirtyBytes))
		if c.Running > 0 {
			s += fmt.Sprintf(", %d on the way", c.Running)
		}
		if c.Refused > 0 {
			s += fmt.Sprintf(", %d refused by S3", c.Refused)
		}
		parts = append(parts, s)
	}
	if len(c.Conflicts) > 0 {
		parts = append(parts, plural(len(c.Conflicts), "conflict"))
	}
	if len(parts) == 0 {
		return "everything is in the bucket"
	}
	return strings.Join(parts, "; ")
}

// scrubText says what comparing cached data with its checksums found.
func scrubText(s cache.ScrubInfo) string {
	text := bytesText(s.Checked) + " of cached data compared with its checksums"
	if s.Again > 0 {
		text += fmt.Sprintf("; %s damaged on the disk, to be fetched again", bytesText(s.Again))
	}
	if s.Lost > 0 {
		text += fmt.Sprintf("; %s DAMAGED and not in the bucket: see the log", bytesText(s.Lost))
	}
	return text
}

func requestsText(counts map[string]int64) string {
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", op, counts[op]))
	}
	return strings.Join(parts, ", ")
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
