package harness

import (
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
)

// spawner starts children from one thread that lives as long as the process:
// Pdeathsig fires when the thread that started the child ends.
var spawner = sync.OnceValue(func() chan<- spawnRequest {
	requests := make(chan spawnRequest)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

type spawnRequest struct {
	cmd  *exec.Cmd
	done chan error
}

// Spawn starts cmd in a session of its own; it is killed when this process
// dies.
//
// A working directory or a program on a FUSE mount is reached by env(1) in the
// child. Go's runtime keeps a processor of this process waiting until a child
// has changed its directory and begun its program; with it may wait the proxy
// in this process, which the mount's daemon needs for its answer.
func Spawn(cmd *exec.Cmd) error {
	if err := offMounts(cmd); err != nil {
		return err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error, 1)
	spawner() <- spawnRequest{cmd, done}
	return <-done
}

// offMounts lets cmd start beside the FUSE mounts of the tests.
func offMounts(cmd *exec.Cmd) error {
	mounts, err := fuseMounts(machineRoot)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(mounts, func(m mountLine) bool { return below(m.dir, cmd.Dir) || below(m.dir, cmd.Path) }) {
		return nil
	}
	env, err := exec.LookPath("env")
	if err != nil {
		return err
	}
	args := []string{env}
	if cmd.Dir != "" {
		args = append(args, "--chdir="+cmd.Dir)
	}
	cmd.Args = slices.Concat(args, []string{cmd.Path}, cmd.Args[1:])
	cmd.Path, cmd.Dir = env, ""
	return nil
}
