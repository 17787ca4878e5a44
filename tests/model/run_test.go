package model

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

// A verdict is what became of a program.
type verdict struct {
	err error
	log []string
}

// runOnCaches runs a program on caches in this process, with a bucket in
// memory and a clock that runs as fast as nobody has anything to do.
func runOnCaches(t *testing.T, p program) (v verdict) {
	dir, err := os.MkdirTemp(workDir(t), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != nil {
			v.err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		v = onCaches(p, dir)
	})
	return v
}

func onCaches(p program, dir string) (v verdict) {
	bucket := newMemoryStore(p.settings)
	sides := map[party]side{}
	defer func() {
		for who, s := range sides {
			if err := s.close(); err != nil {
				v.err = errors.Join(v.err, fmt.Errorf("closing machine %c: %w", who, err))
			}
		}
	}()
	names := []party{machineA}
	if p.settings.two {
		names = append(names, machineB)
	}
	for _, name := range names {
		side, err := newCacheSide(p.settings, bucket.mem, name, dir)
		if err != nil {
			return verdict{err: err}
		}
		sides[name] = side
	}
	w := newWorld(p.settings, bucket, sides)
	err := w.run(p.ops)
	return verdict{err, w.log}
}
