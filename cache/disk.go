package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dataPath is where the bytes of an inode lie, whatever its names.
func (c *Cache) dataPath(ino Ino) string {
	return filepath.Join(c.cfg.Dir, "data", fmt.Sprintf("%02x", uint8(ino)), fmt.Sprintf("%016x", uint64(ino)))
}

// A dataFile is the bytes of an inode, or a snapshot of them. What may fail on
// the cache's disk goes through it.
type dataFile struct {
	*os.File
	fails func(diskOp) error // nil: as the disk says
}

// A diskOp is a call to the cache's disk.
type diskOp string

const (
	diskOpen     diskOp = "open"
	diskRead     diskOp = "read"
	diskWrite    diskOp = "write"
	diskTruncate diskOp = "truncate"
	diskPunch    diskOp = "punch"
	diskSync     diskOp = "sync"
)

// try is what every call begins with.
func (f *dataFile) try(op diskOp) error {
	if f.fails == nil {
		return nil
	}
	return f.fails(op)
}

// ReadAt, WriteAt and Truncate are those of the file.
func (f *dataFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.try(diskRead); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *dataFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.try(diskWrite); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *dataFile) Truncate(size int64) error {
	if err := f.try(diskTruncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// openData opens an inode's data file, creating it.
func (c *Cache) openData(ino Ino) (*dataFile, error) {
	p := c.dataPath(ino)
	d := &dataFile{fails: c.cfg.diskFails}
	if err := d.try(diskOpen); err != nil {
		return nil, fmt.Errorf("data file of inode %d: %w", ino, err)
	}
	f, err := openRegular(p)
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.makeDataDir(ino); err == nil {
			f, err = openRegular(p)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("data file of inode %d: %w", ino, err)
	}
	d.File = f
	return d, nil
}

// openRegular is os.OpenFile without its five calls that find out whether the
// file can be polled.
func openRegular(path string) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if err != unix.EINTR {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// makeDataDir makes the directory of an inode's data file, durably: it is one
// of few, and every fsync counts on it.
func (c *Cache) makeDataDir(ino Ino) error {
	dir := filepath.Dir(c.dataPath(ino))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// removeData gives an inode's bytes and sidecar up. The journal no longer
// counts on them when it is called.
func (c *Cache) removeData(ino Ino) {
	p := c.dataPath(ino)
	used := blocksOf(p)
	c.removeSidecar(ino)
	c.unwritten.Delete(ino)
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if !c.disk.failed(err) {
			c.cfg.Log.Error("cache: cannot remove a data file", "error", err)
		}
		return
	}
	c.space.add(-used)
	c.space.forget(ino)
}

// blocksOf returns the bytes of disk that a file takes, 0 if it is missing.
func blocksOf(path string) int64 {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

func blocksOfFd(f *dataFile) int64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// freeSpace returns the bytes an ordinary process may still write below dir.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func punch(f *dataFile, off, n int64) error {
	if err := f.try(diskPunch); err != nil {
		return fmt.Errorf("punch hole: %w", err)
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n); err != nil {
		return fmt.Errorf("punch hole: %w", err)
	}
	return nil
}

func datasync(f *dataFile) error {
	if err := f.try(diskSync); err != nil {
		return fmt.Errorf("fdatasync %s: %w", filepath.Base(f.Name()), err)
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("fdatasync %s: %w", filepath.Base(f.Name()), err)
	}
	return nil
}

// syncDisk has the file system of dir write what it has. What that made durable
// is for the fdatasync of each file to say.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the disk: %w", err)
	}
	if err = unix.Syncfs(int(d.Fd())); err != nil {
		err = fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return errors.Join(err, d.Close())
}

// syncDir makes the names in a directory of the cache durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func flock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// dataAt returns the next offset at or behind off that is backed by the disk
// (data true) or is a hole (data false).
func dataAt(f *dataFile, off int64, data bool) (int64, error) {
	whence := unix.SEEK_HOLE
	if data {
		whence = unix.SEEK_DATA
	}
	pos, err := unix.Seek(int(f.Fd()), off, whence)
	if errors.Is(err, unix.ENXIO) {
		return 0, ErrNoData
	}
	return pos, err
}
