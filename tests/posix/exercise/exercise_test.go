package exercise

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var (
	exerciseSeed     = flag.Uint64("exercise.seed", 0, "of the first program of the exerciser; 0: another each time")
	exerciseSteps    = flag.Int("exercise.steps", 600, "steps of the exerciser, for each setting")
	exerciseProgram  = flag.String("exercise.program", "", "file with a program for the exerciser, in place of random ones")
	exerciseMinimise = flag.Duration("exercise.minimise", time.Minute, "how long to look for a smaller program that fails")
)

// longestProgram bounds a random program: a short one is sooner made shorter.
const longestProgram = 4000

func TestExercise(t *testing.T) {
	seed := *exerciseSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	for _, set := range settings {
		t.Run(set.name, func(t *testing.T) {
			if *exerciseProgram != "" {
				exerciseFile(t, set, *exerciseProgram)
				return
			}
			for left, seed := *exerciseSteps, seed; left > 0; left, seed = left-longestProgram, seed+1 {
				steps := min(left, longestProgram)
				exercise(t, set, newProgram(seed, steps), programName(seed, steps))
			}
		})
	}
}

// Programs that failed once.
func TestOldFailures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no programs", err)
	}
	for _, set := range settings {
		for _, file := range files {
			t.Run(set.name+"/"+filepath.Base(file), func(t *testing.T) { exerciseFile(t, set, file) })
		}
	}
}

func exerciseFile(t *testing.T, set setting, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	program, err := parseProgram(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if failed, err := attemptProgram(t, set, program); err != nil {
		t.Fatalf("step %d: %v", failed+1, err)
	}
}

// exercise runs a program; if that fails, it looks for a smaller one.
func exercise(t *testing.T, set setting, program []step, name string) {
	t.Helper()
	t.Logf("%s: replay with -run 'TestExercise/%s' %s", set.name, set.name, name)
	began := time.Now()
	failed, err := attemptProgram(t, set, program)
	t.Logf("%d steps in %v", len(program), time.Since(began).Round(time.Millisecond))
	if err == nil {
		return
	}
	t.Errorf("%v", err)
	small, smallErr := minimise(t, set, program[:failed+1], err)
	t.Fatalf("the smallest program found that fails, for a file and -exercise.program:\n%s# %v", printProgram(small), smallErr)
}

// minimise drops pieces of a program, smaller and smaller ones, as long as it
// still fails and there is time.
func minimise(t *testing.T, set setting, program []step, err error) ([]step, error) {
	t.Helper()
	until := time.Now().Add(*exerciseMinimise)
	for size := (len(program) + 1) / 2; size > 0; {
		shrunk := false
		for from := 0; from < len(program)-1; {
			if time.Now().After(until) {
				return program, err
			}
			to := min(from+size, len(program)-1) // the last step is the one that fails
			candidate := slices.Concat(program[:from], program[to:])
			if failed, candidateErr := attemptProgram(t, set, candidate); candidateErr != nil {
				program, err, shrunk = candidate[:failed+1], candidateErr, true
			} else {
				from = to
			}
		}
		if !shrunk || size > 1 {
			if size == 1 {
				break
			}
			size = max(1, size/2)
		}
	}
	return program, err
}

// The text of a program is the program.
func TestProgramText(t *testing.T) {
	program := newProgram(1, 2000)
	again, err := parseProgram(printProgram(program))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(program, again) {
		t.Error("a program that was printed and read is another")
	}
	if !slices.Equal(program, newProgram(1, 2000)) {
		t.Error("one seed makes two programs")
	}
	for _, bad := range []string{"read h=x", "read of=3"} {
		if _, err := parseProgram(bad); err == nil {
			t.Errorf("%q is a program", bad)
		}
	}
}
