package harness

import (
	"os/exec"
	"runtime"
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
func Spawn(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error, 1)
	spawner() <- spawnRequest{cmd, done}
	return <-done
}
