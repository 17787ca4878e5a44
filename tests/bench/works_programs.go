package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// programWorks are programs that do many things.
func programWorks(s sizes) []*work {
	clone := func(r *run) error {
		return r.command("git", "clone", "-q", "file://"+repositoryOf(r.lab), r.path("clone"))
	}
	status := func(r *run) error { return r.command("git", "-C", r.path("clone"), "status", "--porcelain") }
	n := min(s.Files, cloned)
	return []*work{
		{name: "git-clone", title: fmt.Sprintf("git clone of %d files", n), input: clonable, changes: true, warm: makeRepository,
			act: clone, check: checkClone, targets: []target{{returned, fuse, 1.3}}},
		{name: "git-status", title: fmt.Sprintf("git status of %d files, the second", n), input: clonable, changes: true,
			warm: inOrder(makeRepository, clone, status, (*run).flush), act: status, check: checkClone,
			targets: []target{{returned, fuse, 1.3}, {"GetObject", "", 0}, {"HeadObject", "", 0}, {"PutObject", "", 0}}},
		{name: "sqlite", title: fmt.Sprintf("sqlite, %d transactions", s.Transactions), changes: true,
			act: func(r *run) error {
				cmd := exec.Command("sqlite3", r.path("db"))
				cmd.Stdin = strings.NewReader("CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT);\n" +
					strings.Repeat("INSERT INTO t (s) VALUES ('some text of a few dozen bytes, as rows have it');\n", s.Transactions))
				return r.exec(cmd)
			},
			targets: []target{{returned, fuse, asFastAs(0.8)}}},
	}
}

func inOrder(steps ...func(*run) error) func(*run) error {
	return func(r *run) error {
		for _, step := range steps {
			if err := step(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func repositoryOf(l *lab) string { return l.fixtures[clonable].dir }

// makeRepository makes the repository that is cloned, once, and brings what
// was written before to the bucket.
func makeRepository(r *run) error {
	f, err := r.lab.fixture(clonable)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.dir, ".git")); err == nil {
		return nil
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."},
		{"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "all"}} {
		cmd := exec.Command("git", append([]string{"-C", f.dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args, err, out)
		}
	}
	return nil
}

// checkClone asks git whether all is there and as it was, and compares the
// bucket with the mount: two clones are not the same byte by byte.
func checkClone(r *run) error {
	f, err := r.lab.fixture(clonable)
	if err != nil {
		return err
	}
	if err := r.command("git", "-C", r.path("clone"), "fsck", "--strict"); err != nil {
		return err
	}
	a, err := r.exercise("sum", r.path("clone"))
	if err != nil {
		return err
	}
	tree := manifest{}
	inMount := manifest{}
	for name, c := range a.Sums {
		inMount["clone/"+name] = c
		if !strings.HasPrefix(name, ".git/") {
			tree[name] = c
		}
	}
	if err := diff("the clone", tree, f.sums); err != nil || r.bucket == "" || r.kind.chunks {
		return err
	}
	got, err := sumBucket(context.Background(), r.client, r.bucket)
	if err != nil {
		return err
	}
	return diff("the bucket", got, inMount)
}

// limitWorks find out how far things go: memory and a large cache.
func limitWorks(s sizes) []*work {
	known := fmt.Sprintf("%d files", s.Known)
	// Every file is looked up; a million HEADs would say nothing of memory.
	byListing := []string{"--attrs", "list"}
	look := func(r *run) error { return r.command("ls", "-lR", r.subject.dir) }
	return []*work{
		{name: "concurrent", title: fmt.Sprintf("%d large reads at the same time", readers), nets: []string{lan}, fixture: several, cold: true, pages: 3 * s.Large,
			act:     func(r *run) error { return r.timed("read-all", r.subject.dir) },
			targets: []target{{peakRSS, "", mostRSS}}},
		{name: "lookups", title: "ls -lR of " + known + ", cold", fixture: veryLarge, server: s3test.VersityGW, once: true, options: byListing,
			act: look, check: countFiles, targets: []target{{peakRSS, "", mostRSS}}},
		{name: "start", title: "mount with " + known + " in the cache", fixture: veryLarge, server: s3test.VersityGW, once: true, options: byListing,
			warm: func(r *run) error {
				if err := look(r); err != nil {
					return err
				}
				return r.subject.stop()
			},
			act: func(r *run) error { return r.start() }, check: checksItself,
			targets: []target{{returned, "", 1}, {requests, "", 5}, {peakRSS, "", mostRSS}}},
	}
}

// countFiles compares the number of files with that of the very large tree.
func countFiles(r *run) error {
	cmd := exec.Command("find", r.subject.dir, "-type", "f", "-printf", "x")
	var out counting
	cmd.Stdout = &out
	if err := r.exec(cmd); err != nil {
		return err
	}
	if want := r.lab.s.Sizes.Known; int(out) != want {
		return fmt.Errorf("%d files, want %d", int(out), want)
	}
	return nil
}

// A counting counts what is written to it.
type counting int

func (c *counting) Write(p []byte) (int, error) {
	*c += counting(len(p))
	return len(p), nil
}
