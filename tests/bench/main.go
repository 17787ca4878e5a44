package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// settings say what is measured, and how large.
type settings struct {
	Sizes     sizes
	Runs      int           // of moorfs and of references
	Latency   time.Duration // of a request, in wan
	Bandwidth int64         // bytes a second of a connection, in wan

	only     []string      // names of works; none: all
	quick    bool          // toy sizes: one network a work, pages are not dropped
	peers    bool          // measure them too
	plots    bool          // and time against size
	patience time.Duration // with a peer
	budget   time.Duration // nothing is begun after it
	out      string        // Markdown; the other results lie beside it; empty: standard output
	compare  string        // recorded results to compare with
}

// sizes are how large the fixtures are.
type sizes struct {
	Large int64 // bytes of a large file
	Files int   // of a tree
	Small int   // files that are read one after the other; of a directory that is renamed
	Names int   // of a large directory
	Known int   // files of a very large tree

	Transactions int // of a database
}

// toy sizes prove that everything works.
var toy = sizes{Large: 8 << 20, Files: 100, Small: 50, Names: 1200, Known: 2000, Transactions: 20}

func main() {
	if code, isChild := asChild(); isChild {
		os.Exit(code)
	}
	s, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	os.Exit(harness.Main(func() int { return bench(s) }))
}

func parse(args []string) (settings, error) {
	s := settings{Sizes: sizes{Large: 1 << 30, Transactions: 1000}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Func("size", "bytes of a large file, as 256MiB (default 1GiB)", func(v string) (err error) {
		s.Sizes.Large, err = parseSize(v)
		return err
	})
	f.IntVar(&s.Sizes.Files, "files", 5000, "files in a tree")
	f.IntVar(&s.Sizes.Small, "small", 1000, "small files that are read one by one, or renamed with their directory")
	f.IntVar(&s.Sizes.Names, "names", 100_000, "files in a large directory")
	f.IntVar(&s.Sizes.Known, "known", 1_000_000, "files in a very large tree")
	f.IntVar(&s.Runs, "runs", 3, "runs of moorfs and of references, of which the median counts")
	f.DurationVar(&s.Latency, "latency", 20*time.Millisecond, "of a request, in wan")
	f.Int64Var(&s.Bandwidth, "bandwidth", 90e6, "bytes a second of a connection, in wan")
	f.BoolVar(&s.peers, "peers", true, "measure peers that PATH has")
	f.BoolVar(&s.plots, "plots", true, "measure and draw time against size (not with -only)")
	f.DurationVar(&s.patience, "patience", 45*time.Second, "with one run of a peer")
	f.DurationVar(&s.budget, "budget", 19*time.Minute, "begin nothing after this time")
	f.StringVar(&s.out, "out", "", "Markdown file for the results; JSON and plots lie beside it")
	f.StringVar(&s.compare, "compare", "", "JSON file of an earlier run: flag ratios that are more than 20 % worse")
	only := f.String("only", "", "works to measure, by name (default all)")
	f.BoolVar(&s.quick, "quick", false, "toy sizes and one run: does everything work?")
	list := f.Bool("list", false, "list the works")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.quick {
		s.Sizes, s.Runs, s.peers, s.plots = toy, 1, false, false
	}
	if *only != "" {
		s.only, s.plots = strings.Split(*only, ","), false
	}
	if *list {
		for _, w := range works(s.Sizes) {
			fmt.Printf("%-20s %s\n", w.name, w.title)
		}
		os.Exit(0)
	}
	return s, checkNames(f, s)
}

// checkNames refuses names that no work has.
func checkNames(f *flag.FlagSet, s settings) error {
	known := map[string]bool{}
	for _, w := range works(s.Sizes) {
		known[w.name] = true
	}
	for _, name := range s.only {
		if !known[name] {
			err := fmt.Errorf("no work is called %q; -list lists them", name)
			fmt.Fprintln(f.Output(), "bench:", err)
			return err
		}
	}
	return nil
}

// parseSize reads a number of bytes, with KiB, MiB or GiB.
func parseSize(v string) (int64, error) {
	units := map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "": 1}
	digits := strings.TrimRight(v, "KMGiB")
	unit, known := units[v[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n <= 0 {
		return 0, fmt.Errorf("%q is no size such as 256MiB", v)
	}
	return n * unit, nil
}

// bench measures, reports, and returns the exit status: 1 if a run of moorfs
// or of a reference failed, or a ratio is worse than it was.
func bench(s settings) int {
	p := &program{}
	code := 0
	if err := p.do(func() {
		l := newLab(p, s)
		res := l.measureAll()
		if err := publish(s, res); err != nil {
			p.Errorf("%v", err)
		}
		for _, e := range res.failures() {
			p.Errorf("%s", e)
		}
	}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	return code
}
