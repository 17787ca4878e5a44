package exercise

import (
	"bytes"
	"slices"
	"syscall"
)

// duplicate is copy_file_range.
func (sh *shadow) duplicate(from *slot, s step) (want result, applies bool) {
	to := sh.slots[s.To]
	if to == nil {
		return want, false
	}
	if !from.canRead || !to.canWrite || to.appends {
		return result{Errno: syscall.EBADF}, true
	}
	end := min(s.Off+s.N, int64(len(from.c.data)))
	if s.Off >= end {
		return want, true
	}
	if from.c == to.c && s.Off < s.Into+end-s.Off && s.Into < end {
		return result{Errno: syscall.EINVAL}, true
	}
	to.c.put(s.Into, bytes.Clone(from.c.data[s.Off:end]))
	to.wrote = true
	want.N = end - s.Off
	sh.note(to.c)
	return want, true
}

// resize cuts a file; pages behind the new end leave private maps too.
func (sh *shadow) resize(c *content, size int64) {
	if size < int64(len(c.data)) {
		for _, m := range sh.maps {
			for page := range m.own {
				if m.c == c && page*pageSize >= size {
					delete(m.own, page)
				}
			}
		}
	}
	c.cut(size)
	sh.note(c)
}

// map_ does the steps of maps. Steps behind the file's last page do not apply:
// they would end the process.
func (sh *shadow) map_(s step) (want result, applies bool) {
	if s.Do == mmap {
		at := sh.slots[s.H]
		switch {
		case at == nil || sh.maps[s.M] != nil:
			return want, false
		case !at.canRead || s.How == "shared" && !at.canWrite:
			return result{Errno: syscall.EACCES}, true
		}
		sh.maps[s.M] = &mapping{c: at.c, off: s.Off, n: s.N, how: s.How, own: map[int64][]byte{}}
		at.c.mapped = at.c.mapped || s.How == "shared"
		return want, true
	}
	m := sh.maps[s.M]
	if m == nil {
		return want, false
	}
	switch s.Do {
	case munmap:
		delete(sh.maps, s.M)
		return want, true
	case msync:
		if m.how == "shared" {
			m.c.settle()
		}
		return want, true
	}
	size := int64(len(m.c.data))
	end := m.off + s.Off + s.N
	if s.Off+s.N > m.n || end > (size+pageSize-1)/pageSize*pageSize {
		return want, false
	}
	if s.Do == load {
		want.Data = m.load(s.Off, s.N)
		return want, true
	}
	return want, sh.store(m, s)
}

func (m *mapping) load(off, n int64) []byte {
	data := make([]byte, n)
	from := m.off + off
	if from < int64(len(m.c.data)) {
		copy(data, m.c.data[from:])
	}
	for page, own := range m.own {
		at := page*pageSize - from
		if at > -pageSize && at < n {
			copy(data[max(at, 0):], own[max(-at, 0):])
		}
	}
	return data
}

// store writes through a map. Bytes behind the end of a shared file belong to
// nobody, so none are written there.
func (sh *shadow) store(m *mapping, s step) bool {
	data, from := filling(s.Fill, s.N), m.off+s.Off
	switch m.how {
	case "read":
		return false
	case "shared":
		if from+s.N > int64(len(m.c.data)) {
			return false
		}
		m.c.put(from, data)
		sh.note(m.c)
		return true
	}
	for page := from / pageSize; page*pageSize < from+s.N; page++ {
		if m.own[page] == nil {
			m.own[page] = m.load(page*pageSize-m.off, pageSize)
		}
		at := page*pageSize - from
		copy(m.own[page][max(-at, 0):], data[max(at, 0):])
	}
	return true
}

// named does the steps that name a file.
func (sh *shadow) named(s step) (want result, applies bool) {
	c := sh.names[s.File]
	if c == nil {
		return result{Errno: syscall.ENOENT}, true
	}
	switch s.Do {
	case stat:
		want.N = int64(len(c.data))
	case whole:
		want.Data = bytes.Clone(c.data)
	case truncate:
		sh.resize(c, s.N)
	case unlink:
		delete(sh.names, s.File)
	case rename:
		if s.File != s.Name {
			sh.names[s.Name] = c
			delete(sh.names, s.File)
		}
	case exchange:
		other := sh.names[s.Name]
		if other == nil {
			return result{Errno: syscall.ENOENT}, true
		}
		sh.names[s.File], sh.names[s.Name] = other, c
	}
	return want, true
}

// inUse reports whether a file is open or mapped.
func (sh *shadow) inUse(c *content) bool {
	for _, at := range sh.slots {
		if at.c == c {
			return true
		}
	}
	for _, m := range sh.maps {
		if m.c == c {
			return true
		}
	}
	return false
}

// bytesInUse is what all files take, those too that are only open.
func (sh *shadow) bytesInUse() int64 {
	var all []*content
	for _, c := range sh.names {
		all = append(all, c)
	}
	for _, at := range sh.slots {
		all = append(all, at.c)
	}
	for _, m := range sh.maps {
		all = append(all, m.c)
	}
	n := int64(0)
	for i, c := range all {
		if !slices.Contains(all[:i], c) {
			n += int64(len(c.data))
		}
	}
	return n
}
