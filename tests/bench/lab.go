package main

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// The networks.
const (
	lan = "lan"
	wan = "wan"
)

// A lab is what all works share: servers, networks and fixtures.
type lab struct {
	t     harness.T
	s     settings
	works []*work
	began time.Time
	until time.Time // begin nothing after it

	networks map[string]*network // by server and name
	direct   map[string]*s3.Client
	fixtures map[string]*fixture
	results  map[string]manifest // of works on the local disk, by name
}

// A network is a way to a server.
type network struct {
	name   string
	server *s3test.Server
	proxy  *s3test.Proxy

	sent, received atomic.Int64 // bytes of bodies, as the client sees them
}

// How the budget is shared; second and third runs have what is left.
const (
	shareOfOwn    = 0.5
	shareOfCurves = 0.1
	shareOfPeers  = 0.2
)

func newLab(t harness.T, s settings) *lab {
	return &lab{t: t, s: s, works: works(s.Sizes), began: time.Now(), networks: map[string]*network{},
		direct: map[string]*s3.Client{}, fixtures: map[string]*fixture{}, results: map[string]manifest{}}
}

// network returns the way of that name to a server, which is started if need
// be.
func (l *lab) network(server, name string) *network {
	key := server + " " + name
	if n := l.networks[key]; n != nil {
		return n
	}
	start := harness.MinIO
	if server == s3test.VersityGW {
		start = harness.Versity
	}
	bucket := start(l.t)
	n := &network{name: name, server: bucket.Server, proxy: bucket.Proxy}
	if name == wan {
		n.proxy.Slow(l.s.Latency, l.s.Bandwidth)
	}
	n.proxy.Fault(s3test.Fault{Effect: n.count}) // a fault that only looks
	if l.direct[server] == nil {
		l.direct[server] = newClient(n.server.URL)
	}
	l.networks[key] = n
	return n
}

// count passes requests on and counts the bytes of their bodies.
func (n *network) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil {
			r.Body = &countingBody{r.Body, &n.sent}
		}
		next.ServeHTTP(&countingWriter{w, &n.received}, r)
	})
}

func (n *network) reset() {
	n.proxy.Reset()
	n.sent.Store(0)
	n.received.Store(0)
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// timeLeft reports whether anything may still be begun.
func (l *lab) timeLeft() bool { return time.Now().Before(l.until) }

// spend lets what follows use the time up to a part of the budget.
func (l *lab) spend(part float64) { l.until = l.began.Add(time.Duration(part * float64(l.s.budget))) }

// wanted returns the works that are to be measured.
func (l *lab) wanted() []*work {
	if len(l.s.only) == 0 {
		return l.works
	}
	var some []*work
	for _, name := range l.s.only {
		some = append(some, l.work(name))
	}
	return some
}

// work returns the work of that name.
func (l *lab) work(name string) *work {
	for _, w := range l.works {
		if w.name == name {
			return w
		}
	}
	l.t.Fatalf("no work is called %q", name)
	return nil
}

// measureAll measures moorfs and its references once, how works grow, the
// peers, and then moorfs and its references again: the most important work
// first, as long as there is time, so that when it is short there are fewer
// runs before there are fewer works.
func (l *lab) measureAll() *results {
	res := newResults(l.s)
	runs := map[cell][]figure{}
	l.spend(shareOfOwn)
	l.round(res, runs, l.kindsOf)
	l.spend(shareOfOwn + shareOfCurves)
	if l.s.plots {
		l.measureCurves(res, growths(l.s.Sizes))
	}
	l.spend(shareOfOwn + shareOfCurves + shareOfPeers)
	l.round(res, runs, func(w *work) []kind { return peersFor(l.s, w) })
	l.spend(1)
	for range l.s.Runs - 1 {
		l.round(res, runs, l.kindsToRepeat)
	}
	res.Took = time.Since(l.began).Round(time.Second).String()
	return res
}

// round measures each wanted work on the kinds that kinds names, once.
func (l *lab) round(res *results, runs map[cell][]figure, kinds func(*work) []kind) {
	for _, w := range l.wanted() {
		for _, net := range l.netsOf(w) {
			for _, k := range kinds(w) {
				c := cell{Work: w.name, Net: net, Kind: k.name}
				if f, ok := l.measureCell(res, c, k); ok {
					runs[c] = append(runs[c], f)
					res.add(c, median(runs[c]))
				}
			}
		}
	}
}

// kindsToRepeat returns the kinds of which there are several runs.
func (l *lab) kindsToRepeat(w *work) []kind {
	if w.once {
		return nil
	}
	return l.kindsOf(w)
}

// netsOf returns the networks on which a work is measured.
func (l *lab) netsOf(w *work) []string {
	if l.s.quick {
		return w.nets[:1]
	}
	return w.nets
}

// measureCell measures one work on one kind of subject, once. What has failed
// before is not tried again.
func (l *lab) measureCell(res *results, c cell, k kind) (figure, bool) {
	before, _ := res.figure(c)
	if before.Failed != "" {
		return before, false
	}
	if !l.timeLeft() {
		if before.Runs == 0 {
			res.Skipped = append(res.Skipped, c)
		}
		return before, false
	}
	begun := time.Now()
	f, err := l.measure(l.work(c.Work), c.Net, k, before.Runs)
	if err != nil {
		l.t.Logf("%s: %v", c, err)
		res.add(c, figure{Failed: err.Error()})
		return f, false
	}
	l.t.Logf("%s, run %d, in %.1f s: %s", c, before.Runs+1, time.Since(begun).Seconds(), f)
	return f, true
}

// kindsOf returns moorfs and what a work is compared with.
func (l *lab) kindsOf(w *work) []kind {
	own := []kind{moorfsKind}
	if w.delayed() {
		own = append(own, delayedKind)
	}
	seen := map[string]bool{}
	for _, t := range w.targets {
		if t.against != "" && t.against != bestPeer && !seen[t.against] {
			seen[t.against] = true
			own = append(own, referenceKinds[t.against])
		}
	}
	return own
}

func (c cell) String() string { return fmt.Sprintf("%s, %s, %s", c.Work, c.Net, c.Kind) }
