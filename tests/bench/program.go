package main

import (
	"errors"
	"fmt"
	"os"
)

// A program is a harness.T that is no test: Fatalf ends do.
type program struct {
	cleanups []func()
	failed   []error
}

type fatal struct{}

// do runs fn, then what fn left to Cleanup, and returns the errors reported.
func (p *program) do(fn func()) error {
	p.guard(fn)
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.guard(p.cleanups[i])
	}
	return errors.Join(p.failed...)
}

// guard runs fn until it ends or calls Fatalf.
func (p *program) guard(fn func()) {
	defer func() {
		if r := recover(); r != nil && r != (fatal{}) {
			panic(r)
		}
	}()
	fn()
}

func (p *program) Helper()      {}
func (p *program) Name() string { return "bench" }
func (p *program) Failed() bool { return len(p.failed) > 0 }

func (p *program) Cleanup(fn func()) { p.cleanups = append(p.cleanups, fn) }

func (p *program) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (p *program) Errorf(format string, args ...any) {
	p.failed = append(p.failed, fmt.Errorf(format, args...))
}

func (p *program) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	panic(fatal{})
}
