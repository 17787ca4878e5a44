package semantics

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// limit is when the mounts of a test are aborted.
const limit = 10 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil { // most checks wait most of the time
		panic(err)
	}
	os.Exit(harness.Main(m.Run))
}

// A check tries what one statement says.
type check func(t *testing.T, s *stage)

// checks are all there are, by section and name.
var checks = map[string]map[string]check{
	"Names":              nameChecks,
	"Attributes":         attributeChecks,
	"Operations":         operationChecks,
	"Where ext4 differs": differenceChecks,
	"Bucket and mount":   bucketChecks,
	"When things fail":   failureChecks,
}

func TestStatements(t *testing.T) {
	t.Parallel()
	statements, err := readStatements()
	if err != nil {
		t.Fatal(err)
	}
	for section, named := range checks {
		for name := range named {
			if !slices.Contains(statements, statement{section, name}) {
				t.Errorf("the check %q is of no statement of fs/SEMANTICS.md", section+"/"+name)
			}
		}
	}
	s := newStage(t)
	for _, st := range statements {
		t.Run(st.String(), func(t *testing.T) {
			try := checks[st.section][st.name]
			if try == nil {
				t.Fatalf("%q of fs/SEMANTICS.md has no check", st)
			}
			t.Parallel()
			try(t, s)
		})
	}
}

func TestParse(t *testing.T) {
	got, err := parse("# T\n\ntext\n\n## A b\n\n- **One two.** says\n- **Three.** says\n\n## B\n\n| x | y |\n|---|---|\n| `a`, `b` | z |\n| c | |\n")
	want := []statement{{"A b", "One two"}, {"A b", "Three"}, {"B", "a, b"}, {"B", "c"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("parsed %q, %v", got, err)
	}
	for _, bad := range []string{"## A\n- says\n", "## A\n- **X.** a\n- **X.** b\n", "## A\n|x|\n|--|\n| |\n", "- **X.** a\n"} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%q is parsed as %q", bad, got)
		}
	}
}
