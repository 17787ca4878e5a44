package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A layer holds the values that one source named: the environment, -o, or
// flags.
type layer map[string][]string

// set checks value and keeps it; of an option that does not repeat the last
// value counts.
func (l layer) set(o option, value string) error {
	v, err := o.normal(value)
	if err != nil {
		return err
	}
	if o.repeats() {
		l[o.name] = append(l[o.name], v)
	} else {
		l[o.name] = []string{v}
	}
	return nil
}

// Settings are the options of one mount with every source taken into account.
// They hold no secrets, only names of files that do.
type settings struct{ values layer }

// newSettings lays the layers over the defaults, the last one on top.
func newSettings(layers ...layer) settings {
	s := settings{values: layer{}}
	for _, o := range mountOptions {
		if o.def != "" {
			s.values[o.name] = []string{o.def}
		}
	}
	for _, l := range layers {
		for name, v := range l {
			s.values[name] = v
		}
	}
	return s
}

// fromEnvironment reads the MOORFS_… variables that environ ("NAME=value")
// holds.
func fromEnvironment(environ []string) (layer, error) {
	l := layer{}
	for _, o := range mountOptions {
		i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, o.env()+"=") })
		if i < 0 {
			continue
		}
		value := environ[i][len(o.env())+1:]
		each := []string{value}
		if o.repeats() {
			each = strings.Split(value, ":")
		}
		for _, v := range each {
			if err := l.set(o, v); err != nil {
				return nil, fmt.Errorf("%s: %w", o.env(), err)
			}
		}
	}
	return l, nil
}

func (s settings) all(name string) []string {
	if _, ok := findOption(name); !ok {
		panic("no option " + name)
	}
	return s.values[name]
}

// text returns the value of an option, empty if nobody named it and it has
// no default.
func (s settings) text(name string) string {
	if v := s.all(name); len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// on reports whether a flag or toggle is set.
func (s settings) on(name string) bool {
	v := s.text(name)
	return v == "true" || v == "on"
}

// The values were checked when they were set, so that the conversions below
// cannot fail; an option without a value is zero.

func (s settings) bytes(name string) int64 {
	n, _ := parseSize(s.text(name))
	return n
}

func (s settings) wait(name string) time.Duration {
	d, _ := parseDuration(s.text(name)) // off: 0
	return d
}

func (s settings) mode(name string) uint32 {
	n, _ := parseOctal(s.text(name))
	return n
}

// number returns the value of a count, or otherwise if it has none.
func (s settings) number(name string, otherwise int) int {
	n, err := strconv.Atoi(s.text(name))
	if err != nil {
		return otherwise
	}
	return n
}
