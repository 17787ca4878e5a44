package exercise

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapKinds gives protection and flags of each How of an mmap step.
var mapKinds = map[string]struct{ prot, flags int }{
	"read":    {unix.PROT_READ, unix.MAP_SHARED},
	"shared":  {unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED},
	"private": {unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE},
}

// map_ does the steps of maps.
func (w *worker) map_(s step) (r result, err error) {
	if s.Do == mmap {
		kind := mapKinds[s.How]
		m, err := unix.Mmap(w.slots[s.H], s.Off, int(s.N), kind.prot, kind.flags)
		if err == nil {
			w.maps[s.M] = m
		}
		return r, err
	}
	m, there := w.maps[s.M]
	if !there {
		return r, fmt.Errorf("map %d is empty", s.M)
	}
	switch s.Do {
	case load:
		r.Data = make([]byte, s.N)
		copy(r.Data, m[s.Off:s.Off+s.N])
	case store:
		copy(m[s.Off:s.Off+s.N], filling(s.Fill, s.N))
	case msync:
		return r, unix.Msync(m, unix.MS_SYNC)
	case munmap:
		delete(w.maps, s.M)
		return r, unix.Munmap(m)
	}
	return r, nil
}

// named does the steps that name a file.
func (w *worker) named(s step) (r result, err error) {
	path, to := w.dir+"/"+s.File, w.dir+"/"+s.Name
	switch s.Do {
	case rename:
		return r, unix.Rename(path, to)
	case exchange:
		return r, unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	case unlink:
		return r, unix.Unlink(path)
	case truncate:
		return r, unix.Truncate(path, s.N)
	case stat:
		var st unix.Stat_t
		if err = unix.Stat(path, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = unix.EISDIR // or something else that no step makes
		}
		r.N = st.Size
		return r, err
	}
	fd, err := unix.Open(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r, err
	}
	r.Data, err = readAll(fd, s.N)
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	return r, err
}

// readAll reads from beginning to end, n bytes at a time.
func readAll(fd int, n int64) ([]byte, error) {
	var data []byte
	piece := make([]byte, n)
	for {
		n, err := unix.Read(fd, piece)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return data, err
		}
		data = append(data, piece[:n]...)
	}
}
