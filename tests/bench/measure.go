package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// A figure is what one job took.
type figure struct {
	returned, inBucket time.Duration // inBucket zero: nothing was written
	cpu                time.Duration // of the daemon
	rss                int64
	requests           map[string]int
}

func measure(t *program, s settings) {
	in, err := makeInputs(s, harness.Dir(t))
	if err != nil {
		t.Fatalf("%v", err)
	}
	disk := measureDisk(t, in)
	fmt.Printf("%d MiB file, %d small files, %s. Seconds to return / until in the bucket.\n", s.size>>20, s.files, s.server)
	for _, delayed := range []bool{false, true} {
		title := "loopback"
		if delayed {
			title = fmt.Sprintf("%v a request, %d MB/s a connection", s.latency, s.bandwidth>>20)
		}
		fmt.Printf("\n## %s\n", title)
		for _, k := range kinds() {
			s3 := harness.MinIO
			if s.server == "versitygw" {
				s3 = harness.Versity
			}
			bucket := s3(t)
			if delayed {
				bucket.Proxy.Slow(s.latency, s.bandwidth)
			}
			printTable(k.name, measureKind(t, k, bucket, in), disk)
		}
	}
}

// measureKind runs all jobs against one bucket.
func measureKind(t *program, k kind, s3 *harness.S3, in inputs) []figure {
	dir := harness.Dir(t)
	var figures []figure
	for i, j := range jobs {
		if j.cold {
			dir = harness.Dir(t)
		}
		m, err := k.start(t, s3, dir)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		f, err := measureJob(m, s3, in, j)
		if err != nil {
			t.Fatalf("%s, job %d, %s: %v", k.name, i, j.name, err)
		}
		figures = append(figures, f)
		if err := m.stop(); err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
	}
	return figures
}

func measureJob(m subject, s3 *harness.S3, in inputs, j job) (figure, error) {
	if j.before != nil {
		if err := j.before(m.dir); err != nil {
			return figure{}, err
		}
	}
	if err := settleMemory(filepath.Dir(m.dir)); err != nil {
		return figure{}, err
	}
	s3.Proxy.Reset()
	cpu, start := m.cpu(), time.Now()
	if err := runJob(m, j.command(in, m.dir)); err != nil {
		return figure{}, err
	}
	f := figure{returned: time.Since(start)}
	if j.writes {
		if err := m.flush(); err != nil {
			return f, err
		}
		f.inBucket = time.Since(start)
	}
	f.cpu, f.rss, f.requests = m.cpu()-cpu, m.rss(), s3.Proxy.Counts()
	return f, nil
}

// measureDisk runs the jobs on the local filesystem.
func measureDisk(t *program, in inputs) []figure {
	dir := harness.Dir(t)
	var figures []figure
	for _, j := range jobs {
		if j.cold || j.before != nil {
			if err := dropPages(dir); err != nil {
				t.Fatalf("%v", err)
			}
		}
		if err := settleMemory(dir); err != nil {
			t.Fatalf("%v", err)
		}
		start := time.Now()
		if out, err := j.command(in, dir).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", j.name, err, out)
		}
		f := figure{returned: time.Since(start)}
		if j.writes {
			if err := syncTree(dir); err != nil {
				t.Fatalf("%v", err)
			}
			f.inBucket = time.Since(start)
		}
		figures = append(figures, f)
	}
	return figures
}

// syncTree makes what is in dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	})
}

func printTable(kind string, figures, disk []figure) {
	fmt.Printf("\n| job | %s | daemon's CPU | peak RSS, MiB | requests | local disk |\n|---|---|---|---|---|---|\n", kind)
	for i, f := range figures {
		cpu, rss := "", "" // of peers: not measured
		if f.rss > 0 {
			cpu, rss = fmt.Sprintf("%.1f", f.cpu.Seconds()), fmt.Sprint(f.rss>>20)
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", jobs[i].name, f.times(), cpu, rss, f.counts(), disk[i].times())
	}
}

func (f figure) times() string {
	if f.inBucket == 0 {
		return fmt.Sprintf("%.2f", f.returned.Seconds())
	}
	return fmt.Sprintf("%.2f / %.2f", f.returned.Seconds(), f.inBucket.Seconds())
}

// counts lists the requests by kind, the most frequent first.
func (f figure) counts() string {
	names := slices.SortedFunc(maps.Keys(f.requests), func(a, b string) int {
		if f.requests[a] != f.requests[b] {
			return f.requests[b] - f.requests[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", f.requests[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
