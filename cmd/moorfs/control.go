package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/moorfs/moorfs/cache"
)

// An operator does what clients ask. Its methods may be called concurrently.
type operator interface {
	status() mountStatus
	// flush returns nil once path (below the mount; empty: everything) is
	// in the bucket, *leftover if that cannot be done.
	flush(ctx context.Context, path string, tell func(cache.Progress)) error
	conflicts() ([]cache.ConflictInfo, error)
	// decide ends a conflict: for our side, or for theirs.
	decide(ctx context.Context, id string, side winner) error
	// cacheVerb carries out one of the opCache requests.
	cacheVerb(ctx context.Context, op string) (reply, error)
	// stop drains, at most limit if that is not 0, and unmounts: nil,
	// *leftover (unmounted all the same), or errBusy (still mounted).
	stop(ctx context.Context, limit time.Duration, tell func(cache.Progress)) error
}

// A control serves a mount's socket.
type control struct {
	listener *net.UnixListener
	socket   string
	op       operator
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	clients  sync.WaitGroup
}

// serveControl listens on socket, replacing a dead one; the caller owns the
// cache directory, so no live one can be there. Only this user may connect:
// the process's umask is 077.
func serveControl(socket string, op operator, log *slog.Logger) (*control, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &control{socket: socket, op: op, log: log}
	err := withShortName(socket, func(name string) (err error) {
		c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c.listener.SetUnlinkOnClose(false)
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), c.listener.Close())
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.accept()
	return c, nil
}

func (c *control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.log.Error("control socket: no more clients", "error", err)
			}
			return
		}
		c.clients.Go(func() {
			defer func() {
				if err := conn.Close(); err != nil {
					c.log.Debug("control client", "error", err)
				}
			}()
			defer func() { // one client's request must not end the daemon
				if v := recover(); v != nil {
					c.log.Error("panic in a control request", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				}
			}()
			c.serve(conn)
		})
	}
}

// serve answers one client.
func (c *control) serve(conn net.Conn) {
	var req request
	in := json.NewDecoder(conn)
	if err := in.Decode(&req); err != nil {
		c.log.Debug("control client", "error", err)
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	go func() { // a client sends nothing more: the read ends when it hangs up
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	var mu sync.Mutex
	out := json.NewEncoder(conn)
	send := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		if err := conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
			cancel()
			return
		}
		if err := out.Encode(r); err != nil {
			cancel()
		}
	}
	tell := func(p cache.Progress) { send(reply{Progress: &p}) }
	send(c.answer(ctx, req, tell))
}

func (c *control) answer(ctx context.Context, req request, tell func(cache.Progress)) reply {
	var err error
	r := reply{Done: true}
	switch req.Op {
	case opStatus:
		s := c.op.status()
		r.Status = &s
	case opFlush:
		err = c.op.flush(ctx, string(req.Path), tell)
	case opConflicts:
		r.Conflicts, err = c.op.conflicts()
	case opKeepMine, opKeepTheirs:
		err = c.op.decide(ctx, req.ID, winner(req.Op))
	case opCacheInfo, opCacheVerify, opCachePrune:
		r, err = c.op.cacheVerb(ctx, req.Op)
		r.Done = true
	case opStop:
		err = c.op.stop(ctx, req.Timeout, tell)
	default:
		err = fmt.Errorf("unknown request %q: is the daemon of another version?", req.Op)
	}
	if err != nil {
		r.Error = err.Error()
		r.Busy = errors.Is(err, errBusy)
		if l := new(leftover); errors.As(err, &l) {
			r.Left = l
		}
	}
	return r
}

// close stops listening, lets the answers under way get out and removes the
// socket.
func (c *control) close() error {
	err := c.listener.Close()
	answered := make(chan struct{})
	go func() {
		c.clients.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(2 * time.Second): // a flush under way: it is told that we end
	}
	c.cancel()
	<-answered
	if gone := os.Remove(c.socket); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
