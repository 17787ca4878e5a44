package main

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// remount changes a running mount between reading and writing, the one thing
// that can change without unmounting. The kernel enforces it.
func remount(req mountRequest) error {
	dir, err := resolveDir(req.dir)
	if err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	at, mounted, err := mountAt(dir)
	if err != nil {
		return err
	}
	if !mounted || at.source != req.src.String() {
		return fmt.Errorf("remount: %s is not mounted on %s", req.src, dir)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("remount: only root may; unmount and mount again")
	}
	readOnly := req.set.on("read-only")
	if m, known, err := mountOf(dir); err != nil {
		return err
	} else if known && m.Mountpoint == dir && m.ReadOnly && !readOnly {
		return fmt.Errorf("remount: %s was mounted read-only and never asked whether it may write; unmount and mount it again", dir)
	}
	flags := uintptr(unix.MS_REMOUNT) | keptFlags(at.options)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(at.source, dir, at.fstype, flags, ""); err != nil {
		return fmt.Errorf("remount %s: %w", dir, err)
	}
	return nil
}

// keptFlags are the flags of a mount that a remount must name again in order
// to keep them.
func keptFlags(options []string) uintptr {
	var flags uintptr
	for _, f := range []struct {
		option string
		flag   uintptr
	}{
		{"nosuid", unix.MS_NOSUID}, {"nodev", unix.MS_NODEV}, {"noexec", unix.MS_NOEXEC},
		{"noatime", unix.MS_NOATIME}, {"nodiratime", unix.MS_NODIRATIME}, {"relatime", unix.MS_RELATIME},
	} {
		if slices.Contains(options, f.option) {
			flags |= f.flag
		}
	}
	return flags
}
