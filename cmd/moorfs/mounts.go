package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A mountLine is one line of /proc/self/mountinfo.
type mountLine struct {
	target  string
	options []string // of the mount, as ro, nosuid
	fstype  string
	source  string
	user    string // of FUSE: who mounted it, as a number
	device  string // MAJOR:MINOR; of FUSE, 0:CONNECTION
}

// mountLines returns the mounts of this process, in the order in which they
// were made: the last one at a target covers the others.
func mountLines() ([]mountLine, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list of mounts: %w", err)
	}
	return parseMountinfo(string(b)), nil
}

func parseMountinfo(s string) []mountLine {
	var out []mountLine
	for line := range strings.Lines(s) {
		mount, fs, ok := strings.Cut(line, " - ")
		m, f := strings.Fields(mount), strings.Fields(fs)
		if !ok || len(m) < 6 || len(f) < 2 {
			continue
		}
		line := mountLine{target: unmangle(m[4]), options: strings.Split(m[5], ","), fstype: f[0], source: unmangle(f[1]), device: m[2]}
		for _, o := range strings.Split(f[len(f)-1], ",") {
			if user, ok := strings.CutPrefix(o, "user_id="); ok {
				line.user = user
			}
		}
		out = append(out, line)
	}
	return out
}

// mangle writes a string as mountinfo and utab do, unmangle reads it.
func mangle(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(s)
}

func unmangle(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '7' {
			return false
		}
	}
	return true
}

// mountAt returns the uppermost mount at exactly dir.
func mountAt(dir string) (mountLine, bool, error) {
	lines, err := mountLines()
	if err != nil {
		return mountLine{}, false, err
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].target == dir {
			return lines[i], true, nil
		}
	}
	return mountLine{}, false, nil
}

// isOurs reports whether this user mounted it.
func (l mountLine) isOurs() bool { return l.user == strconv.Itoa(os.Geteuid()) }

// mayTouch is errNotOurs for a mount that is another user's, unless we are
// root.
func (l mountLine) mayTouch() error {
	if os.Geteuid() == 0 || l.isOurs() {
		return nil
	}
	return fmt.Errorf("%s %w", l.target, errNotOurs)
}

// whyUnknown says why a path that lies in no mount with a daemon known to us
// lies in a mount of moorfs all the same; nil: it does not.
func whyUnknown(path string) error {
	lines, err := mountLines()
	if err != nil {
		return err
	}
	var best mountLine
	for _, l := range lines {
		if within(path, l.target) && len(l.target) >= len(best.target) {
			best = l
		}
	}
	if best.fstype != "fuse.moorfs" {
		return nil
	}
	if err := best.mayTouch(); err != nil {
		return err
	}
	if !isDead(best.target) {
		return fmt.Errorf("the daemon of %s is not known here: does it run in another container?", best.target)
	}
	return fmt.Errorf("%s: %w", best.target, errDead)
}

// deadMounts returns this user's mounts of moorfs whose daemon is dead.
func deadMounts() ([]mountLine, error) {
	all, err := unregistered()
	return slices.DeleteFunc(all, func(l mountLine) bool { return !isDead(l.target) }), err
}

// statfsLimit bounds the wait for a daemon that we do not know.
const statfsLimit = 2 * time.Second

// isDead reports whether a mount has no daemon: the kernel says so at once. One
// that is not registered may live all the same: it comes or goes just now, or
// its daemon runs in another container.
func isDead(dir string) bool {
	answer := make(chan error, 1)
	go func() {
		var st unix.Statfs_t
		answer <- unix.Statfs(dir, &st)
	}()
	select {
	case err := <-answer:
		return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
	case <-time.After(statfsLimit):
		return false
	}
}

// unregistered returns this user's mounts of moorfs that are not registered.
func unregistered() ([]mountLine, error) {
	lines, err := mountLines()
	if err != nil {
		return nil, err
	}
	running, dying, err := registered()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lines, func(l mountLine) bool {
		served := func(m registration) bool { return m.Mountpoint == l.target }
		return l.fstype != "fuse.moorfs" || !l.isOurs() || slices.ContainsFunc(running, served) || slices.ContainsFunc(dying, served)
	}), nil
}

// resolveDir returns the absolute, link-free name of a mountpoint. A
// directory that is a mountpoint is not looked at: a dead mount would not
// answer.
func resolveDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if _, mounted, err := mountAt(abs); err != nil || mounted {
		return abs, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	joined := filepath.Join(parent, filepath.Base(abs))
	if _, mounted, err := mountAt(joined); err != nil || mounted {
		return joined, err
	}
	full, err := filepath.EvalSymlinks(joined)
	if errors.Is(err, os.ErrNotExist) {
		return joined, nil
	}
	return full, err
}

// errBusy says that a mountpoint is in use.
var errBusy = errors.New("the mountpoint is in use")

// How an unmount treats open files.
type detach bool

const (
	whenFree detach = false // errBusy while there are any
	lazily   detach = true  // the name goes at once, the files when closed
)

// unmountDir takes a mount away: by itself as root, otherwise through
// fusermount3.
func unmountDir(dir string, how detach) error {
	if os.Geteuid() != 0 {
		return fusermount(dir, how)
	}
	flags := unix.UMOUNT_NOFOLLOW
	if how == lazily {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(dir, flags)
	if errors.Is(err, unix.EBUSY) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

func fusermount(dir string, how detach) error {
	flag := "-u"
	if how == lazily {
		flag = "-uz"
	}
	cmd := exec.Command("fusermount3", flag, "--", dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if strings.Contains(string(out), "busy") {
		return errBusy
	}
	return fmt.Errorf("unmount %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
}
