package programs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

const (
	programLimit = 5 * time.Minute // of one script, times the scale
	flushLimit   = 2 * time.Minute
)

// prologue comes before each script: it says which command failed.
const prologue = `trap 'echo "failed: $BASH_COMMAND" >&2' ERR
`

var (
	// scale multiplies the sizes of trees and files.
	scale = flag.Int("programs.scale", 1, "how many times as large trees and files are")
	// settings are for mounts that have to give the same results.
	settings = flag.String("programs.mount", "", "more options of moorfs mount, separated by spaces")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m.Run))
}

// A site is where a test's programs run.
type site struct {
	t     *testing.T
	s3    *harness.S3
	mount *harness.Mount
	local string // a directory on a local disk
}

// prompt are the options of a mount that uploads while the programs go on.
func prompt() []string { return []string{"--write-back", "100ms"} }

// patient are the options of a mount that uploads when it is told to.
func patient() []string { return []string{"--write-back", "10m"} }

// newSite mounts a new bucket for a test, which runs beside others. It is on MinIO: versitygw keeps
// directories whose last objects are deleted at the same time, and lists them.
func newSite(t *testing.T, options []string) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, s3: harness.MinIO(t), local: filepath.Join(harness.Dir(t), "local")}
	if err := os.Mkdir(s.local, 0o755); err != nil {
		t.Fatal(err)
	}
	s.mount = s.start(options)
	return s
}

// start mounts the site's bucket with a cache of its own.
func (s *site) start(options []string) *harness.Mount {
	s.t.Helper()
	return harness.Start(s.t, harness.Spec{
		Source:  "s3://" + s.s3.Bucket,
		Options: slices.Concat([]string{"--endpoint-url", s.s3.Endpoint}, options, strings.Fields(*settings)),
		Env:     s.s3.Env(),
	})
}

// run runs a script in dir and returns what it prints; $M is the mount, $L the
// local directory, $SCALE the scale and $DATA the package's testdata. A script
// that fails, or hangs, fails the test.
func (s *site) run(dir, script string) string {
	s.t.Helper()
	out, err := s.try(s.mount, dir, script)
	if err != nil {
		s.t.Fatalf("in %s:\n%s\n%v\n%s", dir, strings.TrimSpace(script), err, out)
	}
	return out
}

// try is run on some mount of the site, for scripts that may fail.
func (s *site) try(m *harness.Mount, dir, script string) (string, error) {
	data, err := filepath.Abs("testdata")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := exec.Command("bash", "-Eeu", "-o", "pipefail", "-c", prologue+script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	// The system's own programs come first: what a version manager puts before
	// them starts slowly.
	cmd.Env = append(harness.Environ(), "PATH=/usr/bin:/bin:"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC",
		"M="+m.Dir, "L="+s.local, "DATA="+data, fmt.Sprintf("SCALE=%d", *scale))
	err = m.Within(programLimit*time.Duration(*scale), "a script", func() error {
		if err := harness.Spawn(cmd); err != nil {
			return err
		}
		return cmd.Wait()
	})
	return out.String(), err
}

// both runs a script in a new directory on the mount and in one of the same
// name on the local disk, and compares what it prints and what it leaves there,
// but for times.
func (s *site) both(name, script string) {
	s.t.Helper()
	here, there := filepath.Join(s.local, name), s.mount.Path(name)
	for _, dir := range []string{here, there} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	want, got := s.run(here, script), s.run(there, script)
	want, got = strings.ReplaceAll(want, here, "DIR"), strings.ReplaceAll(got, there, "DIR")
	var wrong []string
	for _, line := range without(got, want) {
		wrong = append(wrong, "on the mount: "+line)
	}
	for _, line := range without(want, got) {
		wrong = append(wrong, "on a local disk: "+line)
	}
	if len(wrong) == 0 && got != want {
		wrong = append(wrong, "the same lines in another order")
	}
	s.complain(name+" prints", wrong)
	s.same(s.manifest(there), s.manifest(here), untimed)
}

// without returns the lines of a that b lacks.
func without(a, b string) []string {
	have := map[string]bool{}
	for line := range strings.Lines(b) {
		have[line] = true
	}
	var lines []string
	for line := range strings.Lines(a) {
		if !have[line] {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// flush brings everything to the bucket.
func (s *site) flush() {
	s.t.Helper()
	if status, out := s.mount.Run(flushLimit, "flush", s.mount.Dir); status != 0 {
		s.t.Fatalf("moorfs flush: status %d: %s\ndaemon: %s", status, out, s.mount.Log())
	}
}
