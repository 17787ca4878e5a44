package posix

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// scriptLimit is when a case is taken to hang.
const scriptLimit = time.Minute

// A pair is a moorfs mount and the ext4 directory that it is compared with.
type pair struct {
	s3     *harness.S3
	spec   harness.Spec // of mount
	mount  *harness.Mount
	ours   *side
	theirs *side
	cases  int // that have run; names their directories
	calls  int // that were compared …
	failed int // … and ended with an errno

	// standing says that cases run on what is there, and leave it. Such
	// directories may show that their links are not counted.
	standing bool
	keeps    bool // cases without a difference leave their directories
	excused  bool // the case has had an excepted difference
}

// A discrepancy is where the two sides of a case part.
type discrepancy struct {
	step         int // index of the line after which they differ
	line         string
	ours, theirs string
	result       string   // of the call, if the trees differ after it
	log          []string // what happened before
}

func (d *discrepancy) String() string {
	return fmt.Sprintf("%s\nafter %q\n  moorfs: %s\n  ext4:   %s", strings.Join(d.log, "\n"), d.line, d.ours, d.theirs)
}

var errnoLike = regexp.MustCompile(`^E[A-Z0-9]+$`)

var dirLinks = regexp.MustCompile(`( 004\d{4} \d+:\d+) links \d+`)

var numbers = regexp.MustCompile(`[0-9]+`)

// kind is what makes two differences the same: the call and both answers, but
// for their numbers.
func (d *discrepancy) kind() string {
	return numbers.ReplaceAllString(callName(d.line)+": "+d.ours+" for "+d.theirs, "0")
}

func callName(line string) string {
	words := strings.Fields(line)
	if len(words) < 2 {
		return line
	}
	name := words[1]
	if _, after, ok := strings.Cut(name, "="); ok {
		name = after
	}
	return name
}

// compare runs a case on both sides, in a fresh directory, and returns the
// first difference that no entry of exceptions gives a reason for; an excepted
// one ends the case.
func (p *pair) compare(t *testing.T, script []string) *discrepancy {
	t.Helper()
	var d *discrepancy
	p.mount.Do(t, strings.Join(script, "\n"), func() (err error) {
		p.cases++
		p.excused = false
		dir := "."
		if !p.standing {
			dir = fmt.Sprintf("case%d", p.cases)
		}
		if err := p.begin(dir); err != nil {
			return err
		}
		d, err = p.run(script)
		return errors.Join(err, p.end(dir))
	})
	return d
}

func (p *pair) begin(dir string) error {
	for _, s := range []*side{p.ours, p.theirs} {
		if !p.standing {
			if err := s.make([]string{"root mk dir " + dir + " 0777 root root"}); err != nil {
				return err
			}
		}
		if err := s.all("begin " + dir); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) end(dir string) error {
	for _, s := range []*side{p.ours, p.theirs} {
		if err := s.all("end"); err != nil {
			return err
		}
		if !p.standing && (!p.keeps || p.excused) {
			if err := s.make([]string{"root wipe " + dir}); err != nil {
				return err
			}
		}
	}
	return nil
}

// run makes the calls, and after each looks at the whole tree.
func (p *pair) run(script []string) (*discrepancy, error) {
	var log []string
	for i, line := range script {
		user, call, _ := strings.Cut(line, " ")
		ours, theirs, err := p.both(user, call)
		if err != nil {
			return nil, err
		}
		p.calls++
		if errnoLike.MatchString(theirs) {
			p.failed++
		}
		d := &discrepancy{step: i, line: line, ours: ours, theirs: theirs, log: append(log, line+"  → "+theirs)}
		if ours == theirs {
			d.result = ours
			d.ours, d.theirs, err = p.look("look")
		}
		if err == nil && d.ours == d.theirs && i == len(script)-1 {
			d.ours, d.theirs, err = p.look("inspect")
		}
		if err != nil {
			return nil, err
		}
		if d.ours != d.theirs {
			if excepted(d) {
				p.excused, d = true, nil
			}
			return d, nil
		}
		log = d.log
	}
	return nil, nil
}

// look returns where the trees differ, as one of treeCalls shows them.
func (p *pair) look(how string) (ours, theirs string, err error) {
	if ours, theirs, err = p.both("root", how); err != nil {
		return "", "", err
	}
	if p.standing {
		ours, theirs = dirLinks.ReplaceAllString(ours, "$1"), dirLinks.ReplaceAllString(theirs, "$1")
	}
	ours, theirs = parting(ours, theirs)
	return ours, theirs, nil
}

// both makes a call on both sides, one after the other.
func (p *pair) both(user, call string) (ours, theirs string, err error) {
	if theirs, err = p.theirs.do(user, call); err == nil {
		ours, err = p.ours.do(user, call)
	}
	return ours, theirs, err
}

// parting returns the lines of two trees that differ.
func parting(ours, theirs string) (string, string) {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return strings.Join(a, "\n    "), strings.Join(b, "\n    ")
}
