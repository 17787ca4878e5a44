package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// A kind says how the value of an option is written.
type kind int

const (
	text     kind = iota
	yesno         // yes or no; bare means yes
	toggle        // on, off, auto; bare means on
	choice        // one of option.choices
	size          // bytes, as 20GiB
	duration      // as 2s or 1m30s, or plain seconds
	interval      // as duration, or off
	count         // a whole number
	octal         // permission bits
	path          // a file; relative to where moorfs was started
	paths         // as path, repeatable
)

var kindNames = [...]string{text: "TEXT", yesno: "", toggle: "on|off", choice: "", size: "SIZE", duration: "TIME", interval: "TIME|off",
	count: "N", octal: "MODE", path: "PATH", paths: "FILE"}

// An option is one thing a mount can be told. The same table makes the flags
// of the command line, the names after -o, the MOORFS_… variables and the
// table of the README.
type option struct {
	name    string
	kind    kind
	def     string   // empty: see help
	bare    string   // its value when it is named without one; empty: it needs one
	choices []string // of a choice
	group   string
	help    string
}

// env returns the variable that sets o.
func (o option) env() string {
	return "MOORFS_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// repeats reports whether o may be given several times, all of which count.
func (o option) repeats() bool { return o.kind == paths }

// values names the values that o takes, for help texts.
func (o option) values() string {
	if o.kind != choice {
		return kindNames[o.kind]
	}
	if names := strings.Join(o.choices, "|"); len(names) <= 40 {
		return names
	}
	return "NAME"
}

// findOption returns the option called name, written with - or _.
func findOption(name string) (option, bool) {
	name = strings.ReplaceAll(name, "_", "-")
	i := slices.IndexFunc(mountOptions, func(o option) bool { return o.name == name })
	if i < 0 {
		return option{}, false
	}
	return mountOptions[i], true
}

// normal checks a value of o and returns it in the form the settings keep.
func (o option) normal(value string) (string, error) {
	var err error
	switch o.kind {
	case yesno:
		value, err = oneOf(value, "true", "false")
	case toggle:
		value, err = oneOf(value, "on", "off", "auto")
	case choice:
		if !slices.Contains(o.choices, value) {
			err = fmt.Errorf("must be one of %s", strings.Join(o.choices, ", "))
		}
	case size:
		_, err = parseSize(value)
	case duration:
		_, err = parseDuration(value)
	case interval:
		if value != "off" {
			_, err = parseDuration(value)
		}
	case count:
		_, err = strconv.ParseUint(value, 10, 31)
	case octal:
		_, err = parseOctal(value)
	case path, paths:
		value, err = filepath.Abs(value)
	}
	if err != nil {
		return "", fmt.Errorf("option %s: %q: %w", o.name, value, err)
	}
	return value, nil
}

// oneOf turns the usual spellings of yes and no into the first two words, and
// accepts the others as they are.
func oneOf(value string, yes, no string, others ...string) (string, error) {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return yes, nil
	case "false", "no", "off", "0":
		return no, nil
	}
	if slices.Contains(others, value) {
		return value, nil
	}
	return "", fmt.Errorf("must be %s", strings.Join(append([]string{yes, no}, others...), ", "))
}

func parseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > 1<<62 {
		return 0, fmt.Errorf("not a size; write it as 500MB or 20GiB")
	}
	return int64(n), nil
}

// parseDuration reads 1m30s as well as plain seconds.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("not a duration; write it as 5s, 2m or a number of seconds")
	}
	return d, nil
}

func parseOctal(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("not permission bits; write them in octal, as 0644")
	}
	return uint32(n), nil
}
