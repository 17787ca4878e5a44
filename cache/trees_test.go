package cache

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/remotetest"
)

// A forest is a random sequence of operations on directories, held against a
// map of what every path must hold; directories end in a slash.
type forest struct {
	*bench
	r    *rand.Rand
	want map[string]string
	log  []string
}

// TestRandomTrees renames, exchanges, removes and recreates directories that
// are in the bucket, on their way there or new, with drains, remounts and kills
// in between.
func TestRandomTrees(t *testing.T) {
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
			f := &forest{r: rand.New(rand.NewPCG(seed, 9)), want: map[string]string{}}
			mem := remotetest.NewMemory(remotetest.Settings{})
			for i := range 6 { // what others made, without markers
				p := fmt.Sprintf("old%d/%d", i%2, i)
				mem.Set("p/"+p, []byte(p), nil)
				f.want[path.Dir(p)+"/"], f.want[p] = "", p
			}
			f.bench = newBench(t, func(c *Config) { c.Remote = mem }).on(mem)
			defer func() {
				if t.Failed() {
					t.Logf("replay with -cache.seed %d\n%s\n%s", seed, strings.Join(f.log, "\n"), f.dump())
				}
			}()
			for range *randomSteps {
				f.step()
			}
			f.check()
			f.ok(f.drainSoon())
			f.noConflicts()
			f.check()
			f.checkBucket()
		})
	}
}

// dump says what is still to be done.
func (f *forest) dump() string {
	var b strings.Builder
	f.ok(f.view(func(tx *journal.Tx) error {
		err := tx.Moves(func(dir Ino, m journal.Move) error {
			rec, _, err := tx.Inode(dir)
			fmt.Fprintf(&b, "move %d %+v: parent %d name %q prefix %q next %q cursor %q\n", dir, m, rec.Parent, rec.Name, rec.Prefix, rec.Next, rec.Cursor)
			return err
		})
		return errors.Join(err, tx.Rows("", func(key string, r *journal.Row) error {
			fmt.Fprintf(&b, "row %q: %+v\n", key, *r)
			return nil
		}))
	}))
	told := make(chan struct{})
	f.queue.do(func() {
		defer close(told)
		for _, key := range slices.Sorted(maps.Keys(f.queue.items)) {
			fmt.Fprintf(&b, "item %q: %+v\n", key, *f.queue.items[key])
		}
	})
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		b.WriteString("the queue does not answer\n")
	}
	fmt.Fprintf(&b, "moves %+v, network %v, disk %q\n", f.moves.sources, f.net.state(), f.disk.state())
	return b.String()
}

