package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// smallWorks are about many small files.
func smallWorks(s sizes) []*work {
	dirs := float64((s.Files + filesPerDir - 1) / filesPerDir)
	find := func(r *run) error { return r.command("find", r.subject.dir, "-type", "f") }
	list := func(r *run) error { return r.command("ls", "-lR", r.subject.dir) }
	read := func(r *run) error { return r.timed("read-tree", r.subject.dir) }
	readBefore := func(r *run) error {
		_, err := r.exercise("read-tree", r.subject.dir)
		return err
	}
	remounted := func(r *run) error {
		if err := readBefore(r); err != nil || r.kind.local {
			return err
		}
		return r.remount()
	}
	files := fmt.Sprintf("%d files", s.Files)
	few := fmt.Sprintf("%d small files one after the other", s.Small)
	return []*work{
		{name: "untar", title: "untar " + files, nets: []string{lan, wan}, input: tree, changes: true, warm: makeTar,
			act:   func(r *run) error { return r.command("tar", "-xf", tarOf(r.lab), "-C", r.subject.dir) },
			limit: putFiles,
			targets: []target{{returned, fuse, 1.3}, {inBucket, limit, 1.3}, {"PutObject", "", float64(s.Files) + dirs + 1},
				{requests, "", float64(s.Files) + dirs + 20}, {peakRSS, "", mostRSS}}},
		{name: "find-foreign", title: "find, cold, " + files + " of others", nets: []string{lan, wan}, fixture: tree, cold: true,
			act: find, check: compareShape, limit: listAll, targets: []target{{returned, limit, 1.5}, {returned, bestPeer, 1}}},
		{name: "ls-foreign", title: "ls -lR, cold, " + files + " of others", nets: []string{wan}, fixture: tree, cold: true,
			act: list, check: compareShape, limit: listAll, targets: []target{{returned, limit, 1.5}, {returned, bestPeer, 1}}},
		{name: "ls-own", title: "ls -lR, cold, " + files + " of moorfs", nets: []string{wan}, fixture: tree, ours: true, cold: true,
			act: list, check: compareShape, limit: listAndHead, targets: []target{{returned, limit, 1.5}}},
		{name: "read-small-cold", title: "read " + few + ", cold", nets: []string{lan, wan}, fixture: small, cold: true,
			act: read, targets: []target{{returned, "", 2}, {returned, bestPeer, 1}}},
		{name: "read-small-warm", title: "read " + few + ", warm", nets: []string{wan}, fixture: small,
			warm: readBefore, act: read, targets: []target{{returned, fuse, 1.2}, {requests, "", 0}}},
		{name: "read-small-remount", title: "read " + few + ", after a remount", nets: []string{wan}, fixture: small,
			warm: remounted, act: read, targets: []target{{returned, fuse, 1.2}, {"GetObject", "", 0}, {"HeadObject", "", 0}}},
		{name: "rename", title: fmt.Sprintf("rename a directory of %d files", s.Small), nets: []string{lan, wan}, fixture: small, changes: true,
			act:   func(r *run) error { return r.timed("rename", r.path("tree"), r.path("moved")) },
			limit: moveAll, targets: []target{{returned, "", 0.05}, {inBucket, limit, 1.3}}},
		{name: "rm", title: "rm -rf of " + files, nets: []string{lan, wan}, fixture: tree, changes: true,
			warm:    func(r *run) error { return r.command("find", r.subject.dir, "-type", "f") },
			act:     func(r *run) error { return r.command("rm", "-rf", r.path("tree")) },
			targets: []target{{returned, fuse, 1.3}, {"DeleteObjects", "", 10}, {"DeleteObject", "", 0}}},
	}
}

func tarOf(l *lab) string { return filepath.Join(filepath.Dir(l.fixtures[tree].dir), "tree.tar") }

// makeTar makes the tar that is unpacked, once.
func makeTar(r *run) error {
	f, err := r.lab.fixture(tree)
	if err != nil {
		return err
	}
	if _, err := os.Stat(tarOf(r.lab)); err == nil {
		return nil
	}
	if out, err := exec.Command("tar", "-cf", tarOf(r.lab), "-C", f.dir, "tree").CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	return nil
}

// nameWorks are about one large directory.
func nameWorks(s sizes) []*work {
	title := fmt.Sprintf("a directory of %d files", s.Names)
	ls := func(args ...string) func(*run) error {
		return func(r *run) error { return r.command("ls", append(args, r.path("names"))...) }
	}
	return []*work{
		{name: "ls-names", title: "ls of " + title + ", cold", fixture: names, cold: true, once: true, act: ls("-U"), check: compareShape,
			limit: listPages, targets: []target{{returned, limit, 1.2}}},
		{name: "lsl-names", title: "ls -l of " + title + ", cold", fixture: names, cold: true, once: true, act: ls("-l"), check: compareShape,
			limit: listPages, targets: []target{{returned, limit, 1.2}, {peakRSS, "", mostRSS}}},
		{name: "lsl-names-warm", title: "ls -l of " + title + ", warm", fixture: names, once: true, warm: ls("-l"), act: ls("-l"), check: compareShape,
			targets: []target{{returned, fuse, 1.3}}},
	}
}
