package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCacheLimitsByDefault(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		disk           disk
		limit, minFree int64
	}{
		{disk{total: 1000 * gib, free: 500 * gib}, 20 * gib, gib},
		{disk{total: 100 * gib, free: 10 * gib}, 5 * gib, gib},
		{disk{total: 100 * gib, free: 6 * gib, own: 4 * gib}, 5 * gib, gib}, // does not shrink as it fills
		{disk{total: 10 * gib, free: 0, own: 2 * gib}, gib, gib / 2},        // full: what is there must still go out
		{disk{total: gib, free: gib}, gib / 2, leastFree},                   // the journal needs its room on small disks, too
	} {
		limit, minFree := c.disk.limits()
		if limit != c.limit || minFree != c.minFree {
			t.Errorf("%+v: size %d and free %d, want %d and %d", c.disk, limit, minFree, c.limit, c.minFree)
		}
	}
}

func TestCacheLimitsAsAsked(t *testing.T) {
	dir := t.TempDir()
	l := layer{"cache-size": {"300MiB"}, "cache-min-free": {"0"}}
	limit, minFree, err := cacheLimits(newSettings(l), dir)
	if err != nil || limit != 300<<20 || minFree != leastFree {
		t.Errorf("size %d, free %d, %v", limit, minFree, err)
	}
	l["cache-min-free"] = []string{"1000PiB"}
	if _, _, err := cacheLimits(newSettings(l), dir); err == nil || !strings.Contains(err.Error(), "no room for a cache") {
		t.Errorf("a disk without room: %v", err)
	}
	data := filepath.Join(dir, "data", "1")
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, []byte("unsent"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cacheLimits(newSettings(l), dir); err != nil {
		t.Errorf("a cache that holds data already: %v", err)
	}
}

func TestTakenBelowCountsBlocks(t *testing.T) {
	dir := t.TempDir()
	if n, err := takenBelow(dir, 1<<40); n != 0 || err != nil {
		t.Errorf("without data: %d, %v", n, err)
	}
	sub := filepath.Join(dir, "data", "a")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(sub, name), make([]byte, 64<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(sub, name), 1<<30); err != nil { // sparse: costs nothing
			t.Fatal(err)
		}
	}
	all, err := takenBelow(dir, 1<<40)
	if err != nil || all < 128<<10 || all > 1<<20 {
		t.Errorf("two files of 64 KiB: %d, %v", all, err)
	}
	if n, err := takenBelow(dir, 1); err != nil || n < 64<<10 || n >= all {
		t.Errorf("enough after the first: %d, %v", n, err)
	}
}
