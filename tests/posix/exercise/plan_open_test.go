package exercise

// onSlot completes a step of an open file; not ok if none is open there.
func (p *plan) onSlot(s step) (step, bool) {
	s.File, s.M = "", 0
	at := p.sh.slots[s.H]
	if at == nil {
		return s, false
	}
	size := int64(len(at.c.data))
	switch s.Do {
	case read:
		s.Off, s.N = p.upTo(size), 1+p.upTo(longest)
	case write, punch, zero, allocate:
		return p.change(s, at)
	case resize:
		s.N = p.upTo(p.room(at.c, 0))
	case fsync:
		if p.random.IntN(2) == 0 {
			s.How = "data"
		}
	case duplicate:
		return p.duplicate(s, at)
	}
	if p.sh.slots[s.H].direct && s.Do == read {
		s.Off, s.N = pageFloor(s.Off), pageFloor(s.N)+pageSize
	}
	return s, true
}

func pageFloor(n int64) int64 { return n / pageSize * pageSize }

// change completes a step that changes a range, mostly near what is there.
func (p *plan) change(s step, at *slot) (step, bool) {
	size := int64(len(at.c.data))
	limit := p.room(at.c, 0)
	s.Off = p.upTo(min(limit, size+size/4+pageSize))
	if at.appends && s.Do == write {
		s.Off = size
	}
	s.N = p.upTo(min(limit-s.Off, longest))
	if at.direct && s.Do == write && !at.appends {
		s.Off, s.N = pageFloor(s.Off), pageFloor(s.N)
	}
	if s.N <= 0 {
		return s, false
	}
	switch {
	case s.Do == write:
		s.Fill = p.fill()
	case s.Do != punch && p.random.IntN(2) == 0:
		s.How = "keep"
	}
	if at.appends && s.Do == write {
		s.Off = 0
	}
	return s, true
}

func (p *plan) duplicate(s step, at *slot) (step, bool) {
	s.To = 1 + p.random.IntN(openSlots)
	to := p.sh.slots[s.To]
	if to == nil {
		return s, false
	}
	s.Off = p.upTo(int64(len(at.c.data)))
	s.Into = p.upTo(min(int64(len(to.c.data))+pageSize, p.room(to.c, 0)))
	s.N = p.upTo(min(p.room(to.c, s.Into), longest))
	return s, s.N > 0
}

// longestMap is the largest length of a map.
const longestMap = 256 << 10

// onMap completes a step of a map; not ok if there is none.
func (p *plan) onMap(s step) (step, bool) {
	s.File = ""
	if s.Do == mmap {
		at := p.sh.slots[s.H]
		if at == nil {
			return s, false
		}
		s.Off = pageFloor(p.upTo(int64(len(at.c.data))))
		s.N = pageFloor(p.upTo(longestMap)) + pageSize
		s.How = []string{"read", "shared", "shared", "private"}[p.random.IntN(4)]
		return s, true
	}
	s.H = 0
	m := p.sh.maps[s.M]
	if m == nil {
		return s, false
	}
	if s.Do == load || s.Do == store {
		most := min(m.n, int64(len(m.c.data))-m.off)
		if s.Do == load || m.how == "private" {
			most = min(m.n, (most+pageSize-1)/pageSize*pageSize)
		}
		s.Off = p.upTo(most)
		s.N = p.upTo(most - s.Off)
		if s.N <= 0 {
			return s, false
		}
	}
	if s.Do == store {
		s.Fill = p.fill()
	}
	return s, true
}
