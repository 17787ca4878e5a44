package model

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

var mountsTime = flag.Duration("model.mounts", 15*time.Second, "how long random programs are run on mounts")

// TestMounts runs random programs on real mounts.
func TestMounts(t *testing.T) {
	syscall.Umask(0) // modes are meant as they are given
	if *replay != "" {
		text, err := os.ReadFile(*replay)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parseProgram(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := runOnMounts(t, p); err != nil {
			t.Fatalf("%v\n%s", err, p)
		}
		return
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("replay with -model.seed %d -model.ops %d", first, *length)
	n := uint64(0)
	for end := time.Now().Add(*mountsTime); n == 0 || time.Now().Before(end) && (*runs == 0 || n < uint64(*runs)); n++ {
		p := forMounts(randomProgram(first+n, *length))
		if err := runOnMounts(t, p); err != nil {
			reportMounts(t, p, fmt.Errorf("-model.seed %d: %w", first+n, err))
			break
		}
	}
	t.Logf("%d programs", n)
}

// longestOnServer is the longest name that the test servers, which keep objects
// in files, take for a marker.
const longestOnServer = 200

// forMounts leaves out what mounts have no way of doing, and names that are too
// long for the servers though not for S3.
func forMounts(p program) program {
	q := program{settings: p.settings}
	q.settings.small, q.settings.list, q.settings.versioned, q.settings.sealed, q.settings.mounts = false, false, false, false, true
	for _, o := range p.ops {
		long := func(name string) bool { return len(name) > longestOnServer && len(name) <= 255 }
		if !slices.ContainsFunc(components(o.path), long) && !slices.ContainsFunc(components(o.to), long) {
			q.ops = append(q.ops, o)
		}
	}
	return q
}

// runOnMounts runs a program on mounts of a new bucket. Where two take part it
// is on MinIO: versitygw gives an object whose metadata was replaced neither
// another ETag nor a new time, so that others cannot see it.
func runOnMounts(t *testing.T, p program) (err error) {
	p = forMounts(p)
	newBucket := harness.Versity
	if p.settings.two {
		newBucket = harness.MinIO
	}
	bucket := newBucket(t)
	sides := map[party]side{}
	defer func() {
		for who, s := range sides {
			if closing := s.close(); closing != nil {
				err = errors.Join(err, fmt.Errorf("unmounting machine %c: %w", who, closing))
			}
		}
	}()
	names := []party{machineA}
	if p.settings.two {
		names = append(names, machineB)
	}
	for _, name := range names {
		side, err := newMountSide(t, p.settings, bucket, name)
		if err != nil {
			return err
		}
		sides[name] = side
	}
	w := newWorld(p.settings, rawStore{bucket.Raw}, sides)
	w.settings.ttl, w.rest = 0, 2*mountTTL
	return w.run(p.ops)
}

// mountMinimiseLimit bounds the search for a shorter program.
const mountMinimiseLimit = 3 * time.Minute

func reportMounts(t *testing.T, p program, cause error) {
	t.Helper()
	t.Logf("%v\nmaking the program short", cause)
	small := minimise(p, mountMinimiseLimit, func(q program) bool { return runOnMounts(t, q) != nil })
	err := runOnMounts(t, small)
	text := fmt.Sprintf("# %s\n%s", strings.ReplaceAll(fmt.Sprint(err), "\n", "\n# "), small)
	file := filepath.Join(os.TempDir(), fmt.Sprintf("model-mounts-%d.txt", time.Now().UnixNano()))
	if saveErr := os.WriteFile(file, []byte(text), 0o644); saveErr != nil {
		t.Error(saveErr)
	}
	t.Errorf("%v\nminimised: %v\n%s\nreplay with -run TestMounts -model.replay %s", cause, err, small, file)
}
