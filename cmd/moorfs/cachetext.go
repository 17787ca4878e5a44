package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/moorfs/moorfs/cache"
)

// A cacheReport is what cache info shows; --json prints it as it is.
type cacheReport struct {
	cache.Info
	Mount string `json:"mountpoint,omitempty"` // where it is mounted
}

func (r cacheReport) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	at := r.Endpoint
	if at == "" {
		at = "AWS"
	}
	row("bucket", "%s at %s", source{bucket: r.Bucket, prefix: r.Prefix}, at)
	row("directory", "%s", printable(r.Dir))
	if r.Mount == "" {
		row("mounted", "no")
	} else {
		row("mounted", "on %s", printable(r.Mount))
	}
	row("files", "%d with data here, %s of disk, index %s", r.Files, bytesText(r.Bytes), bytesText(r.Index))
	row("clean", "%s, in the bucket too", bytesText(r.Clean))
	row("unsent", "%s, %s", plural(r.Unsent, "key"), bytesText(r.Dirty))
	if r.Conflicts > 0 {
		row("conflicts", "%d", r.Conflicts)
	}
	for i, k := range r.Work {
		if i == shownWork {
			row("", "and %d more", max(r.Unsent, len(r.Work))-i)
			break
		}
		damaged := ""
		if k.Damaged > 0 {
			damaged = fmt.Sprintf(", %s DAMAGED", bytesText(k.Damaged))
		}
		row("", "%s  %s  %s, %s%s", printable(k.Key), bytesText(k.Size), k.State, humanize.Time(k.Since), damaged)
	}
	return w.Flush()
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func showVerification(out io.Writer, r cache.Report, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	for _, p := range r.Problems {
		what := p.What
		switch {
		case p.Mended:
			what += "; forgotten, will be fetched again"
		case p.Only:
			what += "; NOT in the bucket"
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", printable(p.File), what); err != nil {
			return err
		}
	}
	said := "nothing is wrong"
	if len(r.Problems) > 0 {
		said = plural(len(r.Problems), "problem")
	}
	_, err := fmt.Fprintf(out, "%s, %s compared: %s\n", plural(r.Files, "file"), bytesText(r.Checked), said)
	return err
}

// adviceFor says what to do about what was found and not mended.
func adviceFor(r cache.Report) string {
	var clean, dirty, unknown int
	for _, p := range r.Problems {
		switch {
		case p.Mended:
		case p.Unknown:
			unknown++
		case p.Only:
			dirty++
		default:
			clean++
		}
	}
	var parts []string
	if clean > 0 {
		parts = append(parts, fmt.Sprintf("%s of data that is in the bucket, too: run it with --repair", plural(clean, "damage")))
	}
	if dirty > 0 {
		parts = append(parts, fmt.Sprintf("%s of data that is nowhere else: write these files anew, or copy out what is left with \"moorfs cache recover --to DIR\"", plural(dirty, "damage")))
	}
	if unknown > 0 {
		parts = append(parts, fmt.Sprintf("%s that the index does not know: look at what is in them, then remove them with their .meta files", plural(unknown, "file")))
	}
	return strings.Join(parts, "; ")
}

// showCopies lists copies; not all of a file is a failure.
func showCopies(out io.Writer, copies []cache.Copied) error {
	poor := 0
	for _, c := range copies {
		note := ""
		if c.Missing > 0 {
			note += fmt.Sprintf(" (%s are only in the bucket)", bytesText(c.Missing))
		}
		if c.Damaged > 0 {
			note += fmt.Sprintf(" (%s damaged)", bytesText(c.Damaged))
		}
		if note != "" {
			poor++
		}
		if _, err := fmt.Fprintf(out, "%s -> %s%s\n", printable(c.Key), printable(c.Path), note); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%s copied\n", plural(len(copies), "unsent file")); err != nil {
		return err
	}
	if poor > 0 {
		return &exitError{code: exitFailed, err: errors.New(plural(poor, "file") + " could not be copied whole or undamaged")}
	}
	return nil
}
