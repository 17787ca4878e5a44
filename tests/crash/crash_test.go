package crash

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
)

var (
	rounds = flag.Int("crash.rounds", 30, "how often the daemon is killed")
	seed   = flag.Uint64("crash.seed", 0, "what the writers do and when the daemon is killed; 0: another each time")
)

func TestMain(m *testing.M) {
	powercut.Serve()
	roles := map[string]func(string) error{
		writerEnv: func(string) error { return writeUntilStopped() }, holderEnv: holdLock, lookerEnv: look,
	}
	for env, role := range roles {
		if value := os.Getenv(env); value != "" {
			if err := role(value); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(harness.Main(m.Run))
}

// atRandom is where a daemon died that was killed by us.
const atRandom = "at random"

const (
	longestRound = 900 * time.Millisecond // until the daemon is killed
	writerLimit  = 30 * time.Second       // until the writers notice
	flushLimit   = 2 * time.Minute
	readLimit    = time.Minute
)

// A campaign is many crashes of one cache and one bucket.
type campaign struct {
	t      *testing.T
	s3     *harness.S3
	dir    string   // everything below here
	cache  string   // the daemons' directory
	extra  []string // in their environment
	random *rand.Rand
	points []string       // to die at: those where no daemon has died yet
	all    int            // points there are
	hit    map[string]int // how often the daemon died where
	trees  []*tree        // what must be there
	died   []death        // so far
}

type death struct {
	m     *harness.Mount
	where string
}

// newCampaign has a campaign of so many rounds, with its seed and a bucket.
func newCampaign(t *testing.T, flag string, rounds int) *campaign {
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	t.Logf("replay with %s %d -crash.seed %d", flag, rounds, start)
	dir := harness.Dir(t)
	points := crashPoints(t)
	return &campaign{t: t, s3: harness.Versity(t), dir: dir, cache: filepath.Join(dir, "cache"), random: rand.New(rand.NewPCG(start, 0)),
		points: points, all: len(points), hit: map[string]int{}}
}

func TestCrash(t *testing.T) {
	c := newCampaign(t, "-crash.rounds", *rounds)
	c.begin()
	for round := range *rounds {
		c.round(round)
	}
	c.end()
	c.report("kills", *rounds)
}

// report says where the daemons died.
func (c *campaign) report(what string, rounds int) {
	if rounds >= 10 && c.hit[atRandom] == rounds {
		c.t.Errorf("no named point was ever hit in %d rounds", rounds)
	}
	c.t.Logf("%d %s, %d of them at a random moment, the others at %d of %d named points: no violation", rounds, what, c.hit[atRandom],
		c.all-len(c.points), c.all)
	for _, point := range slices.Sorted(maps.Keys(c.hit)) {
		c.t.Logf("died %s: %d", point, c.hit[point])
	}
	c.t.Logf("never died at %s", strings.Join(c.points, " "))
}

// deathAt tells a daemon to die at whichever it reaches first of the points
// where none has died yet.
func (c *campaign) deathAt() []string {
	var at []string
	for _, p := range c.points {
		at = append(at, fmt.Sprintf("%s#%d", p, 1+c.random.IntN(6)))
	}
	return []string{"MOORFS_CRASH_AT=" + strings.Join(at, ",")}
}

// note counts where a daemon died.
func (c *campaign) note(m *harness.Mount) string {
	where := atRandom
	for line := range strings.Lines(m.Log()) {
		if point, ok := strings.CutPrefix(strings.TrimSpace(line), "died at "); ok {
			where = point
			c.points = slices.DeleteFunc(c.points, func(p string) bool { return p == point })
		}
	}
	c.hit[where]++
	c.died = append(c.died, death{m, where})
	return where
}

// mount mounts the bucket with the cache of the rounds before. dead says that
// the daemon, told by env to die at some point, has done so already.
func (c *campaign) mount(env ...string) (m *harness.Mount, dead bool) {
	c.t.Helper()
	m, err := harness.Try(c.t, harness.Spec{Source: "s3://" + c.s3.Bucket, Dir: filepath.Join(c.dir, "mnt"),
		Cache: c.cache, Build: harness.Crashpoints, Env: slices.Concat(c.s3.Env(), c.extra, env),
		Options: []string{"--endpoint-url", c.s3.Endpoint, "--part-size", "5MiB", "--write-back", "100ms", "--cache-size", "2GiB"}})
	if err != nil && len(env) > 0 && m.Killed() {
		return m, true
	}
	if err != nil {
		c.t.Fatalf("mounting: %v", err)
	}
	return m, false
}

// begin makes the writers' directories.
func (c *campaign) begin() {
	m, _ := c.mount()
	m.Do(c.t, "making the writers' directories", func() error {
		for i := range writers {
			if err := os.Mkdir(m.Path(dirName(i)), 0o755); err != nil {
				return err
			}
			c.trees = append(c.trees, newTree())
		}
		return nil
	})
	if err := m.Unmount(); err != nil {
		c.t.Fatal(err)
	}
}

// round lets the writers work, kills the daemon and compares.
func (c *campaign) round(round int) {
	logs := filepath.Join(c.dir, fmt.Sprintf("round-%d", round))
	if err := os.Mkdir(logs, 0o755); err != nil {
		c.t.Fatal(err)
	}
	m := c.liveAndDie(round, logs)
	where := c.note(m)
	pending := make([]*step, writers)
	for i, t := range c.trees {
		var err error
		if pending[i], err = t.replay(logName(logs, i)); err != nil {
			c.fail(round, where, m, err)
		}
	}
	if err := wholeInBucket(c.s3); err != nil {
		c.fail(round, where, m, err)
	}
	c.s3.Fair()
	again, _ := c.mount()
	c.s3.Slow(c.random.Uint64())
	if err := c.compare(again, pending); err != nil {
		c.fail(round, where, again, err)
	}
	if c.random.IntN(2) == 0 {
		if err := c.flushAndCompare(again); err != nil {
			c.fail(round, where, again, err)
		}
	}
	if err := again.Kill(); err != nil {
		c.t.Fatal(err)
	}
}

// fail ends the test with what is needed to find out why.
func (c *campaign) fail(round int, where string, m *harness.Mount, err error) {
	c.t.Helper()
	for _, a := range c.died {
		c.t.Logf("the log of the daemon that died %s:\n%s", a.where, a.m.Log())
	}
	_, status := m.Run(flushLimit, "status", m.Dir, "--json")
	c.t.Logf("what the daemon says: %s", status)
	objects, listErr := c.s3.Raw.List(context.Background(), "")
	c.t.Logf("what is in the bucket (%v):", listErr)
	for _, o := range objects {
		c.t.Logf("%9d %s %s", o.Size, o.ETag, o.Key)
	}
	c.t.Fatalf("round %d, died %s: %v\nthe daemon's log:\n%s", round, where, err, m.Log())
}

// liveAndDie mounts, and runs the writers until the daemon has died: in every
// second round by itself at a named point, unless that takes too long.
func (c *campaign) liveAndDie(round int, logs string) *harness.Mount {
	env, moment := []string(nil), time.Duration(c.random.Int64N(int64(longestRound)))
	if round%2 == 1 && len(c.points) > 0 {
		env, moment = c.deathAt(), longestRound
	}
	c.s3.Fair() // a mount may give up on a network that is bad enough
	m, dead := c.mount(env...)
	c.s3.Slow(c.random.Uint64())
	if dead {
		if err := m.Clear(); err != nil {
			c.t.Fatal(err)
		}
	} else {
		c.workAndDie(m, moment, logs)
	}
	return m
}

// workAndDie runs the writers until the daemon dies, after moment at the
// latest.
func (c *campaign) workAndDie(m *harness.Mount, moment time.Duration, logs string) {
	cmd := exec.Command(os.Args[0])
	var output bytes.Buffer
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", writerEnv, c.random.Uint64()), dirEnv+"="+m.Dir, logEnv+"="+logs)
	cmd.Stdout, cmd.Stderr = &output, &output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := harness.Spawn(cmd); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-m.Died():
	case <-time.After(moment):
	}
	if err := m.Die(); err != nil {
		c.t.Fatal(err)
	}
	if err := c.waitForWriters(m, cmd, stdin); err != nil {
		c.t.Fatalf("the writers: %v: %s\nthe daemon's log:\n%s", err, &output, m.Log())
	}
	if err := m.Clear(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *campaign) waitForWriters(m *harness.Mount, cmd *exec.Cmd, stdin io.Closer) error {
	err := m.Within(writerLimit, "the writers' end", cmd.Wait)
	if closeErr := stdin.Close(); closeErr != nil && !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// compare compares the mount with the models; what is found is the next
// round's model.
func (c *campaign) compare(m *harness.Mount, pending []*step) error {
	return m.Within(readLimit, "reading the tree", func() error {
		for i, t := range c.trees {
			found, err := readTree(m.Path(dirName(i)))
			if err != nil {
				return err
			}
			if err := t.check(found, pending[i]); err != nil {
				return fmt.Errorf("%s: %w", dirName(i), err)
			}
			c.trees[i] = found
		}
		return nil
	})
}

func (c *campaign) flushAndCompare(m *harness.Mount) error {
	c.s3.Fair()
	if status, out := m.Run(flushLimit, "flush", m.Dir); status != 0 {
		return fmt.Errorf("moorfs flush: status %d: %s", status, out)
	}
	return compareBucket(c.s3, c.trees)
}

// end mounts once more, compares, unmounts and compares the bucket.
func (c *campaign) end() {
	c.s3.Fair()
	m, _ := c.mount()
	if err := c.compare(m, make([]*step, writers)); err != nil {
		c.fail(*rounds, "not at all", m, err)
	}
	if err := m.Unmount(); err != nil {
		c.t.Fatal(err)
	}
	if err := compareBucket(c.s3, c.trees); err != nil {
		c.fail(*rounds, "not at all", m, err)
	}
}
