package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moorfs/moorfs/cache"
)

// A cacheNote remembers a cache of this user beyond its mount, so that unsent
// work in it is never forgotten.
type cacheNote struct {
	Source   string          `json:"source"`
	Endpoint string          `json:"endpoint,omitempty"`
	CacheDir string          `json:"cache_dir"`
	Region   string          `json:"region,omitempty"` // of the bucket, for a mount without network
	Ended    bool            `json:"ended"`            // the mount ended in order, and Left holds
	Left     *cache.Progress `json:"left,omitempty"`
}

// unsent reports whether the cache may hold work that is not in the bucket.
func (n cacheNote) unsent() bool { return !n.Ended || n.Left != nil && n.Left.Files > 0 }

// describe says what is unsent.
func (n cacheNote) describe() string {
	if !n.Ended || n.Left == nil {
		return fmt.Sprintf("%s was not unmounted in order; what it did not send is safe in %s and goes out with its next mount", n.Source, n.CacheDir)
	}
	return fmt.Sprintf("%s has %s; safe in %s, goes out with its next mount", n.Source, describeLeft(*n.Left), n.CacheDir)
}

// A cacheIndex is the directory of notes of one user.
type cacheIndex struct{ dir string }

func ownCacheIndex() (cacheIndex, error) {
	root, err := stateRoot()
	if err != nil {
		return cacheIndex{}, err
	}
	return cacheIndex{dir: filepath.Join(root, "caches")}, nil
}

func (x cacheIndex) file(cacheDir string) string {
	sum := sha256.Sum256([]byte(cacheDir))
	return filepath.Join(x.dir, hex.EncodeToString(sum[:8])+".json")
}

func (x cacheIndex) put(n cacheNote) error {
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return fmt.Errorf("index of caches: %w", err)
	}
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("index of caches: %w", err)
	}
	if err := writeWhole(x.file(n.CacheDir), b, 0o600); err != nil {
		return fmt.Errorf("index of caches: %w", err)
	}
	return nil
}

// find returns the note of a cache; an empty one if there is none.
func (x cacheIndex) find(cacheDir string) (cacheNote, error) {
	n, err := readNote(x.file(cacheDir))
	if errors.Is(err, os.ErrNotExist) {
		return cacheNote{}, nil
	}
	return n, err
}

// idle returns the caches with unsent work that no process uses, also where it
// cannot read all notes. Notes of caches that are gone are dropped.
func (x cacheIndex) idle(running []registration) ([]cacheNote, error) {
	names, err := filepath.Glob(filepath.Join(x.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, m := range running {
		used[m.CacheDir] = true
	}
	var out []cacheNote
	var unread []error
	for _, name := range names {
		n, err := readNote(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			unread = append(unread, err)
			continue
		}
		if _, err := os.Stat(n.CacheDir); errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			continue
		}
		if n.unsent() && !used[n.CacheDir] {
			out = append(out, n)
		}
	}
	return out, errors.Join(unread...)
}

func readNote(name string) (cacheNote, error) {
	var n cacheNote
	b, err := os.ReadFile(name)
	if err != nil {
		return n, fmt.Errorf("index of caches: %w", err)
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return cacheNote{}, fmt.Errorf("index of caches: %s %w (%w): remove it, the next mount of that cache writes it anew", name, errDamaged, err)
	}
	return n, nil
}
