// Package remotetest holds what tests need of a Remote, the bucket as the
// cache sees it.
//
// Suite is the contract: every promise that the cache builds on is a named
// check in it, and every Remote must pass it; what a server cannot do is an
// excuse, given by the name of the check, and an excuse that is not needed
// fails. The tests here run it against Memory and against s3backend.Client on
// real servers, once per encryption mode.
//
// Memory is a bucket in memory that keeps the contract, with methods for what
// other clients do to it. Faults stands around any Remote and makes calls
// fail, before or after they took effect:
//
//	cache ──> Faults ──> Memory <── Set, Remove, Archive (another client)
package remotetest
