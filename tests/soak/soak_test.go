package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/coherence"
	"github.com/moorfs/moorfs/tests/harness"
)

var (
	duration = flag.Duration("soak.time", 0, "how long the parties work, in all; 0: not at all")
	seed     = flag.Uint64("soak.seed", 0, "what they do and what goes wrong; 0: another each time")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m.Run)) }

// Rounds last between these.
const shortest, longest = 2 * time.Second, 8 * time.Second

// A soak is one run.
type soak struct {
	t      *testing.T
	w      *coherence.World
	s3     *harness.S3
	random *rand.Rand
	events map[string]int
	table  []sample
}

func TestSoak(t *testing.T) {
	if *duration == 0 {
		t.Skip("a soak lasts as long as one likes: make soak DURATION=10m")
	}
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	t.Logf("replay with -soak.seed %d -soak.time %v", start, *duration)
	s3 := harness.Versity(t)
	if err := s3.Raw.EnableVersioning(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, s3: s3, random: rand.New(rand.NewPCG(start, 0)), events: map[string]int{},
		w: coherence.New(t, coherence.Settings{S3: s3, Versioned: true, Seed: start, AttrTTL: 500 * time.Millisecond,
			ListTTL: time.Second, NegativeTTL: 500 * time.Millisecond, Small: true, Keys: 20, Workers: 3})}
	began := time.Now()
	for len(s.w.Violations()) == 0 && (len(s.table) == 0 || time.Since(began) < *duration) {
		s.round()
		s.sample(time.Since(began))
	}
	s.report()
}

// round has all work while something goes wrong, then compares.
func (s *soak) round() {
	d := shortest + time.Duration(s.random.Int64N(int64(longest-shortest)))
	trouble := rand.New(rand.NewPCG(s.random.Uint64(), 1))
	s.w.Faulty()
	stop := make(chan struct{})
	var troubles sync.WaitGroup
	troubles.Go(func() { s.trouble(trouble, stop) })
	s.w.Run(s.random, d)
	close(stop)
	troubles.Wait()
	s.s3.Fair()
	s.w.Settle()
}

// trouble makes one thing go wrong after the other until stop.
func (s *soak) trouble(r *rand.Rand, stop <-chan struct{}) {
	pause := func(most time.Duration) bool {
		select {
		case <-stop:
			return false
		case <-time.After(time.Duration(r.Int64N(int64(most)))):
			return true
		}
	}
	for pause(1500 * time.Millisecond) {
		switch n := r.IntN(10); {
		case n < 3:
			s.events["outages"]++
			s.s3.Proxy.Offline(true)
			pause(2 * time.Second)
			s.s3.Proxy.Offline(false)
		case n < 7:
			s.events["bad networks"]++
			s.s3.Slow(r.Uint64())
			s.damage(r)
			pause(3 * time.Second)
			s.s3.Fair()
		case n < 9:
			s.events["kills"]++
			s.w.Sides[0].Kill()
		default:
			s.events["throttling"]++
			s.s3.Proxy.Fault(s3test.Fault{Effect: s3test.SlowDown(), Match: s3test.On("GetObject", "PutObject", "HeadObject", "ListObjectsV2"), Times: 50})
			pause(2 * time.Second)
			s.s3.Fair()
		}
	}
}

// damage has some answers arrive broken.
func (s *soak) damage(r *rand.Rand) {
	for _, e := range []s3test.Effect{s3test.BreakAfter(r.Int64N(1 << 16)), s3test.Truncate(r.Int64N(1 << 14)), s3test.FlipByte(r.Int64N(1 << 12)), s3test.HTML()} {
		s.s3.Proxy.Fault(s3test.Fault{Effect: e, Match: s3test.On("GetObject"), Skip: r.IntN(20), Times: 1 + r.IntN(2)})
		s.events["damaged answers"]++
	}
	s.s3.Proxy.Fault(s3test.Fault{Effect: s3test.LoseAnswer(), Skip: r.IntN(5), Times: 1 + r.IntN(3),
		Match: s3test.On("PutObject", "CompleteMultipartUpload", "CopyObject", "DeleteObject", "DeleteObjects", "CreateMultipartUpload")})
	s.events["lost answers"]++
}

func (s *soak) report() {
	s.t.Log(s.w.Summary())
	s.t.Logf("what went wrong: %v", s.events)
	s.printTable()
	for _, v := range s.w.Violations() {
		s.t.Error(v)
	}
	if !s.t.Failed() {
		s.checkGrowth()
	}
	if s.t.Failed() {
		for _, side := range s.w.Sides {
			s.t.Logf("%s", side.M.Log())
		}
	}
	for _, side := range s.w.Sides {
		side.Close()
	}
}

func (s *soak) printTable() {
	lines := "\n   time  memory  descriptors  goroutines   (of the daemon that was never killed)\n"
	step := max(1, len(s.table)/20)
	for i, a := range s.table {
		if i%step == 0 || i == len(s.table)-1 {
			lines += fmt.Sprintf("%7.0fs %4d MiB %12d %11d\n", a.at.Seconds(), a.memory>>20, a.descriptors, a.goroutines)
		}
	}
	s.t.Log(lines)
}
