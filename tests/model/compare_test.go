package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func (a answer) String() string {
	switch {
	case a.err != "":
		return a.err
	case a.attr != nil:
		return a.attr.String()
	case a.names != nil:
		return fmt.Sprintf("%q", a.names)
	case a.data != nil:
		return fmt.Sprintf("%d bytes", len(a.data))
	}
	return "done"
}

// compare returns how an answer differs from the one that is due.
func compare(due, got answer) error {
	if !slices.Contains(strings.Split(due.err, "|"), got.err) {
		return fmt.Errorf("ended with %q, want %q", got.err, due.err)
	}
	if due.err != "" {
		return nil
	}
	if !same(due.data, got.data) {
		return errors.New(difference(got.data, due.data))
	}
	if !slices.Equal(due.names, got.names) {
		return fmt.Errorf("names %q, want %q", got.names, due.names)
	}
	if due.attr == nil {
		return nil
	}
	return due.attr.differs(*got.attr)
}

// differs compares attributes, and times as far as they are known.
func (a attr) differs(got attr) error {
	switch {
	case a.String() != got.String():
		return fmt.Errorf("%s, want %s", got, a)
	case a.mtime != 0 && a.mtime != got.mtime:
		return fmt.Errorf("mtime %d, want %d", got.mtime, a.mtime)
	case a.atime != 0 && a.atime != got.atime:
		return fmt.Errorf("atime %d, want %d", got.atime, a.atime)
	}
	return nil
}

// difference says where two contents part.
func difference(got, want []byte) string {
	n := min(len(got), len(want))
	for i := range n {
		if got[i] != want[i] {
			zeros := 0
			for zeros < n-i && got[i+zeros] == 0 {
				zeros++
			}
			return fmt.Sprintf("%d bytes, want %d; they differ from byte %d on (%d zeros there)", len(got), len(want), i, zeros)
		}
	}
	return fmt.Sprintf("%d bytes, want %d; equal as far as they go", len(got), len(want))
}

// differences compares trees; who names the one that is not as it must be.
func differences(who string, want, got *tree) error {
	var errs []error
	want.walk(func(path string, n *node) {
		g := got.at(path)
		if g == nil {
			errs = append(errs, fmt.Errorf("%s lacks %q (%s)", who, path, n.shown()))
			return
		}
		due := n.shown()
		if n.kind == dirKind {
			due.mtime, due.atime = 0, 0 // a directory's times stay on its machine
		}
		if err := due.differs(*g.shown()); err != nil {
			errs = append(errs, fmt.Errorf("%s has %q: %w", who, path, err))
		} else if !same(n.data, g.data) {
			errs = append(errs, fmt.Errorf("%s has %q: %s", who, path, difference(g.data, n.data)))
		}
	})
	got.walk(func(path string, n *node) {
		if want.at(path) == nil {
			errs = append(errs, fmt.Errorf("%s has %q (%s), which should not be", who, path, n.shown()))
		}
	})
	return errors.Join(errs...)
}
