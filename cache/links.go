package cache

import (
	"sync"

	"github.com/moorfs/moorfs/cache/journal"
)

const (
	// countLimit is how many names are read to count a directory's
	// subdirectories. A larger one that was not counted while it grew is
	// not counted.
	countLimit = 4096
	// maxCounts bounds subdirs; all is counted anew when it is full.
	maxCounts = 1 << 16
)

// uncounted is st_nlink of a directory whose subdirectories are not all known
// here, or too many to count: as on btrfs, and as on ext4 beyond 65,000, it
// tells programs that nothing follows from it.
const uncounted = 1

// subdirs holds how many subdirectories directories have that somebody has
// asked about. A count is made under Cache.mu for reading and changed under
// Cache.mu for writing, so that none is ever behind the names.
type subdirs struct {
	mu     sync.Mutex // a leaf: held for the map alone
	counts map[Ino]int
}

func (s *subdirs) get(dir Ino) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.counts[dir]
	return n, ok
}

func (s *subdirs) set(dir Ino, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil || len(s.counts) >= maxCounts {
		s.counts = map[Ino]int{}
	}
	s.counts[dir] = n
}

// adjust changes a count that is kept.
func (s *subdirs) adjust(dir Ino, delta int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, kept := s.counts[dir]; kept {
		s.counts[dir] += delta
	}
}

// links returns st_nlink of a directory: its own two names and one for each
// subdirectory, if all its names are known here, else uncounted. The caller
// holds c.mu.
func (c *Cache) links(dir Ino) uint32 {
	if n, ok := c.subdirs.get(dir); ok {
		return uint32(2 + n)
	}
	n, names, known := 0, 0, false
	err := c.view(func(tx *journal.Tx) error {
		l, found, err := tx.Listing(dir)
		if err != nil || !found || !l.Complete {
			return err
		}
		known = true
		return tx.Dirents(dir, "", func(_ string, d journal.Dirent) error {
			if names++; names > countLimit {
				known = false
				return journal.Stop
			}
			if d.Kind == Dir {
				n++
			}
			return nil
		})
	})
	if err != nil || !known {
		return uncounted
	}
	c.subdirs.set(dir, n)
	return uint32(2 + n)
}

// PutDirent is the journal's, and counts; a parked file that gets another name
// is a conflict no more.
func (ch *change) PutDirent(parent Ino, name string, d journal.Dirent) error {
	if err := ch.uncount(parent, name); err != nil {
		return err
	}
	if d.Kind == Dir {
		ch.count(parent, 1)
	}
	if err := ch.renamedByUser(dirName{parent, name}, d.Ino); err != nil {
		return err
	}
	return ch.Tx.PutDirent(parent, name, d)
}

// DeleteDirent is the journal's, and counts.
func (ch *change) DeleteDirent(parent Ino, name string) error {
	if err := ch.uncount(parent, name); err != nil {
		return err
	}
	return ch.Tx.DeleteDirent(parent, name)
}

func (ch *change) uncount(parent Ino, name string) error {
	if _, kept := ch.c.subdirs.get(parent); !kept {
		return nil
	}
	d, found, err := ch.Dirent(parent, name)
	if found && d.Kind == Dir {
		ch.count(parent, -1)
	}
	return err
}

func (ch *change) count(dir Ino, delta int) {
	ch.committed(func() { ch.c.subdirs.adjust(dir, delta) })
}
