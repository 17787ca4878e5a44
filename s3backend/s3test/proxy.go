package s3test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Proxy is an http endpoint on loopback that passes requests on to a server
// as they are: the Host header stays, so signatures stay valid. It may be used
// concurrently.
type Proxy struct {
	URL string

	target *url.URL
	client *http.Transport
	server *http.Server
	done   chan error

	mu        sync.Mutex
	counts    map[string]int
	injected  int
	faults    []*Fault
	latency   time.Duration
	bandwidth int64
	offline   bool
}

// A Fault makes requests fail.
type Fault struct {
	Match  func(*http.Request) bool // which; nil: all
	Skip   int                      // let so many of them pass first
	Times  int                      // then hit so many; 0: all
	Effect Effect

	seen int // of those that match; guarded by Proxy.mu
}

// On matches the requests of some operations, named as Operation does.
func On(operations ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		op := Operation(r)
		for _, o := range operations {
			if o == op {
				return true
			}
		}
		return false
	}
}

// NewProxy starts a proxy in front of target; Close ends it.
func NewProxy(target *Server) (*Proxy, error) {
	raw, err := NewRaw(target, "")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	to, err := url.Parse(target.URL)
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{
		URL: "http://" + l.Addr().String(), target: to, client: raw.client.Transport.(*http.Transport),
		counts: map[string]int{}, done: make(chan error, 1),
	}
	// Requests that are cut off on purpose are nothing to log.
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: quiet}
	go func() { p.done <- p.server.Serve(&slowListener{l, p}) }()
	return p, nil
}

// Proxy starts a proxy in front of s that lives as long as the test.
func (s *Server) Proxy(t TB) *Proxy {
	t.Helper()
	p, err := NewProxy(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return p
}

// Close cuts all connections and ends the proxy.
func (p *Proxy) Close() error {
	err := p.server.Close()
	if served := <-p.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	p.client.CloseIdleConnections()
	return err
}

// Counts returns how many requests have come since the last Reset, by
// operation; those that were made to fail are among them.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Injected returns how many requests a fault, or Offline, has hit.
func (p *Proxy) Injected() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.injected
}

// Reset sets all counts to zero.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
	p.injected = 0
}

// Slow delays every request by latency and limits every connection to so many
// bytes a second in each direction (0: no limit).
func (p *Proxy) Slow(latency time.Duration, bandwidth int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency, p.bandwidth = latency, bandwidth
}

// Offline makes every connection end at once with a reset, those that are open
// too, or lets them work again.
func (p *Proxy) Offline(offline bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offline = offline
}

// Fault adds a fault. The first that fits a request and is not used up is the
// one that hits it.
func (p *Proxy) Fault(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Heal removes all faults.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// admit counts a request and says what is to happen to it.
func (p *Proxy) admit(r *http.Request) (effect Effect, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[Operation(r)]++
	if p.offline {
		p.injected++
		return Refuse(), 0
	}
	for _, f := range p.faults {
		if f.Match != nil && !f.Match(r) || f.Times > 0 && f.seen >= f.Skip+f.Times {
			continue
		}
		if f.seen++; f.seen > f.Skip {
			p.injected++
			return f.Effect, p.latency
		}
	}
	return nil, p.latency
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	effect, latency := p.admit(r)
	if latency > 0 && pause(r.Context(), latency) != nil {
		panic(http.ErrAbortHandler)
	}
	pass := http.Handler(http.HandlerFunc(p.pass))
	if effect != nil {
		pass = effect(pass)
	}
	pass.ServeHTTP(w, r)
}

// pass sends the request to the server and its answer back.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = p.target.Scheme, p.target.Host, ""
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	answer, err := p.client.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // to the client: a connection that broke
	}
	defer answer.Body.Close()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
