package model

import (
	"time"
)

// minimise returns the shortest program found that fails as well, by leaving
// out ever smaller pieces, as long as time is left.
func minimise(p program, limit time.Duration, fails func(program) bool) program {
	end := time.Now().Add(limit)
	for chunk := (len(p.ops) + 1) / 2; chunk > 0 && time.Now().Before(end); {
		smaller := false
		for at := 0; at < len(p.ops) && time.Now().Before(end); {
			q := program{settings: p.settings}
			q.ops = append(append(q.ops, p.ops[:at]...), p.ops[min(at+chunk, len(p.ops)):]...)
			if fails(q) {
				p, smaller = q, true
			} else {
				at += chunk
			}
		}
		if !smaller {
			chunk /= 2
		} else {
			chunk = min(chunk, (len(p.ops)+1)/2)
		}
	}
	return p
}

// simplify turns off settings that the failure does not need.
func simplify(p program, fails func(program) bool) program {
	for name := range p.settings.flags() {
		q := p
		if flag := q.settings.flags()[name]; *flag {
			if *flag = false; fails(q) {
				p = q
			}
		}
	}
	return p
}
