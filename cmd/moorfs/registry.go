package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// A registration is how a running mount makes itself known to the other
// verbs.
type registration struct {
	Pid        int       `json:"pid"`
	Start      uint64    `json:"start"` // of the process, see startTime
	Since      time.Time `json:"since"`
	Mountpoint string    `json:"mountpoint"`
	Source     string    `json:"source"`
	Endpoint   string    `json:"endpoint,omitempty"`
	CacheDir   string    `json:"cache_dir"`
	Socket     string    `json:"socket"`
	ReadOnly   bool      `json:"read_only"`
	Version    string    `json:"version"`
	Connection int       `json:"connection,omitempty"` // of FUSE, as below /sys/fs/fuse/connections
}

// errDamaged says that a file of ours is not as we write it.
var errDamaged = errors.New("is damaged")

// A registry is the directory of registrations of one user.
type registry struct{ dir string }

// ownRegistry is where this user's mounts register. It is emptied at boot
// where the machine has a directory for that.
func ownRegistry() (registry, error) {
	if os.Geteuid() == 0 {
		return registry{dir: "/run/moorfs"}, nil
	}
	if x := os.Getenv("XDG_RUNTIME_DIR"); x != "" {
		return registry{dir: filepath.Join(x, "moorfs")}, nil
	}
	root, err := stateRoot()
	if err != nil {
		return registry{}, err
	}
	return registry{dir: filepath.Join(root, "run")}, nil
}

func (r registry) file(mountpoint string) string {
	sum := sha256.Sum256([]byte(mountpoint))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:8])+".json")
}

// add makes a mount known.
func (r registry) add(m registration) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755 // anybody may see what is mounted; talking to it is guarded by the socket
	}
	if err := os.MkdirAll(r.dir, mode); err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	if err := os.Chmod(r.dir, mode); err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	if err := writeWhole(r.file(m.Mountpoint), b, 0o644); err != nil {
		return fmt.Errorf("register mount: %w", err)
	}
	return nil
}

// remove forgets a mount of this process; a later mount's entry stays.
func (r registry) remove(m registration) error {
	now, err := readRegistration(r.file(m.Mountpoint))
	if errors.Is(err, os.ErrNotExist) || err == nil && (now.Pid != m.Pid || now.Start != m.Start) {
		return nil
	}
	if err := os.Remove(r.file(m.Mountpoint)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget mount: %w", err)
	}
	return nil
}

// list returns the mounts whose process is alive and those whose process was
// killed and cannot end, and removes the entries of those whose process is
// gone, as far as we may.
func (r registry) list() (running, dying []registration, err error) {
	names, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		m, err := readRegistration(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, errDamaged) {
			return nil, nil, err
		}
		// One that is damaged was written before a power cut: m is nobody's.
		if alive(m.Pid, m.Start) {
			running = append(running, m)
			continue
		}
		if m.isDying() {
			dying = append(dying, m)
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return nil, nil, err
		}
	}
	return running, dying, nil
}

func readRegistration(name string) (registration, error) {
	var m registration
	b, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return registration{}, fmt.Errorf("%s %w (%w)", name, errDamaged, err)
	}
	return m, nil
}

// mountsHere returns the running mounts that this user can see: its own and
// root's; root sees everybody's that registered under /run/user.
func mountsHere() ([]registration, error) {
	running, _, err := registered()
	return running, err
}

// isOurs reports whether the daemon of m is this user's.
func (m registration) isOurs() bool {
	who, ok := ownerOf(fmt.Sprintf("/proc/%d", m.Pid))
	return ok && int(who) == os.Geteuid()
}

// inUse adds to a *cache.BusyError which mount it is that has the cache.
func inUse(err error) error {
	busy := new(cache.BusyError)
	if !errors.As(err, &busy) {
		return err
	}
	running, unseen := mountsHere()
	for _, m := range running {
		if m.Pid == busy.Pid {
			return fmt.Errorf("%w, which serves %s; unmount that, or name another directory with --cache-dir", err, m.Mountpoint)
		}
	}
	return errors.Join(err, unseen)
}

// registered returns the running mounts that this user can see, and those
// whose daemon was killed and cannot end.
func registered() (running, dying []registration, err error) {
	own, err := ownRegistry()
	if err != nil {
		return nil, nil, err
	}
	if running, dying, err = own.list(); err != nil {
		return nil, nil, err
	}
	others, err := otherRegistries(own)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range others {
		more, stuck, err := r.list()
		if err != nil {
			continue // another user's affair
		}
		running = append(running, r.honest(more)...)
		dying = append(dying, r.honest(stuck)...)
	}
	slices.SortFunc(running, func(a, b registration) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
	return running, dying, nil
}

// honest returns those of r's entries whose process belongs to who may write
// to r.
func (r registry) honest(entries []registration) []registration {
	owner, ok := ownerOf(r.dir)
	return slices.DeleteFunc(entries, func(m registration) bool {
		who, known := ownerOf(fmt.Sprintf("/proc/%d", m.Pid))
		return !ok || !known || who != owner
	})
}

// otherRegistries are where others register, and where this user's mounts do
// with another environment: umount(8) calls its helper with a bare one.
func otherRegistries(own registry) ([]registry, error) {
	dirs := []string{"/run/moorfs"}
	if os.Geteuid() == 0 {
		users, err := filepath.Glob("/run/user/*/moorfs")
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, users...)
	} else {
		root, err := stateRoot()
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, fmt.Sprintf("/run/user/%d/moorfs", os.Geteuid()), filepath.Join(root, "run"))
	}
	var out []registry
	for _, d := range dirs {
		if d != own.dir {
			out = append(out, registry{dir: d})
		}
	}
	return out, nil
}

func ownerOf(path string) (uint32, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}

// mountOf returns the running mount that path lies in: the one with the
// longest mountpoint.
func mountOf(path string) (registration, bool, error) {
	all, err := mountsHere()
	if err != nil {
		return registration{}, false, err
	}
	var best registration
	for _, m := range all {
		if within(path, m.Mountpoint) && len(m.Mountpoint) > len(best.Mountpoint) {
			best = m
		}
	}
	return best, best.Mountpoint != "", nil
}
