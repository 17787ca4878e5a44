package posix

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/moorfs/moorfs/tests/harness"
)

// kept is how many random scripts a remount brings back, those with an
// excepted difference apart.
const kept = 20

// local matches what stays in the cache: access and change times, links of
// directories that nobody has listed, and when the names in a directory
// changed.
var local = regexp.MustCompile(`( 004\d{4} \d+:\d+) links \d+ a=\S+ m=\S+ c=\S+| [ac]=\S+`)

// TestRemount compares what random scripts have left with what a mount with an
// empty cache then shows: all of it comes from the bucket.
func TestRemount(t *testing.T) {
	t.Logf("-posix.seed %d", *seed)
	p := newPair(t, mountOptions["busy"])
	p.keeps = true
	s := source{rand.New(rand.NewPCG(*seed, 2))}
	for p.cases < kept {
		if d := p.compare(t, s.script(*length)); d != nil {
			t.Fatalf("%v", d)
		}
	}
	p.ours.close(t)
	if err := p.mount.Unmount(); err != nil {
		t.Fatal(err)
	}
	p.mount = harness.Start(t, p.spec)
	p.ours = newSide(t, "moorfs, mounted again", p.mount.Dir)
	p.mount.Do(t, "looking at all that is there", func() error {
		ours, theirs, err := p.both("root", "inspect")
		ours, theirs = parting(local.ReplaceAllString(ours, "$1"), local.ReplaceAllString(theirs, "$1"))
		if ours != theirs {
			keys, err := p.s3.Raw.Keys(t.Context(), "")
			t.Errorf("after a remount\n  moorfs: %s\n  ext4:   %s\nthe bucket has %q (%v)", ours, theirs, keys, err)
		}
		return err
	})
}
