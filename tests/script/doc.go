// Package script runs transcripts: what people type, what they see, and what
// is in the bucket then.
//
// Each file of testdata is a script for testscript with a bucket of its own
// ($BUCKET on versitygw, at $ENDPOINT) and these commands besides the usual:
//
//	exits STATUS PROGRAM ARG...   like exec, for a certain exit status
//	bucket ls [PREFIX]            the keys, one a line
//	bucket get KEY                the content
//	bucket meta KEY               user metadata and headers, a line each
//	bucket put KEY FILE [HEADER=VALUE]...
//	bucket rm KEY
//	bucket uploads                keys of multipart uploads under way
//	[!] bucket has KEY            waits until it has (has not)
//	[!] mounted DIR [SOURCE]      waits until DIR is (is not) a mount
//	requests [reset]              how many of each kind the server has had
//	network off|on|slow           between moorfs and the server
//	deny METHOD                   the server refuses such requests with 403
//	server minio|minio-tls        a new bucket elsewhere: $BUCKET, $ENDPOINT
//	daemon SIGNAL DIR             signals the daemon of the mount at DIR and
//	                              waits until it has gone
package script
