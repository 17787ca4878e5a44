package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// machineRoot is Root's value; it is set once, before the tests run.
var machineRoot string

// Root returns the directory below which the tests keep everything. It is
// removed at the end.
func Root() string { return machineRoot }

// connections is where the kernel shows its FUSE connections.
const connections = "/sys/fs/fuse/connections"

// furnish makes the mount namespace a machine that tests may change.
func furnish(root string) error {
	private := filepath.Join(root, "machine")
	if err := mountTmpfs(private); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(connections, "..")); err == nil {
		if err := syscall.Mount("fusectl", connections, "fusectl", 0, ""); err != nil && err != syscall.EBUSY {
			return fmt.Errorf("mounting fusectl: %w", err)
		}
	}
	node := filepath.Join(private, "fuse")
	if err := syscall.Mknod(node, syscall.S_IFCHR|0o666, 10<<8|229); err != nil {
		return fmt.Errorf("making a /dev/fuse for everybody: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := bind(node, "/dev/fuse"); err != nil {
		return err
	}
	fstab := filepath.Join(private, "fstab")
	if err := os.WriteFile(fstab, nil, 0o644); err != nil {
		return err
	}
	if err := bind(fstab, "/etc/fstab"); err != nil {
		return err
	}
	for _, dir := range []string{"/run/mount", "/run/moorfs", "/var/lib/moorfs"} {
		if err := mountTmpfs(dir); err != nil {
			return err
		}
	}
	return nil
}

// Install puts links to binary under /sbin, where mount(8) and umount(8) look
// for helpers, for this machine only. It needs root.
func Install(binary string) error {
	sbin, err := filepath.EvalSymlinks("/sbin")
	if err != nil {
		return err
	}
	layer := filepath.Join(machineRoot, "machine", "sbin")
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", sbin, upper, work)
	if err := syscall.Mount("overlay", sbin, "overlay", 0, options); err != nil {
		return fmt.Errorf("a private layer over %s: %w", sbin, err)
	}
	for _, name := range []string{"mount.moorfs", "mount.fuse.moorfs", "umount.moorfs", "umount.fuse.moorfs"} {
		link := filepath.Join(sbin, name)
		if err := os.RemoveAll(link); err != nil {
			return err
		}
		if err := os.Symlink(binary, link); err != nil {
			return err
		}
	}
	return nil
}

func mountTmpfs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs at %s: %w", dir, err)
	}
	return nil
}

func bind(from, to string) error {
	if _, err := os.Lstat(to); os.IsNotExist(err) {
		return nil // a machine without it needs no private one
	}
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s over %s: %w", from, to, err)
	}
	return nil
}
