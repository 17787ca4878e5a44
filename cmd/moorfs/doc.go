// Moorfs mounts an S3 bucket as a filesystem. This package is the one binary:
// the command line, the helpers of mount(8) and umount(8), and the daemon
// that serves a mount. It alone knows flags, the environment and files of
// configuration, and decides defaults.
//
// A mount option comes from the table in table.go. Settings are layers of it:
// default, environment, -o, flag; the last one that names an option counts.
// From settings, config.go makes what s3backend, cache and fs are opened with.
//
// Mounting (mount.go, daemon.go, start.go, attach.go): the process that the
// user started checks the arguments and starts itself again as the daemon,
// in a session of its own, with a pipe on descriptor 3. The daemon looks at
// the mountpoint, reaches the bucket, opens the cache, finds out what the
// server can do (once, the cache remembers it), mounts, and makes the mount
// known; each step pushes how to take it back on an undoStack. Then it says
// OK over the pipe and the first process ends. If a step fails the stack is
// unwound and the pipe carries the reason.
//
// A mount is known by three things: the control socket in its cache directory
// (protocol.go, control.go, client.go), its registration below /run
// (registry.go), by which the other verbs find the socket, and, for root, its
// line in /run/mount/utab (utab.go), without which umount(8) does not call
// us. Beyond the mount the index of caches (caches.go) remembers unsent work.
//
// A mount ends (live.go) by a client's stop, by a signal, or because somebody
// took it away; each of them drains to the bucket, and what could not be sent
// stays queued in the cache. The daemon never touches its own mount: it reads
// /proc/self/mountinfo, and looks at nothing below the mountpoint.
package main
