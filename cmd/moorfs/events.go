package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moorfs/moorfs/s3backend"
)

// secretVariable holds the secret that senders of notifications know, for those
// who have no file.
const secretVariable = "MOORFS_EVENTS_SECRET"

// The forms of --events.
const (
	eventsHTTP = "http"
	eventsSQS  = "sqs"
)

// checkEvents refuses what --events cannot mean.
func checkEvents(s settings) error {
	how, where, _ := strings.Cut(s.text("events"), ":")
	switch {
	case s.text("events") != "" && (how != eventsHTTP && how != eventsSQS || where == ""):
		return fmt.Errorf("option events: %q is neither http:HOST:PORT nor sqs:URL", s.text("events"))
	case s.text("events-secret-file") != "" && how != eventsHTTP:
		return errors.New("--events-secret-file is for --events http:HOST:PORT")
	}
	return nil
}

// An eventSource hands on what notifications say of the bucket.
type eventSource interface {
	// Check fails if there will be none; it may hand on what there is.
	Check(ctx context.Context, handle func(...s3backend.Change)) error
	// Run hands on until ctx ends.
	Run(ctx context.Context, handle func(...s3backend.Change))
	// State says how it is.
	State() s3backend.EventState
}

// openEvents takes what --events names, so that a mount that cannot have it
// does not come about.
func (m *mounting) openEvents(ctx context.Context) error {
	how, where, _ := strings.Cut(m.req.set.text("events"), ":")
	switch how {
	case eventsHTTP:
		secret, err := eventsSecret(m.req.set)
		if err != nil {
			return err
		}
		l, err := s3backend.ListenEvents(ctx, where, secret, m.log)
		if err != nil {
			return err
		}
		m.undo.push(always, l.Close)
		m.log.Info("events: listening", "address", l.Addr())
		m.events = l
	case eventsSQS:
		q, err := s3backend.OpenEventQueue(ctx, m.probed, where)
		if err != nil {
			return err
		}
		m.events = q
	}
	return nil
}

func eventsSecret(s settings) (s3backend.SharedSecret, error) {
	if f := s.text("events-secret-file"); f != "" {
		return s3backend.ReadSharedSecret(f)
	}
	return s3backend.NewSharedSecret(os.Getenv(secretVariable)), nil
}

// followEvents begins to hand notifications to the cache. What it knows from an
// earlier mount is not believed: what happened meanwhile nobody told.
func (m *mounting) followEvents(ctx context.Context) error {
	if m.events == nil {
		return nil
	}
	m.cache.DoubtAll()
	if err := m.events.Check(ctx, m.cache.RemoteChanged); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.events.Run(run, m.cache.RemoteChanged)
	}()
	m.undo.push(always, func() error {
		stop()
		<-done
		return nil
	})
	return nil
}
