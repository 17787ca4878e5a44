package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache"
)

const (
	httpClients = 16               // answered at a time
	httpTime    = 10 * time.Second // for one request
	httpHeaders = 16 << 10
	healthTime  = 5 * time.Second // for the cache to answer
)

// httpAddress reads --http: a port, or HOST:PORT. Without a host it is the
// loopback address.
func httpAddress(s string) (string, error) {
	full := s
	if !strings.Contains(s, ":") {
		full = ":" + s
	}
	host, port, err := net.SplitHostPort(full)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || number != nil {
		return "", fmt.Errorf("option http: %q is neither PORT nor HOST:PORT", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// A webServer serves metrics, health and status of a mount, for reading. What
// it shows has names of files, but neither secrets nor content.
type webServer struct {
	live     *live
	server   *http.Server
	listener net.Listener
	loopback bool // it listens there alone
	slots    chan struct{}
	process  *prometheus.Registry
}

// listenHTTP takes the address of --http, if there is one, so that a mount that
// cannot have it does not come about.
func (m *mounting) listenHTTP(ctx context.Context) error {
	s := m.req.set.text("http")
	if s == "" {
		return nil
	}
	address, err := httpAddress(s)
	if err != nil {
		return err
	}
	m.web, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("option http: %s is taken by another process; choose another port", address)
	case err != nil:
		return fmt.Errorf("option http: cannot listen on %s: %w", address, err)
	}
	m.undo.push(onFailure, func() error {
		if err := m.web.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// serveHTTP serves who comes to listener.
func serveHTTP(listener net.Listener, l *live) *webServer {
	w := &webServer{live: l, listener: listener, slots: make(chan struct{}, httpClients), process: prometheus.NewRegistry()}
	if tcp, ok := w.listener.Addr().(*net.TCPAddr); ok {
		w.loopback = tcp.IP.IsLoopback()
	}
	w.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w.server = &http.Server{Handler: w.handler(), ReadTimeout: httpTime, WriteTimeout: httpTime + healthTime, IdleTimeout: time.Minute,
		MaxHeaderBytes: httpHeaders}
	go func() {
		if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
			l.log.Error("http", "error", err)
		}
	}()
	l.log.Info("http", "address", w.listener.Addr().String())
	return w
}

func (w *webServer) close() error { return w.server.Close() }

// handler answers GET and HEAD, httpClients at a time.
func (w *webServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", w.metrics)
	mux.HandleFunc("GET /healthz", w.health)
	mux.HandleFunc("GET /status", w.status)
	mux.HandleFunc("GET /{$}", w.page)
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.loopback && !isLoopbackHost(r.Host) {
			// A page of some site whose name was made to mean this machine.
			http.Error(out, "this server answers to localhost only", http.StatusForbidden)
			return
		}
		select {
		case w.slots <- struct{}{}:
			defer func() { <-w.slots }()
		default:
			http.Error(out, "busy", http.StatusServiceUnavailable)
			return
		}
		h := out.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		mux.ServeHTTP(out, r)
	})
}

// isLoopbackHost reports whether a Host header names this machine's loopback.
func isLoopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// report is the status of this mount alone.
func (w *webServer) report(ctx context.Context) (mountStatus, error) {
	var s mountStatus
	err := bounded(ctx, healthTime, func() error {
		s = w.live.status()
		return nil
	})
	if err != nil {
		return mountStatus{}, err // s may still be written to
	}
	return s, nil
}

// bounded is fn, or an error if that takes longer than limit: who is stuck may
// hold a lock of the cache. fn may go on then.
func bounded(ctx context.Context, limit time.Duration, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the cache does not answer: %w", ctx.Err())
	}
}

func (w *webServer) status(out http.ResponseWriter, r *http.Request) {
	s, err := w.report(r.Context())
	if err != nil {
		http.Error(out, err.Error(), http.StatusServiceUnavailable)
		return
	}
	out.Header().Set("Content-Type", "application/json")
	if err := (statusReport{Mounts: []mountReport{s.report()}, Idle: []cacheNote{}}).show(out, true); err != nil {
		w.live.log.Debug("http", "error", err)
	}
}

func (w *webServer) metrics(out http.ResponseWriter, r *http.Request) {
	s, err := w.report(r.Context())
	if err != nil {
		http.Error(out, err.Error(), http.StatusServiceUnavailable)
		return
	}
	c := collector{sample{mount: s.Mount, cache: s.Cache, requests: w.live.server.Counts(), s3: s.Requests, stuck: s.Stuck, faults: s.Faults, events: s.Events,
		skew: w.live.client.Skew()}}
	c.sample.results, c.sample.retries = w.live.client.Results()
	mounts := prometheus.NewRegistry()
	mounts.MustRegister(c)
	promhttp.HandlerFor(prometheus.Gatherers{mounts, w.process}, promhttp.HandlerOpts{}).ServeHTTP(out, r)
}

// healthNote is written to see whether the journal takes changes.
const healthNote = "health"

// healthy returns why a mount is not well: it is not there, it has not answered
// a request of the file system for --stuck-after, or its journal takes no
// changes. A request of our own would prove no more, and hang with the others.
func (l *live) healthy(ctx context.Context) error {
	select {
	case <-l.gone:
		return errors.New("the mount was taken away")
	default:
	}
	at, mounted, err := mountAt(l.reg.Mountpoint)
	if err != nil {
		return err
	}
	if !mounted || at.device != fmt.Sprintf("0:%d", l.reg.Connection) {
		return fmt.Errorf("%s shows another mount, or none", l.reg.Mountpoint)
	}
	if n, oldest := l.server.Unanswered(l.dog.after); n > 0 {
		have := "requests have"
		if n == 1 {
			have = "request has"
		}
		return fmt.Errorf("%d %s not been answered for %s: %s", n, have, l.dog.after, kernelText(oldest))
	}
	now, err := json.Marshal(time.Now())
	if err != nil {
		return err
	}
	return bounded(ctx, healthTime, func() error { return writeNote(l.cache, now) })
}

// writeNote commits a change to the journal.
func writeNote(c *cache.Cache, now []byte) error {
	if err := c.SetNote(healthNote, now); err != nil {
		return fmt.Errorf("the journal takes no changes: %w", err)
	}
	return nil
}

func (w *webServer) health(out http.ResponseWriter, r *http.Request) {
	if err := w.live.healthy(r.Context()); err != nil {
		http.Error(out, oneLine(err), http.StatusServiceUnavailable)
		return
	}
	if _, err := fmt.Fprintln(out, "ok"); err != nil {
		w.live.log.Debug("http", "error", err)
	}
}
