// Package faults breaks the way to the bucket in every way that is known to
// happen, one fault after the other, while files of a real mount are read,
// written, listed, renamed and deleted.
//
// A fault is a row of the table in table_test.go: which requests it hits, what
// happens to them, and what programs may see then. Of each operation is asked:
// the right bytes, or an error that the row allows, soon; never a mixture and
// never other bytes. When the fault has ended everything that was acknowledged
// must be in the bucket, under its name and no other, once; no upload may be
// left half done; and at the end the daemon must have no more descriptors and
// goroutines than before. TestFaults prints how many faults were injected.
//
// Several mounts, each of a bucket of its own behind a proxy of its own, go
// through the table side by side (type lane). By default it is gone through
// once, without the rows that have to wait for a time-out of minutes:
//
//	go test ./faults -v
//	go test ./faults -v -timeout 0 -faults.rounds 20 -faults.slow
package faults
