package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/moorfs/moorfs/cache"
)

// errNoDaemon says that nobody listens at a socket.
var errNoDaemon = errors.New("the mount's daemon does not answer")

// errNotOurs says that only its owner and root may ask a mount's daemon.
var errNotOurs = errors.New("belongs to another user")

// errCutOff says that the daemon was there and ended, or was killed, in the
// middle of a conversation.
var errCutOff = errors.New("the mount's daemon ended without an answer")

// ask sends one request to the daemon behind socket and returns its last
// answer; tell hears of progress. The error is *leftover or errBusy where the
// daemon said so, errNotOurs where we may not ask.
func ask(ctx context.Context, socket string, req request, tell func(cache.Progress)) (reply, error) {
	var conn net.Conn
	err := withShortName(socket, func(name string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", name)
		return err
	})
	if errors.Is(err, os.ErrPermission) {
		return reply{}, fmt.Errorf("the mount %w", errNotOurs)
	}
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errNoDaemon, err)
	}
	hangUp := context.AfterFunc(ctx, func() { _ = conn.Close() })
	r, err := converse(conn, req, tell)
	if hangUp() {
		err = errors.Join(err, conn.Close())
	} else if err != nil {
		err = ctx.Err()
	}
	return r, err
}

func converse(conn net.Conn, req request, tell func(cache.Progress)) (reply, error) {
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return reply{}, fmt.Errorf("%w: %w", errCutOff, err)
	}
	in := json.NewDecoder(conn)
	for {
		var r reply
		if err := in.Decode(&r); err != nil {
			return reply{}, fmt.Errorf("%w: %w", errCutOff, err)
		}
		if r.Progress != nil && tell != nil {
			tell(*r.Progress)
		}
		if !r.Done {
			continue
		}
		switch {
		case r.Left != nil:
			return r, r.Left
		case r.Busy:
			return r, errBusy
		case r.Error != "":
			return r, errors.New(r.Error)
		}
		return r, nil
	}
}
