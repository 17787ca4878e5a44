package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/moorfs/moorfs/tests/bench/loopback"
)

// childEnv names what this program is, if it is a child of itself.
const childEnv = "MOORFS_BENCH_CHILD"

// asChild does what the environment says this program is for, if it says so,
// and returns its exit status.
func asChild() (code int, isChild bool) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		return 0, false
	case "loopback":
		err = serveLoopback(os.Args[1:])
	case "exercise":
		err = doExercise(os.Args[1:])
	default:
		err = fmt.Errorf("%s: unknown", childEnv)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// serveLoopback takes a directory, a mountpoint, and who reads and writes.
func serveLoopback(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("loopback: three arguments, not %q", args)
	}
	return loopback.Serve(args[0], args[1], loopback.Passthrough(args[2] == "kernel"))
}

// doExercise prints the answer of the exercise that args name.
func doExercise(args []string) error {
	for _, e := range exercises {
		if len(args) == len(e.arguments)+1 && args[0] == e.name {
			a, err := e.do(args[1:])
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(a)
		}
	}
	return fmt.Errorf("no exercise takes %q", args)
}
