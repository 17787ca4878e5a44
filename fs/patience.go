package fs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// killedLook is how often a caller that a signal interrupted is looked at.
const killedLook = 100 * time.Millisecond

// A patience is the context of a request. It is cancelled when the calling
// thread is being killed, and by no other signal: on a local disk a signal that
// has a handler waits until the call is done, and few programs expect EINTR
// from open, stat or rename. The kernel's INTERRUPT says only that there was
// some signal. It costs nothing until somebody asks for Done, as only waits for
// the bucket do.
type patience struct {
	context.Context
	pid  uint32
	once sync.Once
	done chan struct{} // closed: killed
	over chan struct{} // closed: the request is answered
}

// patient returns ctx made patient; over must be called when the request is
// answered.
func patient(ctx context.Context) (_ context.Context, over func()) {
	caller, ok := fuse.FromContext(ctx)
	if !ok {
		return ctx, func() {}
	}
	p := &patience{Context: ctx, pid: caller.Pid, done: make(chan struct{}), over: make(chan struct{})}
	return p, func() { close(p.over) }
}

// Done is closed when the caller is being killed.
func (p *patience) Done() <-chan struct{} {
	p.once.Do(func() { go p.watch() })
	return p.done
}

// Err is context.Canceled when the caller is being killed.
func (p *patience) Err() error {
	select {
	case <-p.done:
		return context.Canceled
	default:
		return nil
	}
}

func (p *patience) watch() {
	select {
	case <-p.over:
		return
	case <-p.Context.Done():
	}
	tick := time.NewTicker(killedLook)
	defer tick.Stop()
	for !killed(p.pid) {
		select {
		case <-p.over:
			return
		case <-tick.C:
		}
	}
	close(p.done)
}

// killed reports whether a thread is gone or has a signal pending that ends it.
// So is one that cannot be seen from here, as in another container.
func killed(tid uint32) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true
	}
	defer f.Close()
	masks := map[string]uint64{} // by name; bit n-1 is signal n (proc(5))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err == nil && strings.HasPrefix(name, "S") {
			masks[name] = mask
		}
	}
	pending := masks["SigPnd"] | masks["ShdPnd"]
	handled := masks["SigCgt"] | masks["SigIgn"] | masks["SigBlk"]
	return pending&bit(syscall.SIGKILL) != 0 || pending&^handled&^harmless != 0
}

func bit(s syscall.Signal) uint64 { return 1 << (s - 1) }

// harmless are the signals whose default is to do nothing, to stop or to go on
// (signal(7)).
var harmless = bit(syscall.SIGCHLD) | bit(syscall.SIGURG) | bit(syscall.SIGWINCH) | bit(syscall.SIGCONT) |
	bit(syscall.SIGSTOP) | bit(syscall.SIGTSTP) | bit(syscall.SIGTTIN) | bit(syscall.SIGTTOU)
