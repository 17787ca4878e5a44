// Package anykey is an S3 endpoint whose bucket takes every key that S3 takes,
// and as many of them as a test likes.
//
// The servers that the other tests use keep objects as files, and so refuse,
// alter or hide keys that are no paths: "a//b", "..", "x" beside "x/y". Here
// the bucket is a remotetest.Memory, which lists like S3, and a Server puts S3's
// protocol before it: LIST, HEAD, GET, PUT, COPY and DELETE with their
// conditions, of objects that fit into one request. It believes every
// signature, and has no multipart uploads, versions or encryption.
//
//	moorfs mount ──http──> Server ──> remotetest.Memory <── the test
package anykey
