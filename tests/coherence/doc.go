// Package coherence lets two mounts and a client of the bucket write, read and
// rename the same files, and checks every read against the set of versions that
// ever existed.
//
// # Contents
//
// Every content is a Version with a number of its own. Each block of it says
// which version it is of, at which place, who wrote it and for which key, and
// carries a checksum (content.go). A version that a mount made by changing part
// of another has blocks of both, as the registry knows. So a read of any blocks
// tells which versions it can have come from; none is a violation, zeros and
// mixtures among them.
//
// # What must be
//
// What is known of the bucket's order comes from the client of the bucket, one
// request a key at a time: version v was there, and then w (type history). From
// that follows, with AttrTTL as promised:
//
//   - An open that begins AttrTTL after v was known to be replaced does not
//     show v; nor does one on a mount that has itself written since, at once.
//   - A mount that has shown w does not go back to v, and the bucket does not.
//   - A name that is known to be there, and that nobody may have taken away
//     within NegativeTTL, is found; within ListTTL it is listed, once.
//   - An open file shows one version, by read(2), pread(2) in any order and
//     mmap, however often its pages are dropped and its name overwritten. ESTALE
//     is an answer only in a bucket without versions, and only after somebody
//     else changed the name.
//   - When all is sent, bucket and mounts are equal; each closed content is in
//     the bucket, as a version or as a conflict copy; nothing else is.
//
// A local change of part of a file, or in place, excludes readers on its own
// mount, which see it being made, as POSIX says, and nobody else: the other
// parties see whole contents only.
//
// # Use
//
// World has all parties; package tests/soak uses it with faults besides. The
// seed decides what each worker does, not how they interleave.
package coherence
