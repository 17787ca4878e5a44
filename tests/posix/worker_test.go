package posix

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// workerEnv makes this program a worker; its value is the name of its user.
const workerEnv = "MOORFS_POSIX_WORKER"

// A user is whom a worker acts as.
type user struct {
	id     int
	groups []int
}

// shared is a group of both ordinary users, extra one of bob's alone.
const (
	alice  = 60001
	bob    = 60002
	shared = 60010
	extra  = 60011
)

var users = map[string]user{
	"root":  {0, []int{0}},
	"alice": {alice, []int{alice, shared}},
	"bob":   {bob, []int{bob, shared, extra}},
}

// An agent makes system calls for one user, below one directory. It reads
// lines of a call and its arguments, and answers each with a quoted line: the
// result, or the name of an errno.
type agent struct {
	base  string
	slots map[string]int // open files by the script's names for them
	last  map[uint64]stamps
	long  []string // directories made by deep, the lowest last
}

// A call makes one system call and tells what it gave.
type call func(w *agent, a *args) (string, error)

// calls is every call that scripts can make.
var calls = joined(nameCalls, openCalls, dataCalls, attrCalls, xattrCalls, lockCalls, treeCalls)

func joined(tables ...map[string]call) map[string]call {
	all := map[string]call{}
	for _, t := range tables {
		for name, c := range t {
			all[name] = c
		}
	}
	return all
}

// work is the worker's process. Its working directory is the base that it is
// to work in.
func work(name string) int {
	runtime.LockOSThread() // linkat(2) compares who opened a file with who links it, by thread
	base, err := os.Getwd()
	if err == nil {
		err = become(users[name])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	w := &agent{base: base, slots: map[string]int{}, last: map[uint64]stamps{}}
	out := bufio.NewWriter(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		fmt.Fprintln(out, strconv.Quote(w.do(in.Text())))
		if err := out.Flush(); err != nil {
			return 1
		}
	}
	return 0
}

// become gives up root for u, on all threads (which package unix does not do);
// /proc/self stays its own.
func become(u user) error {
	unix.Umask(0o022)
	if u.id == 0 {
		return nil
	}
	return errors.Join(syscall.Setgroups(u.groups), syscall.Setresgid(u.id, u.id, u.id), syscall.Setresuid(u.id, u.id, u.id),
		unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
}

// do makes the call of one line: "name args…", or "slot=name args…".
func (w *agent) do(line string) (result string) {
	defer func() {
		if bad := recover(); bad != nil {
			result = fmt.Sprintf("BAD SCRIPT: %v", bad)
		}
	}()
	a := &args{w: w, words: split(line)}
	name := a.word()
	if slot, rest, ok := strings.Cut(name, "="); ok {
		a.slot, name = slot, rest
	}
	c, ok := calls[name]
	if !ok {
		return "BAD SCRIPT: no call " + name
	}
	result, err := c(w, a)
	if len(a.words) > 0 {
		return "BAD SCRIPT: too many arguments"
	}
	if err != nil {
		return errnoName(err)
	}
	if result == "" {
		return "ok"
	}
	return result
}

func errnoName(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return errno.Error()
}

// begin starts a case in a directory of its own.
func (w *agent) begin(a *args) (string, error) {
	unix.Umask(0o022)
	return "", unix.Chdir(w.base + "/" + a.word())
}

// end closes what the case has left open.
func (w *agent) end(*args) (string, error) {
	for _, fd := range w.slots {
		_ = unix.Close(fd)
	}
	clear(w.slots)
	clear(w.last)
	unix.Umask(0o022)
	return "", unix.Chdir(w.base)
}
