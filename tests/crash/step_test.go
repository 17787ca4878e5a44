package crash

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
)

// An action is one system call, or its equal.
type action string

const (
	create   action = "create"   // open O_CREAT|O_EXCL
	reopen   action = "reopen"   // open
	empty    action = "empty"    // open O_TRUNC
	extend   action = "extend"   // open O_APPEND
	write    action = "write"    // pwrite, or write in append mode
	sync     action = "sync"     // fsync
	closing  action = "close"    //
	rename   action = "rename"   // Name → To
	truncate action = "truncate" // by path
	unlink   action = "unlink"
	mkdir    action = "mkdir"
	rmdir    action = "rmdir"
	chmod    action = "chmod"
	syncName action = "fsync by name" // open for reading, fsync, close
	syncDir  action = "fsync of the directory"
	symlink  action = "symlink" // Name → To
)

// A step is one action of one writer. Writes and closes are of the file that
// the writer has open: one at most.
type step struct {
	Do   action `json:"do"`
	Name string `json:"name,omitempty"`
	To   string `json:"to,omitempty"`
	Off  int64  `json:"off,omitempty"`  // where to write
	Size int64  `json:"size,omitempty"` // of the payload, or to truncate to
	From int64  `json:"from,omitempty"` // the part of the payload that is written
	Len  int64  `json:"len,omitempty"`
	Seed uint64 `json:"seed,omitempty"` // of the payload
	Mode uint32 `json:"mode,omitempty"`
}

// data returns the bytes that a write step writes.
func (s step) data() []byte {
	first, last := s.From/blockSize, (s.From+s.Len+blockSize-1)/blockSize
	var data []byte
	for i := first; i < last; i++ {
		data = append(data, block(s.Seed, s.Size, i)...)
	}
	skip := s.From - first*blockSize
	return data[skip : skip+s.Len]
}

const (
	headerSize = 16
	blockSize  = 64 << 10
)

// payload returns size pseudo-random bytes that begin with seed and size, so
// that a whole payload can be told from any other sequence.
func payload(seed uint64, size int64) []byte {
	return step{Seed: seed, Size: size, Len: size}.data()
}

// block returns the i-th block of a payload, the last one perhaps too long.
func block(seed uint64, size, i int64) []byte {
	data := make([]byte, blockSize)
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	for at := 0; at < blockSize; at += 8 {
		binary.LittleEndian.PutUint64(data[at:], random.Uint64())
	}
	if i == 0 && size >= headerSize {
		binary.LittleEndian.PutUint64(data, seed)
		binary.LittleEndian.PutUint64(data[8:], uint64(size))
	}
	return data
}

// whole reports whether data is one payload.
func whole(data []byte) bool {
	if len(data) < headerSize || binary.LittleEndian.Uint64(data[8:]) != uint64(len(data)) {
		return false
	}
	return string(payload(binary.LittleEndian.Uint64(data), int64(len(data)))) == string(data)
}

// A record is a line of a writer's log: a step begun, or its answer.
type record struct {
	Begin *step  `json:"begin,omitempty"`
	OK    bool   `json:"ok,omitempty"`
	Error string `json:"error,omitempty"` // of a step that failed; the writer has stopped
	Gone  bool   `json:"gone,omitempty"`  // because the daemon has gone
}

// A hand does the steps of one writer on the mount.
type hand struct {
	dir  string
	log  *os.File
	open *os.File
}

// do logs the step, does it and logs its answer.
func (h *hand) do(s step) error {
	if err := h.note(record{Begin: &s}); err != nil {
		return err
	}
	if err := h.act(s); err != nil {
		gone := h.gone(err)
		if logErr := h.note(record{Error: fmt.Sprintf("%s %s: %v", s.Do, s.Name, err), Gone: gone}); logErr != nil {
			return logErr
		}
		if gone {
			return errGone
		}
		return err
	}
	return h.note(record{OK: true})
}

func (h *hand) note(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = h.log.Write(append(line, '\n'))
	return err
}

// gone reports whether err came because the daemon is no more. The kernel says
// ENOTCONN or ECONNABORTED then, but EIO to a write of which it had sent a
// part; statfs(2) always asks the daemon.
func (h *hand) gone(err error) bool {
	if isGone(err) {
		return true
	}
	var fs syscall.Statfs_t
	return errors.Is(err, syscall.EIO) && isGone(syscall.Statfs(h.dir, &fs))
}

func isGone(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ENODEV)
}

// errGone is what do returns once the daemon is no more.
var errGone = errors.New("the daemon is no more")

func (h *hand) act(s step) (err error) {
	path := h.dir + "/" + s.Name
	switch s.Do {
	case create:
		h.open, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	case reopen:
		h.open, err = os.OpenFile(path, os.O_WRONLY, 0)
	case empty:
		h.open, err = os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	case extend:
		h.open, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	case write:
		if s.Off < 0 {
			_, err = h.open.Write(s.data())
		} else {
			_, err = h.open.WriteAt(s.data(), s.Off)
		}
	case sync:
		err = h.open.Sync()
	case closing:
		err = h.open.Close()
		h.open = nil
	default:
		err = h.actOnName(s, path)
	}
	return err
}

func (h *hand) actOnName(s step, path string) error {
	switch s.Do {
	case rename:
		return os.Rename(path, h.dir+"/"+s.To)
	case truncate:
		return os.Truncate(path, s.Size)
	case unlink, rmdir:
		return os.Remove(path)
	case mkdir:
		return os.Mkdir(path, 0o755)
	case chmod:
		return os.Chmod(path, os.FileMode(s.Mode))
	case symlink:
		return os.Symlink(s.To, path)
	case syncName, syncDir:
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	return fmt.Errorf("unknown action %q", s.Do)
}
