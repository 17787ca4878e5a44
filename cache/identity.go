package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moorfs/moorfs/cache/journal"
)

// The identity of the bucket stands in the journal, and in a file beside it: a
// journal that is lost must not be made anew for another bucket, which would
// then get the unsent files.
const identityFile = "identity.json"

func (c *Cache) identity() journal.Identity {
	return journal.Identity{Endpoint: c.cfg.Endpoint, Bucket: c.cfg.Bucket, Prefix: c.cfg.Prefix}
}

// readIdentity returns to which bucket a cache directory belongs, as far as its
// file says.
func readIdentity(dir string) (id journal.Identity, found bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil {
		return id, false, fmt.Errorf("cache directory: %s: %w", identityFile, err)
	}
	return id, true, nil
}

// checkIdentity fails if the directory belongs to another bucket.
func (c *Cache) checkIdentity() error {
	have, found, err := readIdentity(c.cfg.Dir)
	if err != nil { // the journal will know
		c.cfg.Log.Warn("cache: cannot read to which bucket the directory belongs", "error", err)
		return nil
	}
	if found && have != c.identity() {
		return &journal.OtherBucketError{Have: have, Want: c.identity()}
	}
	return nil
}

// keepIdentity writes the file if it is not there, unless opening failed.
func (c *Cache) keepIdentity(opening error) error {
	if opening != nil {
		return nil
	}
	if have, found, err := readIdentity(c.cfg.Dir); err == nil && found && have == c.identity() {
		return nil
	}
	b, err := json.Marshal(c.identity())
	if err == nil {
		err = writeDurably(filepath.Join(c.cfg.Dir, identityFile), b)
	}
	if err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	return nil
}

// writeDurably replaces a file, whole or not at all.
func writeDurably(name string, b []byte) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return err
}
