package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moorfs/moorfs/cache/journal"
)

// strayDir holds data files that the journal does not know, with their
// sidecars. A power cut leaves such a file if it came between an fsync and its
// answer, a rebuild if it cannot take one in. It may be the only copy of
// something, or of something removed: a person decides.
const strayDir = "stray"

// countSidecar removes a sidecar that says no more than the bucket has, and
// puts one aside, with its data file, whose inode the journal does not know.
func (c *Cache) countSidecar(ino Ino) error {
	known, says := false, false
	err := c.view(func(tx *journal.Tx) (err error) {
		if _, known, err = tx.Inode(ino); err != nil || !known {
			return err
		}
		s, err := c.sidecarOf(tx, ino, nil)
		says = s.Ino != 0
		return err
	})
	switch {
	case errors.Is(err, ErrStale): // its directory is missing
		return nil
	case err != nil:
		return err
	case !known:
		return c.putAside(ino)
	case !says:
		c.removeSidecar(ino)
	}
	return nil
}

// putAside moves an inode's data file and sidecar to strayDir and says so, once.
func (c *Cache) putAside(ino Ino) error {
	from := c.dataPath(ino)
	dir := filepath.Join(c.cfg.Dir, strayDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	to := filepath.Join(dir, filepath.Base(from))
	var s sidecar
	if b, err := os.ReadFile(from + sidecarSuffix); err == nil {
		_ = json.Unmarshal(b, &s) // who cannot be named is put aside all the same
	}
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // as of a symlink: all is in the sidecar
	}
	if err == nil {
		err = os.Rename(from+sidecarSuffix, to+sidecarSuffix)
	}
	if err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	c.cfg.Log.Error("cache: an unsent file that the index does not know was put aside", "key", s.Prefix+s.Inode.Name, "file", to)
	return nil
}

// strays calls fn for the files in strayDir, with the key that each had.
func (c *Cache) strays(fn func(path, key string)) error {
	entries, err := os.ReadDir(filepath.Join(c.cfg.Dir, strayDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cache directory: %w", err)
	}
	for _, e := range entries {
		name, found := strings.CutSuffix(e.Name(), sidecarSuffix)
		if !found {
			continue
		}
		path := filepath.Join(c.cfg.Dir, strayDir, name)
		var s sidecar
		b, err := os.ReadFile(path + sidecarSuffix)
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil {
			c.cfg.Log.Warn("cache: unreadable sidecar", "file", path+sidecarSuffix, "error", err)
		}
		fn(path, s.Prefix+s.Inode.Name)
	}
	return nil
}
