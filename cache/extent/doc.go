// Package extent keeps sets of bytes of a file as sorted ranges.
//
// A Set says which bytes of a data file are content, which of them are newer
// than the bucket, and the like. Ranges in it are sorted, disjoint and never
// touch: what is added next to a range is merged with it, so that two sets of
// the same bytes are always stored, printed and encoded alike.
//
// The package does no input or output and has no locks: whoever shares a Set
// guards it, or hands out a Clone.
package extent
