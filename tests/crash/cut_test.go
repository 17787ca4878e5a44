package crash

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
	"github.com/moorfs/moorfs/tests/powercut"
)

var cuts = flag.Int("crash.cuts", 10, "how often the power is cut")

// A powerCampaign is many power cuts of the disk that the cache lies on.
type powerCampaign struct {
	*campaign
	disk *powercut.Disk
	boot int // of the machine
	lost []string
}

func TestPowerCut(t *testing.T) {
	c := &powerCampaign{campaign: newCampaign(t, "-crash.cuts", *cuts)}
	c.disk = powercut.Start(t, filepath.Join(c.dir, "disk"))
	c.cache = filepath.Join(c.disk.Dir, "cache")
	c.begin()
	for i := range c.trees {
		c.trees[i].remember()
	}
	for round := range *cuts {
		c.round(round)
	}
	c.end()
	c.report("power cuts", *cuts)
}

// bootID has the daemons believe in a boot of their own.
func (c *powerCampaign) bootID() string { return fmt.Sprintf("MOORFS_BOOT_ID=boot-%d", c.boot) }

// round lets the writers work, kills the daemon, cuts the power and compares.
func (c *powerCampaign) round(round int) {
	logs := filepath.Join(c.dir, fmt.Sprintf("round-%d", round))
	if err := os.Mkdir(logs, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.extra = []string{c.bootID()}
	m := c.liveAndDie(round, logs)
	where := c.note(m)
	if c.random.IntN(4) == 0 { // a crash, and the power goes while it is dealt with
		c.s3.Fair() // a mount may give up on a network that is bad enough
		m, _ = c.mount()
		c.s3.Slow(c.random.Uint64())
		// The moment of the cut is what is random here: there is nothing to wait for.
		time.Sleep(time.Duration(c.random.Int64N(int64(longestRound))))
		if err := m.Kill(); err != nil {
			c.t.Fatal(err)
		}
		c.died = append(c.died, death{m, "after a mount, at random"})
	}
	fate := []powercut.Fate{powercut.Nothing, powercut.Some, powercut.Zeros}[round%3]
	lost, err := c.disk.Cut(fate, c.random.Uint64())
	if err != nil {
		c.t.Fatal(err)
	}
	where = fmt.Sprintf("%s, then the power was cut, %s was kept: %s", where, fate, lost)
	c.t.Logf("round %d: died %s", round, where)
	c.boot++
	c.extra = []string{c.bootID()}
	pending := make([]*step, writers)
	for i, t := range c.trees {
		if pending[i], err = t.replay(logName(logs, i)); err != nil {
			c.fail(round, where, m, err)
		}
	}
	c.s3.Fair()
	again, _ := c.mount()
	if err := c.compareCut(again, pending); err != nil {
		c.fail(round, where, again, err)
	}
	if err := again.Kill(); err != nil {
		c.t.Fatal(err)
	}
}

// compareCut compares the mount with what may be left, before and after all is
// in the bucket, and the bucket with the mount. What is found is the next
// round's model.
func (c *powerCampaign) compareCut(m *harness.Mount, pending []*step) error {
	var trees []*tree
	look := func() error {
		trees = nil
		for i, t := range c.trees {
			found, err := readTree(m.Path(dirName(i)))
			if err != nil {
				return err
			}
			if err := t.checkCut(found, pending[i]); err != nil {
				return fmt.Errorf("%s: %w", dirName(i), err)
			}
			pending[i] = nil
			trees = append(trees, found.remember())
		}
		return nil
	}
	if err := m.Within(readLimit, "reading the tree", look); err != nil {
		return err
	}
	if status, out := m.Run(flushLimit, "flush", m.Dir); status != 0 {
		return fmt.Errorf("moorfs flush: status %d: %s", status, out)
	}
	if err := m.Within(readLimit, "reading the tree again", look); err != nil {
		return fmt.Errorf("after a flush: %w", err)
	}
	c.trees = trees
	return compareBucket(c.s3, c.trees)
}
