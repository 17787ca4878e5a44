package chart

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	p := Plot{Title: "a < b", X: "files", Y: "seconds", Lines: []Line{
		{Name: "one & only", X: []float64{1, 100}, Y: []float64{0.1, 10}},
		{Name: "zero is not drawn", X: []float64{1}, Y: []float64{0}},
	}}
	svg := string(p.SVG())
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Fatalf("%v in %s", err, svg)
	}
	// Lowest value at the left and bottom, highest at the right and top.
	for _, want := range []string{`d="M70.0 350.0L620.0 40.0"`, "a &lt; b", "one &amp; only"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in %s", want, svg)
		}
	}
	if n := strings.Count(svg, "<circle"); n != 2 {
		t.Errorf("%d points, want 2", n)
	}
	if empty := (Plot{}).SVG(); !strings.HasSuffix(string(empty), "</svg>\n") {
		t.Errorf("nothing to draw: %s", empty)
	}
}
