// Command bench measures moorfs beside what it is held against, in one run on
// one machine, and says which targets are met.
//
//	go run ./bench [-only name,name] [-quick] [-size 1GiB] [-files 5000] [-runs 3] [-out bench/RESULTS.md]
//
// # Works
//
// A work is one thing that people do: a name, the networks on which it is
// measured, what is in the bucket before (a fixture, put there around the
// proxy), what is done first without being measured, what is measured, and the
// targets. Works do not build on each other: each run has a mount, a cache, and
// if it changes anything a bucket of its own, so that `-only untar` measures
// the same as the whole. `lan` is the server on loopback; `wan` has a delay
// for each request and a limit for each connection.
//
// # Subjects
//
// A kind of subject is what a work is done on:
//
//   - moorfs, with `--write-back 0`; works that write are done once more with
//     the default delay, where nothing but time brings files to the bucket;
//   - ext4: the disk on which the cache is, whatever its filesystem;
//   - fuse: go-fuse's own loopback on that disk with passthrough, the ceiling
//     of any filesystem that is built on go-fuse, and loopback: the same
//     without passthrough, the ceiling of one that sees every read and write;
//   - limit: the same objects and bytes by a bare program on the AWS SDK, as
//     parallel as is best, through the same proxy;
//   - peers: other programs that mount buckets, those that PATH has.
//
// The programs that use a mount (tar, dd's like in exercise.go) are children of
// this process, daemons too; the proxy and the limit are in it.
//
// # Figures
//
// A figure is the time until the programs have returned and until all is in
// the bucket, requests by kind, bytes both ways, the daemon's processor time
// and peak memory, and dollars at list prices. Of moorfs and of references
// there is the median of several runs, of peers one run. The whole keeps to a
// budget of time: when that is short, there are fewer runs. A ratio is time by time: `at least 0.9 times as fast` is a ratio of at
// most 1.11.
//
// # Rightness
//
// Each run's result is compared: what the mount shows, and for works that
// write what the bucket has, by size and CRC of every file with what the same
// work leaves on the local disk. A run whose result is wrong has no figure.
//
// # Memory
//
// On a virtual machine a page of memory that was never used costs many times
// one that was, and whoever is measured first would pay for all. Works that
// move many bytes therefore begin with as much used memory free as they need
// (settleMemory).
package main
