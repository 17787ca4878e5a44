package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/moorfs/moorfs/fs"
	"github.com/moorfs/moorfs/s3backend"
)

// stuckLook is how often the watchdog looks, at the longest.
const stuckLook = 10 * time.Second

// What is stuck: requests of the kernel that have not been answered, and
// requests to S3 of which nothing has moved, for the time of --stuck-after.
type stuckRequests struct {
	Kernel []fs.StuckRequest        `json:"kernel,omitempty"`
	S3     []s3backend.StuckRequest `json:"s3,omitempty"`
}

func (s stuckRequests) texts() []string {
	var out []string
	for _, r := range s.Kernel {
		out = append(out, kernelText(r))
	}
	for _, r := range s.S3 {
		out = append(out, fmt.Sprintf("S3: %s %s, since %s", r.Operation, r.Path, r.Since.Local().Format(time.TimeOnly)))
	}
	return out
}

func kernelText(r fs.StuckRequest) string {
	return fmt.Sprintf("%s %q (inode %d) for process %d, since %s", r.Operation, r.Path, r.Inode, r.Pid, r.Since.Local().Format(time.TimeOnly))
}

// A watchdog reports what is stuck: one line with the stack in the log for each
// request, and the list for the status.
type watchdog struct {
	after time.Duration

	mu  sync.Mutex // a leaf
	now stuckRequests
}

func (w *watchdog) stuck() stuckRequests {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// watchStuck runs l's watchdog until l has ended.
func (l *live) watchStuck() {
	tick := time.NewTicker(max(time.Millisecond, min(stuckLook, l.dog.after/4)))
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-tick.C:
			l.lookForStuck()
		}
	}
}

func (l *live) lookForStuck() {
	now := stuckRequests{Kernel: l.server.Stuck(l.dog.after), S3: l.client.Stuck(l.dog.after)}
	for _, r := range now.Kernel {
		if r.New {
			l.log.Warn("a request is stuck", "operation", r.Operation, "inode", r.Inode, "path", r.Path, "pid", r.Pid,
				"since", r.Since.Format(time.RFC3339), "stack", r.Stack)
		}
	}
	for _, r := range now.S3 {
		if r.New {
			l.log.Warn("a request to S3 is stuck", "operation", r.Operation, "path", r.Path, "since", r.Since.Format(time.RFC3339), "stack", r.Stack)
		}
	}
	l.dog.mu.Lock()
	defer l.dog.mu.Unlock()
	l.dog.now = now
}
