package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// What moorfs ends with.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitUnfinished = 3  // the rest is queued and safe
	exitHelper     = 32 // "mount failure", as mount(8) documents
)

// An exitError ends the program with a status of its own. Without err it does
// so silently.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as wrong usage.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}

// unfinished turns a *leftover into its exit status, and returns other errors
// as they are.
func unfinished(err error) error {
	if l := new(leftover); errors.As(err, &l) {
		return &exitError{code: exitUnfinished, err: err}
	}
	return err
}

// report writes err as one line to out and returns the exit status.
func report(out io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitFailed
	if e := new(exitError); errors.As(err, &e) {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	fmt.Fprintf(out, "moorfs: %s\n", oneLine(err))
	return code
}

// oneLine joins the lines of an error.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
