// Package loopback mounts a directory again, by go-fuse's own loopback
// filesystem: what a filesystem that is built on go-fuse can reach at best.
package loopback

import (
	"fmt"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The kernel's settings are those of moorfs.
const (
	maxWrite      = 1 << 20
	maxBackground = 128
	ttl           = 30 * time.Second
)

// Passthrough says who reads and writes files.
type Passthrough bool

const (
	Kernel Passthrough = true  // the kernel, without the daemon
	Daemon Passthrough = false // every request goes through it
)

// Serve mounts dir at mountpoint and returns once it is unmounted. It needs
// root. Use the mount from other processes only.
func Serve(dir, mountpoint string, p Passthrough) error {
	root, err := fs.NewLoopbackRoot(dir)
	if err != nil {
		return fmt.Errorf("loopback of %s: %w", dir, err)
	}
	negative, positive := time.Second, ttl
	options := &fs.Options{
		AttrTimeout: &positive, EntryTimeout: &positive, NegativeTimeout: &negative,
		NullPermissions: true,
		MountOptions: fuse.MountOptions{
			FsName: dir, Name: "loopback", DirectMountStrict: true, Options: []string{"default_permissions"},
			MaxWrite: maxWrite, MaxReadAhead: maxWrite, MaxBackground: maxBackground,
			ExtraCapabilities: fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ASYNC_DIO,
		},
	}
	if p == Daemon {
		options.DisabledCapabilities = fuse.CAP_PASSTHROUGH
	}
	server, err := fs.Mount(mountpoint, root, options)
	if err != nil {
		return fmt.Errorf("loopback of %s: %w", dir, err)
	}
	server.Wait()
	return nil
}
