package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache"
)

// A progressLine shows how a drain goes: one line that rewrites itself on a
// terminal, a line every ten seconds elsewhere. Not for concurrent use.
type progressLine struct {
	out      io.Writer
	terminal bool
	began    time.Time
	shown    time.Time
	first    int64 // uploaded when we began
	open     bool  // the cursor is behind a line that must be ended
}

func newProgressLine(out *os.File) *progressLine {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &progressLine{out: out, terminal: err == nil}
}

// tell shows p, unless the line is too young.
func (l *progressLine) tell(p cache.Progress) {
	now := time.Now()
	if l.began.IsZero() {
		l.began, l.first = now, p.Uploaded
		if !l.terminal {
			l.shown = now // what is quickly done needs no words
		}
	}
	every := 10 * time.Second
	if l.terminal {
		every = 100 * time.Millisecond
	}
	if now.Sub(l.shown) < every {
		return
	}
	l.shown = now
	text := l.text(p, now)
	if l.terminal {
		fmt.Fprintf(l.out, "\r\x1b[K%s", text)
		l.open = true
		return
	}
	fmt.Fprintln(l.out, text)
}

func (l *progressLine) text(p cache.Progress, now time.Time) string {
	sent := p.Uploaded - l.first
	s := fmt.Sprintf("%s, %s to go", plural(p.Files, "file"), humanize.IBytes(uint64(max(0, p.Bytes))))
	if total := sent + p.Bytes; total > 0 && l.terminal {
		const width = 24
		done := int(width * sent / total)
		bar := make([]byte, width)
		for i := range bar {
			bar[i] = '.'
			if i < done {
				bar[i] = '#'
			}
		}
		s = fmt.Sprintf("[%s] %s", bar, s)
	}
	if t := now.Sub(l.began).Seconds(); t > 1 && sent > 0 {
		s += fmt.Sprintf(", %s/s", humanize.IBytes(uint64(float64(sent)/t)))
	}
	if p.Refused > 0 {
		s += fmt.Sprintf(", %d refused: %s", p.Refused, p.Error)
	}
	return s
}

// end leaves the terminal's line clean for what comes next.
func (l *progressLine) end() {
	if l.open {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.open = false
	}
}
