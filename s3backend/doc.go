// Package s3backend is all that speaks S3. It knows keys, objects, conditions
// and encryption; of files, caches and mounts it knows nothing.
//
// # How a request travels
//
//	method of Client ── input, conditions, encryption headers ──► SDK: sign, retry
//	                                                                  │
//	caller ◄── *Error with a Kind ◄── answer compared ◄── transport ──┘
//	           or an Object            with the question   counts, stall timer, log
//
// Every call ends in one of three ways: with what was asked for, with an
// *Error whose Kind says what to do about it, or with the context's error.
//
// # What is believed
//
// A status code is not believed by itself. A listing must name the bucket and
// the prefix asked for; a GET must show the length, the range and the ETag
// asked for; a write must have an ETag, and must echo the encryption asked
// for, or it fails as Unsealed. Whether the server checks conditions at all is
// found out by Probe through their effect; where it does not, a HEAD just
// before the request stands in, which leaves a short race.
//
// # Bytes
//
// Uploads read their io.ReaderAt twice, once for the checksum and once to send
// it, and hold nothing in memory. The checksum travels as a header beside an
// unsigned payload, so that neither chunked encoding nor a second hash is
// needed. Multipart uploads share the client's upload slots part by part.
// Downloads resume by themselves (Range and If-Match) and yield exactly the
// bytes asked for or an error; whole objects are verified against the checksum
// that S3 keeps of them.
//
// # Secrets
//
// SSE-C keys live behind CustomerKey, which prints as its MD5, and leave the
// process in request headers only. Errors keep the API's code and message,
// never the HTTP exchange; the debug log redacts keys, tokens and signatures.
package s3backend
