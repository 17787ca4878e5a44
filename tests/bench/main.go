// Command bench measures mounts: time, processor time, memory and requests of
// a few everyday jobs, against one server on loopback, directly and through a
// network with a delay. It prints a table in Markdown.
//
// Each job runs on a mount of its own so that its figures are its own; a cold
// one with an empty cache directory. `to return` ends when the program that
// does the job ends, `in bucket` when `moorfs flush` after it does. A column
// for the local filesystem, with sync in place of flush, tells what the disk
// alone can do. Peers that are installed (rclone) do the same jobs in the same
// run.
//
//	go run ./bench [-size 1GiB-in-bytes] [-files N] [-server minio|versitygw]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

type settings struct {
	size      int64
	files     int
	server    string
	latency   time.Duration
	bandwidth int64
}

func main() {
	var s settings
	flag.Int64Var(&s.size, "size", 1<<30, "bytes of the large file")
	flag.IntVar(&s.files, "files", 2000, "small files in the tree")
	flag.StringVar(&s.server, "server", "minio", "minio or versitygw")
	flag.DurationVar(&s.latency, "latency", 20*time.Millisecond, "of a request, in the delayed network")
	flag.Int64Var(&s.bandwidth, "bandwidth", 90<<20, "bytes a second of a connection, in the delayed network")
	flag.Parse()
	os.Exit(harness.Main(func() int { return run(s) }))
}

func run(s settings) int {
	t := &program{}
	code := 0
	if err := t.do(func() { measure(t, s) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	return code
}

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
