package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMounted says that the same source is mounted at the mountpoint already,
// and answers.
var ErrMounted = errors.New("is mounted there already")

// probePatience is how long a mountpoint may take to answer. A dead network
// filesystem at it or above it never does.
const probePatience = 5 * time.Second

// CheckMountpoint finds out what would keep o from being mounted, and says it
// in one line. A dead mount of moorfs at the mountpoint is cleared. If the same
// source is mounted there and answers, the error is ErrMounted. It does not
// hang, whatever is mounted there.
func CheckMountpoint(o Options) error {
	var dir string
	err := within(probePatience, func() (err error) {
		dir, err = resolve(o.Mountpoint)
		return err
	})
	if err != nil {
		return mountpointError(o.Mountpoint, err)
	}
	if err := checkMounted(dir, o.Source); err != nil {
		return err
	}
	if err := within(probePatience, func() error { return checkDir(dir, o.Nonempty) }); err != nil {
		return mountpointError(dir, err)
	}
	return checkDevice(o)
}

// checkMounted looks at what is mounted at dir, and clears it if it is ours
// and dead.
func checkMounted(dir, source string) error {
	m, err := mountedOn(dir)
	if errors.Is(err, errNotMounted) || err == nil && !strings.HasPrefix(m.fsType, "fuse") {
		return nil
	}
	if err != nil {
		return err
	}
	ours := m.fsType == "fuse."+fsType
	err = within(probePatience, func() error {
		var st syscall.Statfs_t
		return syscall.Statfs(dir, &st)
	})
	switch {
	case errors.Is(err, syscall.ENOTCONN) && ours:
		return clearDead(dir, m)
	case errors.Is(err, syscall.ENOTCONN):
		return fmt.Errorf("mountpoint %q: a dead mount of %s (%s) is in the way; unmount it with: umount -l %s", dir, m.source, m.fsType, dir)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("mountpoint %q: the mount of %s does not answer; unmount it with: umount -l %s", dir, m.source, dir)
	case ours && m.source == source:
		return fmt.Errorf("mountpoint %q: %s %w", dir, source, ErrMounted)
	case ours:
		return fmt.Errorf("mountpoint %q: %s is mounted there; unmount it first", dir, m.source)
	}
	return nil
}

// clearDead takes away a mount whose daemon has died.
func clearDead(dir string, m mount) error {
	if asRoot() {
		// The kernel has aborted it when the daemon died, unless a stuck
		// thread of it holds the device. Without fusectl there is nothing
		// to do about that.
		if err := abort(m.minor); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("mountpoint %q: dead mount: %w", dir, err)
		}
	}
	if err := detach(dir); err != nil {
		return fmt.Errorf("mountpoint %q: dead mount: %w", dir, err)
	}
	return nil
}

// errNotEmpty says that a mount would hide files.
var errNotEmpty = errors.New("not empty; use the option nonempty to mount over its files")

// errNotYours says what fusermount3 would only say on its own stderr.
var errNotYours = errors.New("you may not write to it; only root may mount there")

func checkDir(dir string, nonempty bool) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return syscall.ENOTDIR
	}
	if !asRoot() && unix.Access(dir, unix.W_OK) != nil {
		return errNotYours
	}
	if nonempty {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(1)
	if cerr := f.Close(); cerr != nil {
		return cerr
	}
	if len(names) > 0 {
		return errNotEmpty
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func mountpointError(dir string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("mountpoint %q does not exist; create it with: mkdir -p %s", dir, dir)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("mountpoint %q is not a directory", dir)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("mountpoint %q does not answer: a network filesystem at it or above it is dead", dir)
	}
	return fmt.Errorf("mountpoint %q: %w", dir, err)
}

// checkDevice looks for what FUSE itself needs. fusermount3 opens the device
// with the rights of its caller.
func checkDevice(o Options) error {
	err := openDevice()
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return errors.New("no /dev/fuse: load the kernel module with: modprobe fuse (in a container, pass the device in)")
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to use FUSE (%w); usually everybody has: chmod 0666 /dev/fuse", err)
	case err != nil:
		return fmt.Errorf("FUSE does not work: %w", err)
	}
	if asRoot() {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("no fusermount3: install the package fuse3, or mount as root")
	}
	if o.AllowOther || o.AllowRoot {
		return checkFuseConf("/etc/fuse.conf")
	}
	return nil
}

func openDevice() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkFuseConf looks for the line with which root lets users open their
// mounts to others.
func checkFuseConf(path string) error {
	f, err := os.Open(path)
	if err == nil {
		lines := bufio.NewScanner(f)
		allowed := false
		for lines.Scan() {
			allowed = allowed || strings.TrimSpace(lines.Text()) == "user_allow_other"
		}
		err = errors.Join(lines.Err(), f.Close())
		if allowed {
			return nil
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("allow-other and allow-root: %w", err)
	}
	return fmt.Errorf("allow-other and allow-root are for root only, unless %s has a line: user_allow_other", path)
}

// within returns fn's error, or os.ErrDeadlineExceeded if it takes longer than
// d. A system call that hangs keeps its goroutine.
func within(d time.Duration, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}
