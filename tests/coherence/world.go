package coherence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// Settings are those of one World.
type Settings struct {
	S3        *harness.S3
	Versioned bool // of the bucket
	Seed      uint64

	AttrTTL, ListTTL, NegativeTTL time.Duration
	Options                       []string // more, of both mounts
	Small                         bool     // the cache holds less than the files
	Keys                          int      // even; half of them are renamed to the others
	Workers                       int      // on each mount
}

// Counts are what a World has done so far. Reads are those that were checked.
type Counts struct {
	Reads, Blocks, Opens, Maps atomic.Int64
	OldReads                   atomic.Int64 // on files that were open while their name was replaced
	Stale, StaleOpens          atomic.Int64
	StaleRenames               atomic.Int64
	Writes, Parts, Renames     atomic.Int64 // by mounts
	Removals                   atomic.Int64
	ClientWrites, Conflicts    atomic.Int64
	Aborted                    atomic.Int64 // uploads of the client without a part, by a mount
	Settled, Remounts          atomic.Int64
	Unchecked, Unanswered      atomic.Int64 // operations that failed as the daemon died, or as the bucket did not answer
}

// A World has two mounts of a bucket and a client beside them.
type World struct {
	Settings
	Counts *Counts
	Sides  [2]*Side
	hist   *history

	t        harness.T
	dir      string
	bucketMu []sync.Mutex // one a key: who asks the bucket about it
	mu       sync.Mutex
	violated []string
	names    atomic.Int64 // of temporary files
	faulty   atomic.Bool  // the bucket cannot always be reached now
}

// New mounts the bucket twice.
func New(t harness.T, s Settings) *World {
	w := &World{Settings: s, Counts: &Counts{}, t: t, dir: harness.Dir(t), bucketMu: make([]sync.Mutex, s.Keys),
		hist: newHistory(s.Keys, ttls{attr: s.AttrTTL, list: s.ListTTL, negative: s.NegativeTTL})}
	w.hist.faulty = w.faulty.Load
	for i := range w.Sides {
		w.Sides[i] = &Side{w: w, party: i, stays: make([]sync.RWMutex, s.Keys), alone: make([]sync.Mutex, s.Keys)}
		w.Sides[i].Mount()
	}
	return w
}

// name is what a key is called; all are in the root.
func name(key int) string { return fmt.Sprintf("k%02d.dat", key) }

// keyOf is its inverse, also for conflict copies.
func (w *World) keyOf(name string) (key int, copied, known bool) {
	if n, err := fmt.Sscanf(name, "k%02d", &key); n != 1 || err != nil || key >= w.Keys || !strings.HasSuffix(name, ".dat") {
		return 0, false, false
	}
	return key, strings.Contains(name, " (conflict "), true
}

// temporary begins the names that files have until they are renamed to a key.
const temporary = "tmp-"

// Violated notes what must not be.
func (w *World) Violated(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violated = append(w.violated, fmt.Sprintf(format, args...))
}

// Violations returns what must not have been.
func (w *World) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violated)
}

// Faulty says that from now on, until all is sent, the bucket cannot always be
// reached: mounts answer with what they know, and reads of what they do not
// have fail.
func (w *World) Faulty() { w.faulty.Store(true) }

// Run lets everybody work for so long, or until something is wrong.
func (w *World) Run(random *rand.Rand, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var workers sync.WaitGroup
	begin := func(work func(*rand.Rand)) {
		r := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		workers.Go(func() {
			for ctx.Err() == nil && len(w.Violations()) == 0 {
				work(r)
			}
		})
	}
	for _, s := range w.Sides {
		for range w.Workers {
			begin(s.step)
		}
	}
	begin(w.clientStep)
	workers.Wait()
}

// spec says how to mount a side with the cache directory it has now.
func (s *Side) spec() harness.Spec {
	w := s.w
	options := []string{"--endpoint-url", w.S3.Endpoint, "--part-size", "5MiB", "--write-back", "100ms",
		"--attr-ttl", w.AttrTTL.String(), "--list-ttl", w.ListTTL.String(), "--negative-ttl", w.NegativeTTL.String()}
	if w.Small {
		options = append(options, "--cache-size", "48MiB", "--read-ahead", "4MiB")
	} else {
		options = append(options, "--cache-size", "4GiB")
	}
	return harness.Spec{Source: "s3://" + w.S3.Bucket, Dir: filepath.Join(w.dir, fmt.Sprintf("mnt-%c", 'a'+s.party)), Cache: s.cache,
		Env: w.S3.Env(), Options: append(options, w.Options...)}
}

// Summary is the figures in words.
func (w *World) Summary() string {
	c := w.Counts
	return fmt.Sprintf("%d opens, %d reads of %d blocks checked (%d by mmap, %d of replaced versions), %d ESTALE (%d at open, %d renames); "+
		"%d writes by mounts (%d in parts), %d by the client, %d renames, %d removals, %d conflicts; settled %d times, %d remounts, %d failed with the daemon and %d with the network; violations %d",
		c.Opens.Load(), c.Reads.Load(), c.Blocks.Load(), c.Maps.Load(), c.OldReads.Load(), c.Stale.Load(), c.StaleOpens.Load(), c.StaleRenames.Load(),
		c.Writes.Load(), c.Parts.Load(), c.ClientWrites.Load(), c.Renames.Load(), c.Removals.Load(), c.Conflicts.Load(),
		c.Settled.Load(), c.Remounts.Load(), c.Unchecked.Load(), c.Unanswered.Load(), len(w.Violations()))
}
