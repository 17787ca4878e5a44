package cache

import (
	"slices"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

// RemoteChanged takes notifications of changes in the bucket: who looks at one
// of the names next asks the bucket, and the kernel forgets what it knows of it.
// Keys of another bucket or outside the prefix, and what was written here, are
// ignored; a file with a change that is not sent yet stays as it is, until its
// flush finds out. It makes no request and returns at once; it may be called
// concurrently, after Start.
func (c *Cache) RemoteChanged(changes ...s3backend.Change) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, ch := range changes {
		_ = c.guard.do("notification of a change", func() { c.tellNews(ch) }) // logged
	}
}

// DoubtAll makes everything that is known of the bucket too old to answer with,
// as notifications of changes may have been missed. Offline it serves all the
// same.
func (c *Cache) DoubtAll() {
	c.newsMu.Lock()
	defer c.newsMu.Unlock()
	c.forget(time.Now())
}

// tellWaited acts on the changes that waited for a row, which has settled. The
// caller holds c.mu for writing.
func (c *Cache) tellWaited(key string) {
	for _, ch := range c.waited(key) {
		c.tellNews(ch)
	}
}

// tellNews acts on one change. The caller holds c.mu, at least for reading.
func (c *Cache) tellNews(ch s3backend.Change) {
	if !c.isOurBucket(ch.Bucket) || !strings.HasPrefix(ch.Key, c.cfg.Prefix) {
		return
	}
	var found finding
	err := c.view(func(tx *journal.Tx) (err error) {
		found, err = c.find(tx, ch)
		return err
	})
	if err != nil {
		c.cfg.Log.Error("cache: notification of a change", "key", ch.Key, "error", err)
		return
	}
	if found.waits {
		c.wait(ch)
		return
	}
	for _, at := range found.names {
		c.happened(at)
		c.kernel.EntryGone(at.dir, at.name)
	}
	if found.dir != 0 {
		c.lookAt(found.dir)
	}
}

// isOurBucket compares names, if the mounted one is a name: an access point has
// another than the bucket behind it.
func (c *Cache) isOurBucket(name string) bool {
	b := c.cfg.Bucket
	return name == b || strings.HasPrefix(b, "arn:") || strings.HasSuffix(b, "-s3alias")
}

// A finding is what a change can mean here.
type finding struct {
	waits bool      // there is a row; its end will tell whether it was us
	names []dirName // that may mean something else now
	dir   Ino       // that may have gone, or whose marker may be another; 0: none
}

// find follows a key along the names that are known.
func (c *Cache) find(tx *journal.Tx, ch s3backend.Change) (f finding, err error) {
	if _, f.waits, err = tx.Row(ch.Key); err != nil || f.waits {
		return f, err
	}
	rest := ch.Key[len(c.cfg.Prefix):]
	dirs := strings.Split(rest, "/")
	file := dirs[len(dirs)-1] // empty: of a marker
	dirs = dirs[:len(dirs)-1]
	dir := Root
	for _, component := range dirs {
		at, d, there, err := follow(tx, dir, names.Split(component))
		if err != nil {
			return f, err
		}
		switch {
		case there && d.Kind == Dir:
			dir = d.Ino
		case ch.Removed:
			f.dir, err = c.perhapsGone(tx, dir, nil)
			return f, err
		default:
			return finding{names: places(component, at)}, nil
		}
	}
	if file == "" {
		return c.findMarker(tx, ch, dir)
	}
	return c.findFile(tx, ch, dir, file)
}

// places are the names that a component without a directory can have.
func places(component string, at dirName) []dirName {
	if escaped := names.EscapeFile(component); escaped != at.name {
		return []dirName{at, {at.dir, escaped}}
	}
	return []dirName{at}
}

// findFile is for an object in a directory that is known.
func (c *Cache) findFile(tx *journal.Tx, ch s3backend.Change, dir Ino, component string) (f finding, err error) {
	var missing []dirName
	for _, path := range [][]string{names.Split(component), names.SplitFile(component)} {
		at, d, there, err := follow(tx, dir, path)
		if err != nil {
			return f, err
		}
		if !there && len(missing) == 0 {
			missing = append(missing, at)
		}
		if !there || d.Kind == Dir {
			continue
		}
		rec, found, err := tx.Inode(d.Ino)
		if err != nil {
			return f, err
		}
		if found && isKnown(ch, rec.Base) {
			return finding{}, nil
		}
		f.names = append(f.names, at)
	}
	if ch.Removed {
		f.dir, err = c.perhapsGone(tx, dir, f.names)
	} else if len(f.names) == 0 {
		f.names = missing
	}
	return f, err
}

// isKnown reports whether a change made the object that an inode is known to
// have: it was ours, or comes late.
func isKnown(ch s3backend.Change, base journal.Base) bool {
	return !ch.Removed && ch.ETag != "" && ch.ETag == base.ETag && !ch.When.IsZero() && !rewritten(base, ch.When)
}

// findMarker is for the object of a directory that is known.
func (c *Cache) findMarker(tx *journal.Tx, ch s3backend.Change, dir Ino) (f finding, err error) {
	rec, found, err := tx.Inode(dir)
	if err != nil || !found || isKnown(ch, rec.Base) || ch.Removed && rec.Base.ETag == "" {
		return f, err
	}
	return finding{dir: dir, names: []dirName{{dir, markerBody}}}, nil
}

// perhapsGone returns dir if it may have gone with the names that were removed:
// it has no marker, and no other name that nothing speaks against.
func (c *Cache) perhapsGone(tx *journal.Tx, dir Ino, removed []dirName) (Ino, error) {
	rec, found, err := tx.Inode(dir)
	if err != nil || !found || dir == Root || rec.Base.ETag != "" {
		return 0, err
	}
	if c.tells(dirName{dir: dir}) {
		return dir, nil
	}
	gone := dir
	err = tx.Dirents(dir, "", func(name string, _ journal.Dirent) error {
		if at := (dirName{dir, name}); slices.Contains(removed, at) || c.tells(at) {
			return nil
		}
		gone = 0
		return journal.Stop
	})
	return gone, err
}

// follow goes along names from a directory and returns the last that is there,
// or the first that is not.
func follow(tx *journal.Tx, dir Ino, path []string) (at dirName, d journal.Dirent, there bool, err error) {
	for i, name := range path {
		at = dirName{dir, name}
		if d, there, err = tx.Dirent(dir, name); err != nil || !there {
			return at, d, false, err
		}
		if d.Kind != Dir && i < len(path)-1 {
			return at, d, true, nil
		}
		dir = d.Ino
	}
	return at, d, there, nil
}
