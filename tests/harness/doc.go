// Package harness runs moorfs as users run it, a process beside the test, and
// clears away what that leaves, even when the test dies.
//
// # The machine
//
// Main re-executes the test binary in a mount namespace of its own (as root):
// what tests mount is seen by nobody else and is gone with the last process.
// Inside, /dev/fuse is open to ordinary users, /run/mount, /run/moorfs and
// /etc/fstab are private, fusectl is mounted, and Install puts the helpers of
// mount(8) under /sbin without touching the real one. Everything that a test
// makes lies below one directory, Root.
//
// # Mounts
//
// Start runs `moorfs mount -f` as a child in a session of its own that dies
// with the test process (Pdeathsig, set from a thread that never ends) and
// waits until the kernel shows the mount and the daemon answers on its control
// socket. The process that serves a mount never uses it. Whatever touches a
// mount may hang for ever if the daemon is wrong: Within runs it under a
// watchdog that prints the daemon's stacks, aborts the FUSE connection, which
// fails every request on it, and fails the test.
//
// # Clearing
//
// Each test's mounts end with the test: a mount that is left is an error. A
// second process, the reaper, holds the other end of a pipe to the test
// process; when that closes, for whatever reason, it aborts the connections of
// mounts below Root, unmounts them, kills the processes whose executable lies
// below Root, and removes Root (MOORFS_TEST_KEEP=1 in the environment keeps
// it, to look at after a failure).
package harness
