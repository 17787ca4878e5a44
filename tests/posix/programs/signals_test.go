package programs

import (
	"strings"
	"testing"
	"time"
)

// TestSignals interrupts a program all the time while it waits for a slow
// bucket: as on a local disk, no call fails because a signal was handled.
func TestSignals(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, `mkdir -p a/b; for i in $(seq 6); do echo "$i" >a/f$i; echo "$i" >a/b/g$i; done`)
	s.settle()
	s.s3.Proxy.Slow(10*time.Millisecond, 0)
	m := s.start(append(patient(), "--attrs", "exact"))
	out, err := s.try(m, m.Dir, `python3 -B "$DATA/interrupted.py" a`)
	s.s3.Fair()
	if err != nil || !strings.HasSuffix(out, "interrupted\n") {
		t.Errorf("a program that handles signals: %v\n%s", err, out)
	}
	out, err = s.try(m, m.Dir, `test "$(ls a a/b | grep -c moved)" = 12`)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
