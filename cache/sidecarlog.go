package cache

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A sidecarLog holds what was said of inodes since the last sync, one JSON
// line each: appending costs a fraction of making a file. A sync turns it: the
// old one goes once every sidecar it stands for is written.
type sidecarLog struct {
	dir string

	mu   sync.Mutex // a leaf
	f    *os.File
	last int64 // stamp given out or read
}

// sidecars is what the sidecars beside the data files do not say yet.
type sidecars struct {
	sidecarLog    sidecarLog
	staleSidecars sync.Map // of Ino: changed since their sidecar was written
}

// A turnedLog is the log as it was before a sync.
type turnedLog struct{ path string }

func (l *sidecarLog) path() string   { return filepath.Join(l.dir, "sidecars.log") }
func (l *sidecarLog) turned() string { return filepath.Join(l.dir, "sidecars.old") }

// stamp returns the time, but never the same twice, nor one before what the log
// has.
func (l *sidecarLog) stamp() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stampLocked()
}

func (l *sidecarLog) stampLocked() int64 {
	l.last = max(time.Now().UnixNano(), l.last+1)
	return l.last
}

func (l *sidecarLog) add(s sidecar) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Said = l.stampLocked()
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("sidecar log: %w", err)
	}
	if l.f == nil {
		if l.f, err = os.OpenFile(l.path(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("sidecar log: %w", err)
		}
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("sidecar log: %w", err)
	}
	return nil
}

// turn begins a new log. If an earlier sync failed its log is still there and
// stays the old one; nothing is turned then.
func (l *sidecarLog) turn() (turnedLog, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := turnedLog{l.turned()}
	if _, err := os.Lstat(old.path); err == nil {
		return old, nil
	}
	if err := l.closeLocked(); err != nil {
		return old, err
	}
	if err := os.Rename(l.path(), old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return old, fmt.Errorf("sidecar log: %w", err)
	}
	return old, nil
}

// drop removes the old log.
func (t turnedLog) drop() error {
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sidecar log: %w", err)
	}
	return nil
}

func (l *sidecarLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeLocked()
}

func (l *sidecarLog) closeLocked() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// read returns the last that was said of each inode. A line that a crash cut
// off says nothing.
func (l *sidecarLog) read() (map[Ino]sidecar, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := map[Ino]sidecar{}
	for _, path := range []string{l.turned(), l.path()} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sidecar log: %w", err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var s sidecar
			if json.Unmarshal(lines.Bytes(), &s) == nil && s.Ino != 0 {
				last[s.Ino] = s
				l.last = max(l.last, s.Said)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, fmt.Errorf("sidecar log: %w", err)
		}
	}
	return last, nil
}
