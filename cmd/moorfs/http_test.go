package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHTTPAddress(t *testing.T) {
	for in, want := range map[string]string{
		"9000": "127.0.0.1:9000", ":9000": "127.0.0.1:9000", "0.0.0.0:9000": "0.0.0.0:9000", "[::1]:0": "[::1]:0", "localhost:1": "localhost:1",
	} {
		if got, err := httpAddress(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"::1:9000:x", "abc", "70000", "-1", "localhost:", ":"} {
		if got, err := httpAddress(in); err == nil || !strings.Contains(err.Error(), "neither PORT nor HOST:PORT") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// TestHostOfAnother: a page of some site, whose name was made to mean this
// machine, reads nothing.
func TestHostOfAnother(t *testing.T) {
	w := &webServer{loopback: true, slots: make(chan struct{}, 1)}
	for host, want := range map[string]int{
		"localhost": http.StatusNotFound, "LOCALHOST:9000": http.StatusNotFound, "127.0.0.1:9000": http.StatusNotFound, "[::1]:9000": http.StatusNotFound,
		"evil.example": http.StatusForbidden, "evil.example:9000": http.StatusForbidden, "192.0.2.1:9000": http.StatusForbidden, "": http.StatusForbidden,
		"localhost.evil.example": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodGet, "/nothing", nil)
		r.Host = host
		out := httptest.NewRecorder()
		w.handler().ServeHTTP(out, r)
		if out.Code != want {
			t.Errorf("host %q: %d, want %d", host, out.Code, want)
		}
	}
	w.loopback = false // told to listen elsewhere, any name may be its
	r := httptest.NewRequest(http.MethodPost, "/status", nil)
	out := httptest.NewRecorder()
	w.handler().ServeHTTP(out, r)
	if out.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", out.Code)
	}
	w.slots <- struct{}{}
	out = httptest.NewRecorder()
	w.handler().ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/status", nil))
	if out.Code != http.StatusServiceUnavailable {
		t.Errorf("more than it answers at a time: %d", out.Code)
	}
}

// metricsTable is METRICS.md's table.
func metricsTable() string {
	kinds := map[prometheus.ValueType]string{counter: "counter", gauge: "gauge", histogram: "histogram"}
	var b strings.Builder
	b.WriteString("| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, kinds[m.kind], strings.Join(m.labels, ", "), m.help)
	}
	return b.String()
}

// TestMetricsDocument: METRICS.md says what there is. -update writes it.
func TestMetricsDocument(t *testing.T) {
	const name, mark = "METRICS.md", "| metric |"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, table, _ := strings.Cut(string(b), mark)
	if mark+table == metricsTable() {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; go test ./cmd/moorfs -run Metrics -update", name)
	}
	if err := os.WriteFile(name, []byte(head+metricsTable()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMetricsAreValid: names and labels fit together in every sample.
func TestMetricsAreValid(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(collector{}); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 10 {
		t.Errorf("only %d metrics of an empty mount", len(families))
	}
}
