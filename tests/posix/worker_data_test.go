package posix

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dataCalls read and change content.
var dataCalls = map[string]call{
	"read": func(_ *agent, a *args) (string, error) {
		fd, buf := a.fd(), alignedBuffer(a.int())
		n, err := unix.Read(fd, buf)
		return shown(buf, n), err
	},
	"pread": func(_ *agent, a *args) (string, error) {
		fd, buf := a.fd(), alignedBuffer(a.int())
		n, err := unix.Pread(fd, buf, a.int())
		return shown(buf, n), err
	},
	"write": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		return count(unix.Write(fd, copied(a.word())))
	},
	"pwrite": func(_ *agent, a *args) (string, error) {
		fd, data := a.fd(), copied(a.word())
		return count(unix.Pwrite(fd, data, a.int()))
	},
	"lseek": func(_ *agent, a *args) (string, error) {
		fd, off := a.fd(), a.int()
		at, err := unix.Seek(fd, off, a.bits(whences))
		return strconv.FormatInt(at, 10), err
	},
	"truncate": func(_ *agent, a *args) (string, error) {
		path := a.word()
		return "", unix.Truncate(path, a.int())
	},
	"ftruncate": func(_ *agent, a *args) (string, error) {
		fd := a.fd()
		return "", unix.Ftruncate(fd, a.int())
	},
	"fallocate": func(_ *agent, a *args) (string, error) {
		fd, mode := a.fd(), a.bits(allocateFlags)
		off := a.int()
		return "", unix.Fallocate(fd, uint32(mode), off, a.int())
	},
	"copy": func(_ *agent, a *args) (string, error) { // copy_file_range(2)
		from, to := a.fd(), a.fd()
		fromOff, toOff, n := a.int(), a.int(), a.int()
		return count(unix.CopyFileRange(from, &fromOff, to, &toOff, int(n), a.optionalBits(nil)))
	},
	"sendfile": func(_ *agent, a *args) (string, error) {
		from, to := a.fd(), a.fd()
		return count(unix.Sendfile(to, from, nil, int(a.int())))
	},
}

var whences = map[string]int{
	"SEEK_SET": unix.SEEK_SET, "SEEK_CUR": unix.SEEK_CUR, "SEEK_END": unix.SEEK_END, "SEEK_DATA": unix.SEEK_DATA, "SEEK_HOLE": unix.SEEK_HOLE,
}

var allocateFlags = map[string]int{
	"KEEP_SIZE": unix.FALLOC_FL_KEEP_SIZE, "PUNCH_HOLE": unix.FALLOC_FL_PUNCH_HOLE, "ZERO_RANGE": unix.FALLOC_FL_ZERO_RANGE,
	"COLLAPSE_RANGE": unix.FALLOC_FL_COLLAPSE_RANGE, "INSERT_RANGE": unix.FALLOC_FL_INSERT_RANGE, "UNSHARE_RANGE": unix.FALLOC_FL_UNSHARE_RANGE,
}

const directAlign = 4096

// alignedBuffer returns a buffer that O_DIRECT takes.
func alignedBuffer(n int64) []byte {
	buf := make([]byte, n+directAlign)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % directAlign
	return buf[skip:][:n]
}

func copied(data string) []byte {
	buf := alignedBuffer(int64(len(data)))
	copy(buf, data)
	return buf
}

func count(n int, err error) (string, error) { return strconv.Itoa(n), err }

// shown tells what was read: short data as it is.
func shown(buf []byte, n int) string {
	if n < 0 {
		return ""
	}
	if n <= 40 {
		return strconv.Quote(string(buf[:n]))
	}
	return fmt.Sprintf("%d bytes, crc %08x", n, crc32.ChecksumIEEE(buf[:n]))
}
