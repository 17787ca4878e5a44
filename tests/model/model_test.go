package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

var (
	duration = flag.Duration("model.time", 15*time.Second, "how long random programs are run on caches")
	seed     = flag.Uint64("model.seed", 0, "the first random program; 0: another each time")
	runs     = flag.Int("model.runs", 0, "how many random programs are run; 0: as many as -model.time allows")
	length   = flag.Int("model.ops", 60, "operations of a random program")
	replay   = flag.String("model.replay", "", "a program to run, as text, instead of random ones")
)

// dirEnv tells fuzz workers the directory for caches.
const dirEnv = "MOORFS_MODEL_DIR"

func TestMain(m *testing.M) {
	if os.Getenv(dirEnv) != "" { // a fuzz worker: its parent has made all
		os.Exit(m.Run())
	}
	os.Exit(harness.Main(func() int {
		free, err := makeWorkDir()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := free(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}))
}

// memoryDisk is the size of the disk for caches: less than a journal wants in
// order to set a reserve aside, more than it needs to work.
const memoryDisk = "size=280m"

// makeWorkDir makes a directory for caches, in memory where that is allowed:
// a cache syncs much. free lets go of the memory.
func makeWorkDir() (free func() error, err error) {
	dir := filepath.Join(harness.Root(), "work", "caches")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	free = func() error { return nil }
	if os.Geteuid() == 0 {
		if err := syscall.Mount("none", dir, "tmpfs", 0, memoryDisk); err != nil {
			return nil, fmt.Errorf("tmpfs for caches: %w", err)
		}
		free = func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
	}
	return free, os.Setenv(dirEnv, dir)
}

func workDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Fatal("TestMain has not run")
	}
	return dir
}

// TestCaches runs random programs on caches in this process.
func TestCaches(t *testing.T) {
	if *replay != "" {
		text, err := os.ReadFile(*replay)
		if err != nil {
			t.Fatal(err)
		}
		runText(t, string(text))
		return
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("replay with -model.seed %d -model.ops %d", first, *length)
	end := time.Now().Add(*duration)
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				n := next.Add(1) - 1
				if *runs > 0 && n >= uint64(*runs) || *runs == 0 && time.Now().After(end) {
					return
				}
				p := randomProgram(first+n, *length)
				if v := runOnCaches(t, p); v.err != nil {
					report(t, p, fmt.Errorf("-model.seed %d: %w", first+n, v.err))
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d programs", next.Load())
}

func randomProgram(seed uint64, ops int) program {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 2+opBytes*(1+r.IntN(ops)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return decode(b)
}

// minimiseLimit bounds the search for a shorter program that fails too.
const minimiseLimit = 60 * time.Second

// report fails the test with a program that failed, made as short as possible
// and saved.
func report(t *testing.T, p program, cause error) {
	t.Helper()
	t.Logf("%v\nmaking the program short", cause)
	again := func(q program) bool { return runOnCaches(t, q).err != nil }
	small := simplify(minimise(p, minimiseLimit, again), again)
	err := runOnCaches(t, small).err
	text := fmt.Sprintf("# %q\n%s", fmt.Sprint(err), small)
	file := filepath.Join(os.TempDir(), fmt.Sprintf("model-%d.txt", time.Now().UnixNano()))
	if saveErr := os.WriteFile(file, []byte(text), 0o644); saveErr != nil {
		t.Error(saveErr)
	}
	t.Errorf("%v\nminimised: %v\n%s\nreplay with -run TestCaches -model.replay %s", cause, err, small, file)
}

func runText(t *testing.T, text string) {
	t.Helper()
	p, err := parseProgram(text)
	if err != nil {
		t.Fatal(err)
	}
	if v := runOnCaches(t, p); v.err != nil {
		t.Errorf("%v\n%s", v.err, p)
	}
}

// TestCorpus runs the programs that failed once.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no programs in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runText(t, string(text))
		})
	}
}

// TestText prints random programs and reads them again.
func TestText(t *testing.T) {
	for i := range 200 {
		p := randomProgram(uint64(i), 40)
		q, err := parseProgram(p.String())
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != q.String() || !slices.Equal(shown(p), shown(q)) {
			t.Fatalf("%s\nreads as\n%s", p, q)
		}
	}
}

func shown(p program) []string {
	var lines []string
	for _, o := range p.ops {
		lines = append(lines, o.String())
	}
	return lines
}

// FuzzCaches runs any bytes as a program.
func FuzzCaches(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2+opBytes*200 {
			return
		}
		p := decode(b)
		if v := runOnCaches(t, p); v.err != nil {
			t.Errorf("%v\n%s", v.err, p)
		}
	})
}
