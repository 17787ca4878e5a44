// Package crash kills a daemon at the worst moments and looks for what is
// missing.
//
// A writer process uses a real mount through several goroutines, each alone in
// a directory. Around every system call it logs to a file outside the mount
// what it is about to do and that it was answered. The daemon, meanwhile
// uploading through a slow and faulty network, is killed at a random moment or
// at a named point of a transaction. The test replays the logs into a model,
// mounts again and compares:
//
//   - what was acknowledged is there: names, closed contents, synced bytes,
//     modes, link targets;
//   - the one call that was under way has either happened or not;
//   - a file that was open holds, byte by byte, what it held when it was last
//     closed or synced, or what was written since;
//   - in the bucket, at each key that is only ever replaced by rename, lies one
//     whole version.
//
// Then it flushes, now and then, and compares the bucket with the tree through
// a client that shares nothing with moorfs: the same keys, the same bytes, no
// multipart upload left over.
//
// # Power cuts
//
// TestPowerCut does the same with the cache on a disk that forgets (package
// powercut): after the daemon's death everything goes that was not synced, or
// a part of it by chance, and the next daemon runs on another boot. Then
//
//   - what was synced is there: the contents that fsync was answered for, and
//     all names and modes as of the last fsync that was answered, of a file or
//     of a directory;
//   - any other name is what it was at some moment since, and a file whose
//     name was durable and that nobody removed has one of its names;
//   - each byte of a file is one that it had at some moment since it was last
//     synced, or a zero where it ended then;
//   - before and after all is in the bucket; there lies what the mount shows,
//     and no multipart upload is left.
//
// Every second daemon dies at whichever it reaches first of the named points
// where none has died yet; the test prints how many there were and which never
// came up.
//
// go test -crash.rounds N -crash.cuts M -crash.seed S replays; the seed decides what the
// writers do and when the daemon is killed.
package crash
