package exercise

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/tests/harness"
)

// handsEnv makes this binary the process that does the steps of an exercise in
// the directory that it names.
const handsEnv = "MOORFS_TEST_HANDS"

const oDirect = syscall.O_DIRECT

// A result is what a step showed.
type result struct {
	Errno  syscall.Errno
	N      int64
	Size   int64 // of the file afterwards, of steps that have it open
	Data   []byte
	Ranges []dataRange // of holes: where there is data
	Failed string      // the hands themselves could not go on
}

// A dataRange is what lies between a SEEK_DATA and the SEEK_HOLE after it.
type dataRange struct{ From, To int64 }

// hands is the parent's end of the process.
type hands struct {
	cmd  *exec.Cmd
	in   *gob.Encoder
	pipe io.Closer
	out  *gob.Decoder
}

func startHands(dir string) (*hands, error) {
	cmd := exec.Command(os.Args[0])
	// The signals with which Go preempts its threads would interrupt calls.
	cmd.Env = append(os.Environ(), handsEnv+"="+dir, "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &hands{cmd: cmd, in: gob.NewEncoder(in), pipe: in, out: gob.NewDecoder(out)}, harness.Spawn(cmd)
}

// do has a step done.
func (h *hands) do(s step) (result, error) {
	var r result
	if err := h.in.Encode(s); err != nil {
		return r, err
	}
	if err := h.out.Decode(&r); err != nil {
		return r, fmt.Errorf("the hands ended: %w", err)
	}
	if r.Failed != "" {
		return r, errors.New(r.Failed)
	}
	return r, nil
}

// end closes what the hands have open and waits for their end.
func (h *hands) end() error {
	return errors.Join(h.pipe.Close(), h.cmd.Wait())
}

// kill ends the hands at once.
func (h *hands) kill() error {
	if err := h.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := h.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

// worker is the state of the hands' process.
type worker struct {
	dir   string
	slots map[int]int
	maps  map[int][]byte
}

func workUntilClosed(dir string) error {
	debug.SetPanicOnFault(true)
	w := &worker{dir: dir, slots: map[int]int{}, maps: map[int][]byte{}}
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var s step
		if err := in.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r := w.act(s)
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// act does one step. A fault in a map is SIGBUS's errno, EFAULT.
func (w *worker) act(s step) (r result) {
	defer func() {
		if v := recover(); v != nil {
			r = result{Errno: syscall.EFAULT}
			if s.Do != load && s.Do != store {
				r.Failed = fmt.Sprintf("%v: %v\n%s", s, v, debug.Stack())
			}
		}
	}()
	var err error
	switch s.Do {
	case open:
		err = w.open(s)
	case lock:
		err = w.lock(s)
	case mmap, load, store, msync, munmap:
		r, err = w.map_(s)
	case rename, exchange, unlink, stat, truncate, whole:
		r, err = w.named(s)
	default:
		r, err = w.slot(s)
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		r.Errno = errno
	} else if err != nil {
		r.Failed = fmt.Sprintf("%v: %v", s, err)
	}
	if fd, ok := w.slots[s.H]; ok && s.Do != closing && err == nil && usesSlot(s.Do) {
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err != nil {
			r.Failed = fmt.Sprintf("%v: fstat: %v", s, err)
		}
		r.Size = st.Size
	}
	return r
}

// usesSlot reports whether a step is of what lies open in its slot H.
func usesSlot(do action) bool {
	switch do {
	case open, read, write, resize, punch, zero, allocate, holes, fsync, duplicate:
		return true
	}
	return false
}

func (w *worker) open(s step) error {
	flags := 0
	for _, letter := range s.How {
		flags |= openModes[letter]
	}
	fd, err := unix.Open(w.dir+"/"+s.File, flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		w.slots[s.H] = fd
	}
	return err
}

func (w *worker) slot(s step) (r result, err error) {
	fd, there := w.slots[s.H]
	if !there {
		return r, fmt.Errorf("slot %d is empty", s.H)
	}
	switch s.Do {
	case closing:
		delete(w.slots, s.H)
		return r, unix.Close(fd)
	case read:
		r.Data = aligned(s.N)
		n, err := readFull(fd, r.Data, s.Off)
		r.N, r.Data = int64(n), r.Data[:n]
		return r, err
	case write:
		n, err := unix.Pwrite(fd, append(aligned(s.N)[:0], filling(s.Fill, s.N)...), s.Off)
		r.N = int64(max(n, 0)) // -1 with an error
		return r, err
	case resize:
		return r, unix.Ftruncate(fd, s.N)
	case punch:
		return r, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, s.Off, s.N)
	case zero:
		return r, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|keepSize(s), s.Off, s.N)
	case allocate:
		return r, unix.Fallocate(fd, keepSize(s), s.Off, s.N)
	case duplicate:
		r.N, err = copyRange(fd, w.slots[s.To], s)
		return r, err
	case holes:
		r.Ranges, err = dataRanges(fd)
		return r, err
	case fsync:
		if s.How == "data" {
			return r, unix.Fdatasync(fd)
		}
		return r, unix.Fsync(fd)
	}
	return r, fmt.Errorf("no such step")
}

func keepSize(s step) uint32 {
	if s.How == "keep" {
		return unix.FALLOC_FL_KEEP_SIZE
	}
	return 0
}

// aligned returns n bytes at a page's beginning, as O_DIRECT may want them.
func aligned(n int64) []byte {
	page := int64(os.Getpagesize())
	b := make([]byte, n+2*page)
	skip := int64(uintptr(unsafe.Pointer(&b[0])) % uintptr(page))
	return b[page-skip:][:n:n]
}

// readFull reads until p is full or the file ends.
func readFull(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		if err != nil || n <= 0 {
			return done, err
		}
		done += n
	}
	return done, nil
}

// copyRange copies what the source has now: a copy within one file may let it
// grow.
func copyRange(from, to int, s step) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return 0, err
	}
	most := max(1, min(s.N, st.Size-s.Off))
	done := int64(0)
	for done < most {
		in, out := s.Off+done, s.Into+done
		n, err := unix.CopyFileRange(from, &in, to, &out, int(most-done), 0)
		if err != nil || n == 0 {
			return done, err
		}
		done += int64(n)
	}
	return done, nil
}

func dataRanges(fd int) ([]dataRange, error) {
	var ranges []dataRange
	for at := int64(0); ; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return ranges, nil
		}
		if err != nil {
			return nil, err
		}
		if at, err = unix.Seek(fd, from, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		if at <= from {
			return nil, fmt.Errorf("data at %d, but the hole behind it at %d", from, at)
		}
		ranges = append(ranges, dataRange{from, at})
	}
}
