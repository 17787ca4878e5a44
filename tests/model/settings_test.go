package model

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// settingRuns is how many programs are run under every setting.
const settingRuns = 4

// TestSettings runs programs of one machine under different settings: what
// they show must be the same.
func TestSettings(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("replay with -model.seed %d -model.ops %d", first, *length)
	for n := range uint64(settingRuns) {
		p := randomProgram(first+n, *length)
		p = exact(p)
		due := runOnCaches(t, p)
		if due.err != nil {
			report(t, p, due.err)
			return
		}
		for name := range p.settings.flags() {
			q := p
			*q.settings.flags()[name] = true // "two": the other does nothing
			if v := runOnCaches(t, q); v.err != nil {
				report(t, q, v.err)
			} else if !slices.Equal(due.log, v.log) {
				t.Errorf("%s\nshows\n%q\nwant\n%q", q, v.log, due.log)
			}
		}
	}
}

// exact leaves of a program what shows the same however long things take: the
// operations of one machine that is never out of reach of the bucket, and whose
// files are closed when it crashes.
func exact(p program) program {
	q := program{settings: settings{ttl: isolation}}
	for _, o := range p.ops {
		if o.who == foreign || o.who == machineB || o.verb == "offline" {
			continue
		}
		if o.verb == "crash" {
			for h := range handles {
				q.ops = append(q.ops, op{who: o.who, verb: "close", h: h})
			}
		}
		q.ops = append(q.ops, o)
	}
	return q
}
