// Package names maps between the components of S3 keys and names that POSIX
// allows. A component is the text of a key between two slashes.
//
// # Ordinary components
//
// A component of 1 to 255 bytes that is not "." or "..", holds no NUL byte and
// does not begin with "%=" is its own name, UTF-8 or not.
//
// # Escaped names
//
// Every other name begins with "%=". Behind it comes the body: the component,
// with "%" written as "%25" and NUL as "%00" and every other byte as it is. In
// a body "%" is always followed by one of these pairs of digits, so that a
// marker at the end is never taken for a part of it:
//
//	%=..          component ".."
//	%=            the empty component, as between the slashes of a//b
//	%=x%f         the file x, where a directory x exists as well
//	%=%f          the content of a directory's own object, the key that ends in /
//	%=chunk%+     a directory that stands for all longer components that begin
//	              with chunk: its keys begin with those of its parent and chunk,
//	              with no slash behind it
//	%=rest%.      what is left of a longer component, within such directories
//
// A component too long for one name is cut into chunks, each as long as fits
// into a name, but never within a UTF-8 character, because S3 takes no such
// prefix. All chunks but the last are directories; the last is a rest. A file
// that needs the mark of a file is cut likewise where its name with the mark
// is too long, and ends in %f instead.
//
// # Why no two keys share a path
//
// Parse takes a name apart in one way only, and the components of the names of
// a path, put together, are the component that was cut. So two components with
// a path in common would be one. That a component has only one path, hence a
// key only one name, holds where callers accept a name that was typed only if
// In agrees: it compares with what the component is really called.
package names
