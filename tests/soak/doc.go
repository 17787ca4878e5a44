// Package soak has two mounts of a bucket and a client beside them work as in
// package coherence, for as long as one likes, while everything goes wrong at
// once: requests that are refused, throttled or done without an answer, bodies
// that break off, outages, daemons that are killed and mounted again with their
// caches, and caches that are smaller than what is in use.
//
// Every read is checked as there, but that what is shown may be old while the
// bucket cannot be reached. After each round the network is good again,
// everything is sent, and bucket and mounts are compared whole. One of the two
// daemons lives through all of it: its memory, descriptors and goroutines are
// sampled after each round, printed, and must not grow.
package soak
