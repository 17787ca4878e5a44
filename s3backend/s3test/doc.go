// Package s3test gives tests, benchmarks and the demo real S3 servers.
//
// Build makes the binary of a server from the tools pinned in
// tests/servers/go.mod, once per state of that file, in the user's cache
// directory. Start runs one as a child process on a free loopback port with
// its data in a directory of its own; the child dies with this process.
// Versity, MinIO and MinIOTLS are Start for tests.
//
// Two things stand beside a server. A Raw is an S3 client that shares no code
// with s3backend: what it sees in a bucket is there. A Proxy is an S3 endpoint
// that passes requests on to a server, counts them by operation, slows them
// down and makes them fail as networks and services do:
//
//	s3backend.Client ──> Proxy ──> Server (child process) ──> Server.Dir
//	                 Raw ──────────────^
//
// Every server has the same access key, secret and region, so that one
// environment (Environ) serves them all.
package s3test