func (f *forest) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// any returns a path that is there; dirs: a directory, "" being the root.
func (f *forest) any(dirs bool) string {
	all := []string{}
	if dirs {
		all = append(all, "")
	}
	for _, p := range slices.Sorted(maps.Keys(f.want)) {
		if !dirs || strings.HasSuffix(p, "/") {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[f.r.IntN(len(all))]
}

// free returns a path in a directory that is there, whose name may be taken.
func (f *forest) free() string { return f.any(true) + string(rune('a'+f.r.IntN(4))) }

// split returns where a path of the map is.
func (f *forest) split(p string) (Ino, string) { return f.where(strings.TrimSuffix(p, "/")) }

func (f *forest) step() {
	ctx := f.t.Context()
	switch n := f.r.IntN(100); {
	case n < 15:
		f.mkdir(f.free())
	case n < 40:
		f.writeFile(f.free())
	case n < 65:
		f.rename(f.any(false), f.free())
	case n < 75:
		f.exchange(f.any(false), f.any(false))
	case n < 85:
		f.remove(f.any(false))
	case n < 88:
		f.note("drain")
		f.ok(f.drainSoon())
	case n < 92:
		f.note("drain in the background")
		f.queue.waitFor(nil)
	case n < 94:
		f.note("reopen")
		f.reopen()
	case n < 95:
		f.kill()
	case n < 97:
		f.note("list anew")
		f.forgetListings()
	default:
		_, err := f.ReadDir(ctx, Root, "", 10)
		f.ok(err)
	}
}

// kill goes on with what is on the disk after work was cut off.
func (f *forest) kill() {
	f.note("kill")
	f.stop()
	f.running.Wait()
	f.queue.wait()
	f.bench = f.crash()
}

// forgetListings has every directory listed again before it is next shown.
func (f *forest) forgetListings() {
	f.Cache.mu.Lock()
	defer f.Cache.mu.Unlock()
	f.ok(f.update("test", func(ch *change) error {
		return ch.Inodes(func(ino Ino, rec *journal.Inode) error {
			l, found, err := ch.Listing(ino)
			if err != nil || !found || rec.Kind != Dir {
				return err
			}
			l.Begun, l.Complete = 0, false
			return ch.PutListing(ino, l)
		})
	}))
}

func (f *forest) mkdir(p string) {
	f.note("mkdir %s", p)
	dir, name := f.split(p)
	_, err := f.Make(f.t.Context(), dir, name, New{Kind: Dir, Mode: 0o755})
	if f.taken(p) {
		f.is(err, ErrExist)
		return
	}
	f.ok(err)
	f.want[p+"/"] = ""
}

func (f *forest) taken(p string) bool {
	p = strings.TrimSuffix(p, "/")
	_, file := f.want[p]
	_, dir := f.want[p+"/"]
	return file || dir
}

func (f *forest) writeFile(p string) {
	if _, isDir := f.want[p+"/"]; isDir {
		return
	}
	body := fmt.Sprint(f.r.Uint32())
	f.note("write %s %s", p, body)
	dir, name := f.split(p)
	f.write(dir, name, []byte(body))
	f.want[p] = body
}

// below returns the paths in a tree, itself first.
func (f *forest) below(p string) (all []string) {
	for q := range f.want {
		if q == p || strings.HasSuffix(p, "/") && strings.HasPrefix(q, p) {
			all = append(all, q)
		}
	}
	slices.Sort(all)
	return all
}

func (f *forest) rename(from, to string) {
	if from == "" {
		return
	}
	f.note("rename %s %s", from, to)
	isDir := strings.HasSuffix(from, "/")
	var r Rename
	r.OldParent, r.OldName = f.split(from)
	r.NewParent, r.NewName = f.split(to)
	err := f.Rename(f.t.Context(), r)
	target := to
	if isDir {
		target = to + "/"
	}
	_, toDir := f.want[to+"/"]
	_, toFile := f.want[to]
	switch {
	case target == from:
		f.ok(err)
	case isDir && strings.HasPrefix(target, from):
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNotDir) {
			f.t.Fatalf("rename into itself: %v", err)
		}
	case isDir && toFile:
		f.is(err, ErrNotDir)
	case !isDir && toDir:
		f.is(err, ErrIsDir)
	case isDir && toDir && len(f.below(to+"/")) > 1:
		f.is(err, ErrNotEmpty)
	default:
		f.ok(err)
		f.move(from, target)
	}
}

func (f *forest) move(from, to string) {
	for _, p := range f.below(from) {
		body := f.want[p]
		delete(f.want, p)
		f.want[to+p[len(from):]] = body
	}
}

func (f *forest) exchange(a, b string) {
	if a == "" || b == "" || a == b {
		return
	}
	f.note("exchange %s %s", a, b)
	var r Rename
	r.Exchange = true
	r.OldParent, r.OldName = f.split(a)
	r.NewParent, r.NewName = f.split(b)
	err := f.Rename(f.t.Context(), r)
	if strings.HasSuffix(a, "/") && strings.HasPrefix(b, a) || strings.HasSuffix(b, "/") && strings.HasPrefix(a, b) {
		f.is(err, ErrInvalid)
		return
	}
	f.ok(err)
	slash := func(p, like string) string {
		p = strings.TrimSuffix(p, "/")
		if strings.HasSuffix(like, "/") {
			p += "/"
		}
		return p
	}
	f.move(a, slash("\x01", a))
	f.move(b, slash(a, b))
	f.move(slash("\x01", a), slash(b, a))
}

func (f *forest) remove(p string) {
	if p == "" {
		return
	}
	f.note("remove %s", p)
	dir, name := f.split(p)
	if !strings.HasSuffix(p, "/") {
		f.ok(f.Unlink(f.t.Context(), dir, name))
		delete(f.want, p)
		return
	}
	err := f.Rmdir(f.t.Context(), dir, name)
	if len(f.below(p)) > 1 {
		f.is(err, ErrNotEmpty)
		return
	}
	f.ok(err)
	delete(f.want, p)
}

func (f *forest) check() {
	f.t.Helper()
	got := map[string]string{}
	f.walk(Root, "", got)
	if !maps.Equal(got, f.want) {
		f.t.Fatalf("the tree is\n%q, want\n%q", got, f.want)
	}
}

func (f *forest) walk(dir Ino, at string, got map[string]string) {
	for _, name := range f.names(dir) {
		a, err := f.Lookup(f.t.Context(), dir, name)
		f.ok(err)
		if a.Kind != Dir {
			got[at+name] = string(f.read(dir, name))
			continue
		}
		got[at+name+"/"] = ""
		f.walk(a.Ino, at+name+"/", got)
	}
}

// checkBucket compares the bucket with the map: a directory with something in
// it may do without a marker.
func (f *forest) checkBucket() {
	f.t.Helper()
	all := f.all()
	want := map[string]string{}
	for p, body := range f.want {
		_, there := all["p/"+p]
		if there || !strings.HasSuffix(p, "/") || len(f.below(p)) == 1 {
			want["p/"+p] = body
		}
	}
	f.bucket(want)
}
