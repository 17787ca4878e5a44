// Package exercise runs random programs on files of a mount, and has several
// processes use one file.
//
// TestExercise runs programs of steps (step_test.go has them all): reads,
// writes, truncations, holes, maps, copies, through several handles at once,
// and between them what happens to a mount: flush, eviction, unmount, kill -9,
// an empty cache, other clients of the bucket. A shadow in memory says what
// each step must show, and what a crash may leave (shadow_test.go). The calls
// are made by a process of their own (the hands), so that neither a fault in a
// map nor a hang stops the test. At the end, and after each flush, the bucket is
// compared through a client that shares nothing with moorfs. Every program must
// show the same under every setting (run_test.go).
//
//	go test ./posix/exercise -exercise.steps 100000
//	go test ./posix/exercise -run TestExercise/tiny -exercise.seed 7
//	go test ./posix/exercise -exercise.program failing.txt
//
// A program that fails is made smaller while it still fails, and printed.
// testdata has programs that once failed.
//
// What the kernel does not tell the daemon is not asked for: SEEK_DATA and
// SEEK_HOLE know of a store through a map after msync, and one write(2) that
// begins inside a page may reach the bucket as two.
//
// The tests in procs_test.go run on a mount and on a local disk alike.
package exercise
