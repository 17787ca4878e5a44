package coherence

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

var (
	duration = flag.Duration("coherence.time", 12*time.Second, "how long the parties work, in all")
	seed     = flag.Uint64("coherence.seed", 0, "what they do; 0: another each time")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m.Run)) }

// round is how long they work until all is sent and compared.
const round = time.Second

// worlds are the kinds of buckets and mounts.
var worlds = []struct {
	name      string
	s3        func(harness.T) *harness.S3
	versioned bool
	ttl       time.Duration // 0: always ask
	small     bool
}{
	{"versitygw, always asked", harness.Versity, false, 0, false},
	{"versitygw with versions, small cache", harness.Versity, true, 300 * time.Millisecond, true},
	{"minio with versions, always asked", harness.MinIO, true, 0, false},
	{"minio, small cache", harness.MinIO, false, 300 * time.Millisecond, true},
}

func TestCoherence(t *testing.T) {
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	t.Logf("replay with -coherence.seed %d -coherence.time %v", start, *duration)
	for i, kind := range worlds {
		t.Run(kind.name, func(t *testing.T) {
			s := Settings{S3: kind.s3(t), Versioned: kind.versioned, Seed: start, AttrTTL: kind.ttl, ListTTL: kind.ttl,
				NegativeTTL: kind.ttl, Small: kind.small, Keys: 16, Workers: 3}
			if kind.versioned {
				if err := s.S3.Raw.EnableVersioning(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s.S3.Proxy.Slow(2*time.Millisecond, 100<<20)
			run(t, New(t, s), rand.New(rand.NewPCG(start, uint64(i))))
		})
	}
}

// run has them work, in rounds, for their part of the time.
func run(t *testing.T, w *World, random *rand.Rand) {
	share := *duration / time.Duration(len(worlds))
	for end := time.Now().Add(share); time.Now().Before(end) && len(w.Violations()) == 0; {
		w.Run(random, min(round, time.Until(end)))
		w.Settle()
		if s := w.Sides[random.IntN(2)]; random.IntN(3) == 0 {
			s.Remount(random.IntN(2) == 0)
		}
	}
	for _, s := range w.Sides {
		s.Close()
	}
	t.Log(w.Summary())
	for _, v := range w.Violations() {
		t.Error(v)
	}
	if t.Failed() {
		for _, s := range w.Sides {
			t.Logf("%s says:\n%s", partyName(s.party), s.M.Log())
		}
	}
}
