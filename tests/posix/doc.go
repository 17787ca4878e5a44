// Package posix holds a mount to what local filesystems do.
//
// # Comparison with ext4
//
// The same system calls are made on a mount and in a local ext4 directory:
// results, errnos and the trees that come of them must be the same.
//
// A case is a script, a call on each line, made by a user:
//
//	root mk dir d 01777 root root
//	alice x=open d/f O_CREAT|O_RDWR 0644
//	alice write x "some bytes"
//	bob rename d/f d/g
//
// worker_*_test.go has the calls, in the order of arguments of the system
// calls that they are named after; "x=" keeps an open file as x, "x:name" is a
// path below the directory open as x, <ab*3> is ababab. The cases are
// organised by system call, in files of that name, as templates: see suite.
// What a call shall give stands nowhere: ext4 says it.
//
// After each call root looks at every name of both trees: mode, owner, links,
// size, device, times that a script has set, and which other times have
// changed since the last look. At the end of a case contents, link targets and
// extended attributes are compared as well.
//
// # Workers
//
// For each side and each user (root, and two ordinary ones with several
// groups) a child process of this test, with that user's credentials, makes
// the calls it is told through a pipe.
//
// # Differences
//
// A difference is either in exceptions, with the reason that fs/SEMANTICS.md
// tells users, or a failure.
//
// # Random scripts
//
// TestRandom makes scripts of random calls, users and arguments. A failing one
// is cut down to the lines that matter. To see it again, or to go on longer:
//
//	go test ./posix -run Random -posix.seed 42 -posix.steps 100000
//
// The seed also says which cases of each template run (-posix.cases: how many).
//
// TestRemount unmounts after such scripts, mounts with an empty cache, and
// compares again what can only have come from the bucket. TestReadOnly compares
// a read-only mount with a read-only ext4.
//
// # go-fuse's posixtest
//
// TestGoFuse runs the cases that go-fuse has for all filesystems.
package posix
