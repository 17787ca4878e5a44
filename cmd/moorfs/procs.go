package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// startTime returns when a process started, in clock ticks since boot: with
// the pid it names one process for as long as the machine runs.
func startTime(pid int) (uint64, error) {
	_, start, err := processStat(pid)
	return start, err
}

// processStat returns the state of a process's first thread, as a letter, and
// when the process started.
func processStat(pid int) (state byte, start uint64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name, in parentheses, may hold spaces; the 20th field after it is
	// the start.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: too short", pid)
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}

// alive reports whether the process that had this pid and start still runs.
// One that was killed does not, even if it cannot end (see undead.go).
func alive(pid int, start uint64) bool { return !gone(pid, start) && !isDying(pid) }

// gone reports whether the process has ended. One whose parent has not noticed
// yet counts as gone.
func gone(pid int, start uint64) bool {
	state, now, err := processStat(pid)
	return err != nil || now != start || (state == 'Z' || state == 'X') && !isDying(pid)
}

// waitExit waits until a process has ended, at most limit, and reports
// whether it has.
func waitExit(pid int, start uint64, limit time.Duration) (bool, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || gone(pid, start) {
		if err == nil {
			err = unix.Close(fd)
		} else {
			err = nil
		}
		return true, err
	}
	if err != nil {
		return false, fmt.Errorf("wait for process %d: %w", pid, err)
	}
	end := time.Now().Add(limit)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(end).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, errors.Join(err, unix.Close(fd))
	}
}

// A user of a mountpoint is a process that keeps it busy.
type mountUser struct {
	pid  int
	name string
	path string // what it holds
}

// usersOf returns the processes that have a file, directory or mapping below
// dir, without touching the filesystem mounted there. Processes that we may
// not look into are passed over.
func usersOf(dir string) []mountUser {
	pids, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var users []mountUser
	for _, proc := range pids {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if held := heldBelow(proc, dir); held != "" {
			name, _ := os.ReadFile(proc + "/comm")
			users = append(users, mountUser{pid: pid, name: strings.TrimSpace(string(name)), path: held})
		}
	}
	slices.SortFunc(users, func(a, b mountUser) int { return a.pid - b.pid })
	return users
}

// heldBelow returns something below dir that the process holds, or "".
func heldBelow(proc, dir string) string {
	links, _ := filepath.Glob(proc + "/fd/*")
	for _, l := range append([]string{proc + "/cwd", proc + "/root", proc + "/exe"}, links...) {
		if to, err := os.Readlink(l); err == nil && within(to, dir) {
			return to
		}
	}
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(maps))
	for lines.Scan() {
		if i := strings.IndexByte(lines.Text(), '/'); i >= 0 && within(lines.Text()[i:], dir) {
			return lines.Text()[i:]
		}
	}
	return ""
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// describeUsers says in one line who keeps dir busy.
func describeUsers(dir string) string {
	users := usersOf(dir)
	if len(users) == 0 {
		return "a process that cannot be seen from here (another user's, or another mount below it)"
	}
	var parts []string
	for i, u := range users {
		if i == 8 {
			parts = append(parts, fmt.Sprintf("and %d more", len(users)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (pid %d: %s)", u.name, u.pid, u.path))
	}
	return strings.Join(parts, ", ")
}
