package fs

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A front is the first to see each request of the kernel, and the last to see
// its answer. It knows what is under way, counts, lets in whom allow-root lets
// in, and turns a panic below it into EIO: that request fails, its stack is
// logged, the mount goes on. Locks of ours are released by deferred calls as
// the panic passes; a change of the journal that it cuts short is not made.
//
// With allow-root, root and the mounting user may enter and nobody else. The
// kernel knows only "the mounting user" and "everybody" (allow_other). What it
// has cached for those two, others may see until it expires: names and
// attributes, never content.
type front struct {
	fuse.RawFileSystem
	under  *inflight
	counts *counts
	log    *slog.Logger
	owner  uint32 // the mounting user
	closed bool   // to all but root and owner
}

// A counts counts answers and bytes since the mount.
type counts struct {
	byOp                    [operations]opCounts
	panics                  atomic.Uint64
	bytesRead, bytesWritten atomic.Uint64
}

// errnosCounted is above every errno of Linux.
const errnosCounted = 134

// durationBounds are the upper bounds of the classes in which durations are
// counted; longer ones are in a last class.
var durationBounds = [...]time.Duration{100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 10 * time.Second, time.Minute}

type opCounts struct {
	errnos  [errnosCounted]atomic.Uint64
	classes [len(durationBounds) + 1]atomic.Uint64
	nanos   atomic.Uint64
}

func (c *opCounts) add(s fuse.Status, took time.Duration) {
	if s < 0 || s >= errnosCounted {
		s = fuse.EIO
	}
	c.errnos[s].Add(1)
	c.nanos.Add(uint64(took))
	class := 0
	for class < len(durationBounds) && took > durationBounds[class] {
		class++
	}
	c.classes[class].Add(1)
}

// begin notes a request; name is what it speaks of in the directory h.NodeId,
// or empty. allowed is EACCES for whom allow-root keeps out.
func (f *front) begin(op operation, h *fuse.InHeader, name string) (r *request, allowed fuse.Status) {
	r = f.under.begin(op, h, name)
	if f.closed && h.Uid != 0 && h.Uid != f.owner && !onHandles[op] {
		return r, fuse.EACCES
	}
	return r, fuse.OK
}

// end is deferred by each request: it ends it with *status, or with EIO if it
// panics.
func (f *front) end(r *request, status *fuse.Status) {
	if v := recover(); v != nil {
		*status = f.panicked(r, v)
	}
	op, took := f.under.end(r)
	f.counts.byOp[op].add(*status, took)
}

func (f *front) panicked(r *request, v any) fuse.Status {
	f.counts.panics.Add(1)
	f.log.Error("panic in a request; it fails with EIO, the mount goes on", "operation", r.op.String(), "inode", r.node, "name", r.name,
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return fuse.EIO
}

// An OperationCount is how one operation has ended, since the mount.
type OperationCount struct {
	Operation string
	Outcomes  map[syscall.Errno]uint64 // 0: it succeeded
	Classes   map[time.Duration]uint64 // how many took at most so long; cumulative
	Total     time.Duration            // of all
}

// Counts is what a mount has answered.
type Counts struct {
	Operations              []OperationCount // those that have been asked for
	Panics                  uint64           // requests that failed by a fault of moorfs
	BytesRead, BytesWritten uint64
}

func (c *counts) snapshot() Counts {
	out := Counts{Panics: c.panics.Load(), BytesRead: c.bytesRead.Load(), BytesWritten: c.bytesWritten.Load()}
	for op := range c.byOp {
		o := &c.byOp[op]
		n := OperationCount{Operation: operation(op).String(), Outcomes: map[syscall.Errno]uint64{}, Classes: map[time.Duration]uint64{},
			Total: time.Duration(o.nanos.Load())}
		for e := range o.errnos {
			if k := o.errnos[e].Load(); k > 0 {
				n.Outcomes[syscall.Errno(e)] = k
			}
		}
		sum := uint64(0)
		for i, bound := range durationBounds {
			sum += o.classes[i].Load()
			n.Classes[bound] = sum
		}
		if len(n.Outcomes) > 0 {
			out.Operations = append(out.Operations, n)
		}
	}
	return out
}
