package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// A cell is a place in the tables.
type cell struct {
	Work, Net, Kind string
}

// A measured is a cell and its figure.
type measured struct {
	cell
	Figure figure
}

// results are all that a run found, as recorded in JSON.
type results struct {
	Settings settings
	Machine  machine
	Took     string
	Figures  []measured
	Skipped  []cell  `json:",omitempty"` // there was no time
	Ratios   []ratio // of moorfs to what it is held against
	Curves   []curve `json:",omitempty"`
}

// A machine tells where it was.
type machine struct {
	Kernel, Go, Moorfs string
	Processors         int
	MemoryGiB          int
	Disk               string // filesystem of the cache
	Load               string // when it began
	Servers, Peers     []string
	Date               string
}

// A ratio is one target and what was found.
type ratio struct {
	Work, Net string
	Of        measure
	Against   string  `json:",omitempty"` // empty: Value is moorfs's own measure
	Value     float64 // moorfs / against
	Most      float64
	Met       bool
	Note      string `json:",omitempty"` // why there is no value
}

// failed is the note of a ratio whose work moorfs did not do, or not rightly.
const failed = "failed"

func newResults(s settings) *results {
	return &results{Settings: s, Machine: thisMachine()}
}

// add records the figure of a cell in place of what was recorded before.
func (r *results) add(c cell, f figure) {
	for i := range r.Figures {
		if r.Figures[i].cell == c {
			r.Figures[i].Figure = f
			return
		}
	}
	r.Figures = append(r.Figures, measured{c, f})
}

// figure returns what was measured for c.
func (r *results) figure(c cell) (figure, bool) {
	for _, m := range r.Figures {
		if m.cell == c {
			return m.Figure, m.Figure.Failed == ""
		}
	}
	return figure{}, false
}

// failures tells of runs that failed, but for those of peers.
func (r *results) failures() []string {
	var all []string
	for _, m := range r.Figures {
		if m.Figure.Failed != "" && !isPeer(m.Kind) {
			all = append(all, fmt.Sprintf("%s: %s", m.cell, m.Figure.Failed))
		}
	}
	return all
}

func isPeer(name string) bool {
	for _, p := range peers {
		if p.program == name {
			return true
		}
	}
	return false
}

// holdTo computes the ratios.
func (r *results) holdTo(all []*work) {
	r.Ratios = nil
	for _, w := range all {
		for _, net := range w.nets {
			for _, t := range w.targets {
				r.Ratios = append(r.Ratios, r.ratio(w, net, t))
			}
		}
	}
}

func (r *results) ratio(w *work, net string, t target) ratio {
	out := ratio{Work: w.name, Net: net, Of: t.of, Against: t.against, Most: t.most}
	own, ok := r.figure(cell{w.name, net, w.subject(t.of)})
	if !ok {
		out.Note = "not measured"
		if own.Failed != "" {
			out.Note = failed
		}
		return out
	}
	out.Value = own.value(t.of)
	if t.against != "" {
		ref, ok := r.reference(w, net, t)
		if !ok {
			out.Value, out.Note = 0, t.against+" not measured"
			return out
		}
		out.Value /= ref
	}
	out.Met = out.Value <= t.most
	return out
}

// reference returns what a target is held against, and whether it was
// measured.
func (r *results) reference(w *work, net string, t target) (float64, bool) {
	if t.against != bestPeer {
		f, ok := r.figure(cell{w.name, net, t.against})
		return f.value(t.of), ok && f.value(t.of) > 0
	}
	best := 0.0
	for _, p := range peers {
		f, ok := r.figure(cell{w.name, net, p.program})
		if v := f.value(t.of); ok && v > 0 && (best == 0 || v < best) {
			best = v
		}
	}
	return best, best > 0
}

// thisMachine looks at the machine.
func thisMachine() machine {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly),
		Servers: []string{"MinIO and versitygw as pinned in tests/servers/go.mod"}, Peers: peerVersions()}
	m.Kernel = strings.TrimSpace(readText("/proc/sys/kernel/osrelease"))
	m.Load = strings.Join(strings.Fields(readText("/proc/loadavg"))[:1], "")
	if _, rest, ok := strings.Cut(readText("/proc/meminfo"), "MemTotal:"); ok {
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err == nil {
			m.MemoryGiB = kib >> 20
		}
	}
	m.Disk = firstLine(exec.Command("findmnt", "-n", "-o", "FSTYPE", "-T", harness.Root()))
	m.Moorfs = firstLine(exec.Command("git", "describe", "--always", "--dirty"))
	return m
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return string(text)
}

// firstLine runs a command; what cannot be found out is unknown.
func firstLine(cmd *exec.Cmd) string {
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func load(path string) (*results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &results{}
	return r, json.Unmarshal(data, r)
}

func (r *results) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
