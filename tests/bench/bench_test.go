package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

func TestMain(m *testing.M) {
	if code, isChild := asChild(); isChild {
		os.Exit(code)
	}
	os.Exit(harness.Main(m.Run))
}

// A few works, with each kind of reference, go through all that the whole
// bench does, and what they found is written.
func TestWorksAreMeasuredAndReported(t *testing.T) {
	s := settings{Sizes: sizes{Large: 1 << 20, Files: 10, Small: 10, Names: 10, Known: 10, Transactions: 1}, Runs: 1, quick: true,
		Latency: time.Millisecond, Bandwidth: 90e6, budget: time.Hour, patience: time.Minute,
		only: []string{"write", "untar", "read-cached", "ls-own"}, out: filepath.Join(t.TempDir(), "R.md")}
	l := newLab(t, s)
	res := l.measureAll()
	for _, f := range res.failures() {
		t.Error(f)
	}
	grows := growths(s.Sizes)[2]
	grows.kinds = []kind{referenceKinds[limit]} // without mounts
	l.spend(1)
	l.measureCurves(res, []growth{grows})
	if len(res.Curves) != 1 || len(res.Curves[0].Lines[0].Values) != 3 {
		t.Errorf("curves: %+v", res.Curves)
	}
	if err := publish(s, res); err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile(s.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range res.Ratios {
		measured := strings.Contains(strings.Join(s.only, " "), x.Work) && x.Net != wan
		if measured && (x.Note != "" || x.Against != "" && x.Value <= 0) {
			t.Errorf("no ratio: %+v", x)
		}
	}
	for _, kind := range []string{moorfsName, delayedName, limit, fuse, through, ext4} {
		if !strings.Contains(string(report), "| "+kind+" |") {
			t.Errorf("the report does not show %s:\n%s", kind, report)
		}
	}
	f, ok := res.figure(cell{"untar", lan, moorfsName})
	if !ok || f.Requests["PutObject"] < 10 || f.Sent == 0 || f.RSS == 0 || f.InBucket < f.Returned || f.dollars() <= 0 {
		t.Errorf("untar: %+v", f)
	}
	if plot, err := os.ReadFile(strings.TrimSuffix(s.out, ".md") + "-small.svg"); err != nil || !strings.Contains(string(plot), "<circle") {
		t.Errorf("plot: %s, %v", plot, err)
	}
	recorded, err := load(strings.TrimSuffix(s.out, ".md") + ".json")
	if err != nil || len(recorded.Figures) != len(res.Figures) || recorded.Settings.Sizes != s.Sizes {
		t.Errorf("recorded: %+v, %v", recorded, err)
	}
}

// A result that is not what the local disk has is found out.
func TestWrongResultsHaveNoFigure(t *testing.T) {
	s := settings{Sizes: sizes{Large: 1 << 20, Files: 10, Small: 10}, quick: true, patience: time.Minute}
	l := newLab(t, s)
	spoilt := *l.work("untar")
	spoilt.name = "spoilt"
	act := spoilt.act
	spoilt.act = func(r *run) error {
		if err := act(r); err != nil || r.kind.local {
			return err
		}
		return os.WriteFile(r.path("tree", "d000", "f00003"), []byte("other"), 0o644)
	}
	_, err := l.measure(&spoilt, lan, moorfsKind, 0)
	if err == nil || !strings.Contains(err.Error(), "wrong tree/d000/f00003") {
		t.Errorf("a wrong file: %v", err)
	}
}

func TestRegressionsAreFlagged(t *testing.T) {
	at := func(value float64) ratio {
		return ratio{Work: "untar", Net: lan, Of: returned, Against: fuse, Value: value}
	}
	for _, test := range []struct {
		before, now float64
		worse       bool
	}{{1, 1.1, false}, {1, 1.3, true}, {2, 1, false}, {0, 0, false}, {0, 1, true}, {0.002, 0.004, false}} {
		if worse := regressions([]ratio{at(test.before)}, []ratio{at(test.now)}); (len(worse) > 0) != test.worse {
			t.Errorf("%v after %v: worse %v", test.now, test.before, worse)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1GiB": 1 << 30, "64MiB": 64 << 20, "5": 5, "3KiB": 3072} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1GiB", "1TiB", "1 GiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d", text, got)
		}
	}
}
