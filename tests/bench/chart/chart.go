// Package chart draws lines on two logarithmic axes, as SVG.
package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// A Plot is a drawing of lines.
type Plot struct {
	Title, X, Y string // of the plot, of its axes
	Lines       []Line
}

// A Line joins points; all coordinates are above zero.
type Line struct {
	Name string
	X, Y []float64
}

const (
	width, height            = 640, 400
	left, right, top, bottom = 70, 20, 40, 50
)

var colours = []string{"#1f6fb4", "#d9662b", "#3a923a", "#8757a8", "#8c5a4d", "#cc4b9b"}

// An axis maps powers of ten to pixels.
type axis struct {
	low, high int // exponents of ten
	from, to  float64
}

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-float64(a.low))/float64(a.high-a.low)*(a.to-a.from)
}

// axisFor has room for all values.
func axisFor(from, to float64, values []float64) axis {
	a := axis{from: from, to: to, low: math.MaxInt, high: math.MinInt}
	for _, v := range values {
		if v > 0 {
			a.low, a.high = min(a.low, int(math.Floor(math.Log10(v)))), max(a.high, int(math.Ceil(math.Log10(v))))
		}
	}
	if a.low > a.high {
		a.low, a.high = 0, 1
	}
	a.high = max(a.high, a.low+1)
	return a
}

// SVG draws the plot.
func (p Plot) SVG() []byte {
	var xs, ys []float64
	for _, l := range p.Lines {
		xs, ys = append(xs, l.X...), append(ys, l.Y...)
	}
	x, y := axisFor(left, width-right, xs), axisFor(height-bottom, top, ys)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15">%s</text>`+"\n", left, html.EscapeString(p.Title))
	for e := x.low; e <= x.high; e++ {
		at := x.at(math.Pow10(e))
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, top, height-bottom, at, height-bottom+18, power(e))
	}
	for e := y.low; e <= y.high; e++ {
		at := y.at(math.Pow10(e))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, at, width-right, left-6, at+4, power(e))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-12, html.EscapeString(p.X))
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(p.Y))
	for i, l := range p.Lines {
		l.draw(&b, x, y, i)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (l Line) draw(b *bytes.Buffer, x, y axis, i int) {
	colour := colours[i%len(colours)]
	path, command := "", "M"
	for i := range l.X {
		if l.X[i] > 0 && l.Y[i] > 0 {
			px, py := x.at(l.X[i]), y.at(l.Y[i])
			path += fmt.Sprintf("%s%.1f %.1f", command, px, py)
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px, py, colour)
			command = "L"
		}
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, colour)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+12, top+18+16*i, colour, html.EscapeString(l.Name))
}

// power shows ten to the e.
func power(e int) string { return fmt.Sprintf("%g", math.Pow10(e)) }
