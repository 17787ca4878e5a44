package cache

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	randomSeed  = flag.Uint64("cache.seed", 0, "replay one random program")
	randomRuns  = flag.Int("cache.runs", 12, "random programs")
	randomSteps = flag.Int("cache.steps", 150, "steps of a random program")
)

// A program is a random sequence of operations on a cache, held against a map
// of what every path must hold.
type program struct {
	*bench
	r     *rand.Rand
	files map[string][]byte // by path; directories are fixed
	dirs  []string
	log   []string
}

// TestRandomPrograms runs random operations, with drains, evictions and
// remounts in between, and compares every file here and in the bucket.
func TestRandomPrograms(t *testing.T) {
	seeds := []uint64{*randomSeed}
	if *randomSeed == 0 {
		seeds = nil
		start := uint64(time.Now().UnixNano())
		for i := range *randomRuns {
			seeds = append(seeds, start+uint64(i))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := &program{r: rand.New(rand.NewPCG(seed, 7)), files: map[string][]byte{}}
			p.bench = newBench(t, func(c *Config) {
				c.PartSize = 64 << 10
				if p.r.IntN(2) == 0 {
					c.Attrs = AttrsList
				}
			})
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("replay with -cache.seed %d\n%s", seed, strings.Join(p.log, "\n"))
				}
			})
			p.prepare()
			for range *randomSteps {
				p.step()
			}
			p.check()
			p.drain()
			p.check()
			p.checkBucket()
		})
	}
}

func (p *program) prepare() {
	for i := range 4 {
		data := randomBytes(p.r.IntN(300<<10), p.r.Uint64())
		path := fmt.Sprintf("old%d", i)
		p.mem.Set("p/"+path, data, nil)
		p.files[path] = data
	}
	p.dirs = []string{"", "d1", "d2"}
	for _, d := range p.dirs[1:] {
		_, err := p.Make(p.t.Context(), Root, d, New{Kind: Dir, Mode: 0o755})
		p.ok(err)
	}
	p.listed(Root, "d1", "d2", "old0", "old1", "old2", "old3")
}

func (p *program) note(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

func (p *program) at(path string) (Ino, string) {
	d, name, ok := strings.Cut(path, "/")
	if !ok {
		return Root, path
	}
	return p.lookup(d), name
}

func (p *program) anyPath() string {
	d := p.dirs[p.r.IntN(len(p.dirs))]
	name := string(rune('a' + p.r.IntN(5)))
	if d == "" {
		return name
	}
	return d + "/" + name
}

func (p *program) anyFile() string {
	paths := slices.Sorted(maps.Keys(p.files))
	if len(paths) == 0 {
		return ""
	}
	return paths[p.r.IntN(len(paths))]
}

func (p *program) step() {
	ctx := p.t.Context()
	path := p.anyFile()
	switch n := p.r.IntN(100); {
	case n < 25:
		path = p.anyPath()
		data := randomBytes(p.r.IntN(200<<10), p.r.Uint64())
		p.note("write %s %d", path, len(data))
		dir, name := p.at(path)
		p.write(dir, name, data)
		p.files[path] = data
	case path == "":
	case n < 45:
		p.patch(path)
	case n < 60:
		p.rename(path)
	case n < 70:
		p.note("unlink %s", path)
		dir, name := p.at(path)
		p.ok(p.Unlink(ctx, dir, name))
		delete(p.files, path)
	case n < 78:
		mode := uint32(p.r.IntN(0o1000))
		p.note("chmod %s %o", path, mode)
		dir, name := p.at(path)
		a, err := p.Lookup(ctx, dir, name)
		p.ok(err)
		_, err = p.SetAttr(ctx, a.Ino, AttrChange{Mode: &mode})
		p.ok(err)
	case n < 84:
		p.note("drain")
		p.drain()
	case n < 88:
		p.note("reopen")
		p.reopen()
	case n < 92:
		p.note("evict")
		for p.evictOldest() {
		}
	case n < 96:
		p.note("flush in the background %s", path)
		if key := p.keyOfInode(p.inoOf(path)); key != "" {
			p.queue.waitFor([]string{key})
		}
	default:
		p.checkFile(path)
	}
}

func (p *program) rename(path string) {
	to := p.anyPath()
	p.note("rename %s %s", path, to)
	r := Rename{}
	r.OldParent, r.OldName = p.at(path)
	r.NewParent, r.NewName = p.at(to)
	if _, there := p.files[to]; there && p.r.IntN(3) == 0 {
		r.Exchange = true
		p.note("  as an exchange")
	}
	p.ok(p.Rename(p.t.Context(), r))
	switch {
	case path == to:
	case r.Exchange:
		p.files[to], p.files[path] = p.files[path], p.files[to]
	default:
		p.files[to] = p.files[path]
		delete(p.files, path)
	}
}

func (p *program) inoOf(path string) Ino {
	dir, name := p.at(path)
	a, err := p.Lookup(p.t.Context(), dir, name)
	p.ok(err)
	return a.Ino
}

func (p *program) patch(path string) {
	ctx := p.t.Context()
	old := p.files[path]
	h, err := p.Cache.Open(ctx, p.inoOf(path), OpenMode{Write: true})
	p.ok(err)
	if p.r.IntN(4) == 0 {
		size := p.r.IntN(len(old) + 1000)
		p.note("truncate %s %d", path, size)
		p.ok(h.truncate(ctx, int64(size)))
		next := make([]byte, size)
		copy(next, old)
		p.files[path] = next
	} else {
		off := p.r.IntN(len(old) + 5000)
		data := randomBytes(1+p.r.IntN(20<<10), p.r.Uint64())
		p.note("patch %s %d+%d", path, off, len(data))
		p.put(h, data, int64(off))
		next := make([]byte, max(len(old), off+len(data)))
		copy(next, old)
		copy(next[off:], data)
		p.files[path] = next
	}
	p.ok(h.Flush(ctx))
	h.Release()
}

func (p *program) checkFile(path string) {
	p.t.Helper()
	dir, name := p.at(path)
	got, err := p.tryRead(dir, name)
	if err != nil || !bytes.Equal(got, p.files[path]) {
		p.t.Fatalf("%s: error %v, %d bytes, want %d", path, err, len(got), len(p.files[path]))
	}
}

func (p *program) check() {
	p.t.Helper()
	for path := range p.files {
		p.checkFile(path)
	}
	for _, d := range p.dirs {
		ino := Root
		if d != "" {
			ino = p.lookup(d)
		}
		for _, name := range p.names(ino) {
			path := strings.TrimPrefix(d+"/"+name, "/")
			if _, ok := p.files[path]; !ok && !slices.Contains(p.dirs, path) {
				p.t.Fatalf("%s exists and should not", path)
			}
		}
	}
}

func (p *program) checkBucket() {
	want := map[string]string{}
	for path, data := range p.files {
		want["p/"+path] = string(data)
	}
	for _, d := range p.dirs[1:] {
		want["p/"+d+"/"] = ""
	}
	p.bucket(want)
	if s := p.Status(); len(s.Conflicts) > 0 || s.Queued > 0 {
		p.t.Fatalf("status %+v", s)
	}
	if _, err := p.Lookup(p.t.Context(), Root, "never"); !errors.Is(err, ErrNotExist) {
		p.t.Fatal(err)
	}
}
