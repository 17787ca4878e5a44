package main

import (
	"errors"
	"fmt"
	"os"
)

const (
	// tolerance is how much worse a ratio may be than the recorded one.
	tolerance = 1.2
	// noise is a difference of seconds, requests or MiB that says nothing.
	noise = 0.01
)

// compareWith prints the ratios beside those of an earlier run, and returns an
// error that lists the ones that are worse.
func compareWith(path string, now *results) error {
	before, err := load(path)
	if err != nil {
		return fmt.Errorf("recorded results: %w", err)
	}
	if before.Settings.Sizes != now.Settings.Sizes {
		return fmt.Errorf("recorded results: other sizes, %+v and not %+v", before.Settings.Sizes, now.Settings.Sizes)
	}
	fmt.Print("| work | network | measure | against | recorded | now | |\n|---|---|---|---|---|---|---|\n")
	worse := regressions(before.Ratios, now.Ratios)
	var errs []error
	for _, x := range now.Ratios {
		old, ok := find(before.Ratios, x)
		if !ok || x.Note != "" {
			continue
		}
		flag := ""
		if _, isWorse := find(worse, x); isWorse {
			flag = "WORSE"
			errs = append(errs, fmt.Errorf("%s, %s, %s: %s, recorded %s", x.Work, x.Net, x.Of, number3(x.Value), number3(old.Value)))
		}
		fmt.Fprintf(os.Stdout, "| %s | %s | %s | %s | %s | %s | %s |\n", x.Work, x.Net, x.Of, x.Against, number3(old.Value), number3(x.Value), flag)
	}
	return errors.Join(errs...)
}

// regressions returns the ratios of now that are worse than before.
func regressions(before, now []ratio) []ratio {
	var worse []ratio
	for _, x := range now {
		old, ok := find(before, x)
		if ok && x.Note == "" && x.Value > tolerance*old.Value && x.Value-old.Value > noise {
			worse = append(worse, x)
		}
	}
	return worse
}

// find returns the ratio of the same target that has a value.
func find(all []ratio, like ratio) (ratio, bool) {
	for _, x := range all {
		if x.Work == like.Work && x.Net == like.Net && x.Of == like.Of && x.Against == like.Against && x.Note == "" {
			return x, true
		}
	}
	return ratio{}, false
}
