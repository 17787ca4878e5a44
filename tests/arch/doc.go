// Package arch holds tests of the source itself: which package may import
// which, how long files and functions may be, what may stand in them. The
// tables in these tests are the architecture; a change of it is a change of a
// table, with its reason.
package arch
