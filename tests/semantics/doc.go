// Package semantics holds the project to fs/SEMANTICS.md.
//
// A statement of the document is a row of one of its tables, named by its
// first cell, or a point of one of its lists, named by the bold words that it
// begins with. Each has a check of the same name in one of the tables of
// checks; a statement without a check fails the suite, and so does a check
// without a statement. TestStatements runs them as Section/name:
//
//	go test ./semantics -run 'TestStatements/Operations/rmdir'
//
// Most checks share one bucket on versitygw with two mounts of it, here and
// there (type stage), and keep to a directory of their own. Here uploads
// nothing that is not asked for; there believes nothing that it has not just
// asked. Checks of failures make only requests for their own keys fail, or
// have a mount of their own.
//
// Beyond the document's words, TestOddKeys takes every kind of key through
// all that can be done to a file, and TestDirectory* read directories that
// are large or change meanwhile.
package semantics
