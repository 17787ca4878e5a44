// Package model runs random programs of file operations and holds what they
// show against a model made from first principles.
//
// # Programs
//
// A program is a list of operations by four parties: two machines that each
// have a cache of the same bucket, a client that uses the bucket directly, and
// nobody in particular. Besides system calls there are operations on a machine
// as a whole: flush, remount, evict, crash (the process dies and another goes
// on with its disk), offline, and faults: the next request of a kind fails, has
// its reply lost, stalls, or takes effect when its sender is dead. settle
// brings everything to the bucket and compares everybody's view. Every byte
// string decodes to a program, so random ones, shortened ones and those of go
// test -fuzz are of one kind. A program prints as text and is read back from
// it; testdata holds those that found something.
//
// # What must be
//
// Each machine has a tree as POSIX has it (type tree). What an operation
// answers and does is worked out on the tree before it is carried out (type
// planner), and must come out so, exactly. Between machines less is promised:
// what one did the others see when all has settled and they look anew. So each
// party's tree is its own until then, and the paths it changed are noted (type
// touch). An operation whose outcome would hang on what others did meanwhile
// is left out, but for one case: two parties give one file a content. Then,
// when all is settled, each of these contents must be found once, under the
// name or as a conflict copy beside it, unless the direct client overwrote it
// later, which nothing can prevent. Everything else must be, on each machine
// and in the bucket, what its one author made it, to the byte, attributes and
// metadata included; nothing else may be there, no unfinished upload either.
//
// After a crash what was acknowledged must be there; a file that was being
// written holds, byte by byte, what it held at some time since it was last
// closed or synced.
//
// # Where
//
// TestCaches runs programs on package cache in this process, with a bucket in
// memory, in a bubble of testing/synctest: waiting costs nothing. TestMounts
// runs them on mounts, with a real server. TestSettings runs one program under
// different settings, which must not show.
package model
