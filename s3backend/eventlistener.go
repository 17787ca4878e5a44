package s3backend

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	eventBody    = 1 << 20 // bytes of a notification; S3's have at most 256 KiB
	eventTimeout = 10 * time.Second
	eventsAtOnce = 64 // requests; more are told to come again
	eventSecret  = "X-Moorfs-Secret"
)

// A SharedSecret is what a sender of notifications has to know. It prints as
// nothing of it. The zero SharedSecret is none.
type SharedSecret struct {
	sum *[sha256.Size]byte
}

// NewSharedSecret makes a secret of a word; an empty one is none.
func NewSharedSecret(word string) SharedSecret {
	if word == "" {
		return SharedSecret{}
	}
	sum := sha256.Sum256([]byte(word))
	return SharedSecret{&sum}
}

// ReadSharedSecret reads a secret from a file: its first line. The file must be
// a regular one of ours or of root, closed to group and others.
func ReadSharedSecret(file string) (SharedSecret, error) {
	b, err := readSecretFile(file, 4096)
	if err != nil {
		return SharedSecret{}, fmt.Errorf("secret of events: %w", err)
	}
	word, _, _ := strings.Cut(string(b), "\n")
	if word = strings.TrimSpace(word); word == "" {
		return SharedSecret{}, fmt.Errorf("secret of events: file %s: has none in its first line", file)
	}
	return NewSharedSecret(word), nil
}

// String returns what may be shown of the secret.
func (s SharedSecret) String() string { return "[redacted]" }

// GoString is String.
func (s SharedSecret) GoString() string { return s.String() }

// is compares in a time that says nothing of the secret.
func (s SharedSecret) is(word string) bool {
	sum := sha256.Sum256([]byte(word))
	return subtle.ConstantTimeCompare(sum[:], s.sum[:]) == 1
}

// knownTo reports whether a request carries the secret: as a bearer token, as
// MinIO sends it, in a header of its own, as EventBridge can be told to, or as
// the password in a URL, as SNS has it.
func (s SharedSecret) knownTo(r *http.Request) bool {
	if s.sum == nil {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, password, _ := r.BasicAuth()
	return strings.EqualFold(scheme, "Bearer") && s.is(strings.TrimSpace(token)) || s.is(r.Header.Get(eventSecret)) || s.is(password)
}

// An EventListener takes notifications over HTTP.
type EventListener struct {
	secret SharedSecret
	log    *slog.Logger
	inner  net.Listener
	slots  chan struct{}
	said   sparing
	asked  sparing
	eventBook
}

// ListenEvents listens on HOST:PORT; port 0 is any that is free. Without a
// secret only loopback addresses may be listened on. Nobody is answered before
// Run.
func ListenEvents(ctx context.Context, addr string, secret SharedSecret, log *slog.Logger) (*EventListener, error) {
	if host, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		return nil, fmt.Errorf("events: %q is no HOST:PORT", addr)
	} else if secret.sum == nil && !loopback(host) {
		return nil, fmt.Errorf("events: whoever reaches %s could have the bucket asked again and again: give a secret (MOORFS_EVENTS_SECRET or --events-secret-file), or listen on 127.0.0.1", addr)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("events: %s is taken by another process; choose another port", addr)
	case err != nil:
		return nil, fmt.Errorf("events: cannot listen on %s: %w", addr, err)
	}
	return &EventListener{secret: secret, log: log, inner: l, slots: make(chan struct{}, eventsAtOnce),
		eventBook: eventBook{state: EventState{Source: l.Addr().String()}}}, nil
}

// Addr returns the address that is listened on.
func (l *EventListener) Addr() string { return l.inner.Addr().String() }

// Check is nil: what it could find ListenEvents has.
func (l *EventListener) Check(context.Context, func(...Change)) error { return nil }

// Run hands on what comes, until ctx ends. handle is called by many at once.
func (l *EventListener) Run(ctx context.Context, handle func(...Change)) {
	s := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.serve(w, r, handle) }),
		ReadHeaderTimeout: eventTimeout, ReadTimeout: eventTimeout, WriteTimeout: eventTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })() // the connections: senders repeat what was not answered
	if err := s.Serve(l.inner); !errors.Is(err, http.ErrServerClosed) {
		l.ended(err)
		l.log.Error("events: no more are taken", "address", l.Addr(), "error", err)
	}
}

// Close ends the listening, if Run never began.
func (l *EventListener) Close() error {
	if err := l.inner.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

func (l *EventListener) serve(w http.ResponseWriter, r *http.Request, handle func(...Change)) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		http.Error(w, "too many at once", http.StatusServiceUnavailable)
		return
	}
	if !l.secret.knownTo(r) {
		l.refused()
		if more, say := l.said.now(); say {
			l.log.Warn("events: a request without the secret was refused", "from", r.RemoteAddr, "more", more)
		}
		w.Header()["Www-Authenticate"] = []string{`Basic realm="moorfs"`, "Bearer"} // SNS sends what it knows when it is asked for it
		http.Error(w, "the secret is missing or wrong", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "notifications are POSTed", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, eventBody))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body cannot be read", status)
		return
	}
	if topic, link, asks := subscription(body); asks {
		if more, say := l.asked.now(); say {
			l.log.Warn("events: a topic of SNS asks whether it may send notifications here; if it may, open the link",
				"from", r.RemoteAddr, "topic", topic, "link", link, "more", more)
		}
		return
	}
	changes, err := ParseChanges(body)
	handle(changes...)
	l.took(changes)
	if err != nil {
		l.refused()
		if more, say := l.said.now(); say {
			l.log.Warn("events: a request was refused", "from", r.RemoteAddr, "bytes", len(body), "error", err, "more", more)
		}
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// subscription reports whether a body is what SNS sends first to who is to have
// its notifications, and the link that has it send them. Nothing proves here who
// has sent it, so that a person has to follow it.
func subscription(body []byte) (topic, link string, asks bool) {
	var s struct{ Type, TopicArn, SubscribeURL string }
	if json.Unmarshal(body, &s) != nil || s.Type != "SubscriptionConfirmation" || len(s.TopicArn) > 512 || len(s.SubscribeURL) > 2048 {
		return "", "", false
	}
	u, err := url.Parse(s.SubscribeURL)
	if err != nil || u.Scheme != "https" || !snsHost.MatchString(u.Host) {
		return "", "", false
	}
	return s.TopicArn, s.SubscribeURL, true
}

var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// sparing keeps what strangers can cause from filling the log: one line a
// minute, which says how many it stands for.
type sparing struct {
	mu   sync.Mutex // a leaf
	last time.Time
	more int
}

func (s *sparing) now() (more int, say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last) < time.Minute {
		s.more++
		return 0, false
	}
	more, s.more, s.last = s.more, 0, time.Now()
	return more, true
}
