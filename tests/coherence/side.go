package coherence

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// A Side is a mount and those who use it.
type Side struct {
	M *harness.Mount // of now; changes only while nobody else works, or under gate

	dir   string
	w     *World
	party int
	cache string

	stays []sync.RWMutex // one a key: held for writing while its content is made in place
	alone []sync.Mutex   // one a key: held by who changes it
	gate  sync.RWMutex   // held for reading by each operation, for writing while nothing is mounted
	whole sync.RWMutex   // held for reading while a content is made in place, for writing while the daemon is killed
	life  atomic.Int64   // counts daemons
	death atomic.Int64   // when the last of them died, or is about to; ns since 1970

	mu   sync.Mutex
	held []*held
}

// mostHeld is how many files a side keeps open.
const mostHeld = 24

// Mount mounts with the cache of before, or a new one.
func (s *Side) Mount() {
	if s.cache == "" {
		s.cache = filepath.Join(harness.Dir(s.w.t), "cache")
	}
	m, err := harness.Try(s.w.t, s.spec())
	if err != nil {
		s.w.Violated("mounting %s: %v", partyName(s.party), err)
	}
	s.M, s.dir = m, m.Dir
}

// Remount unmounts, which sends everything, and mounts again, cold (with an
// empty cache) or warm.
func (s *Side) Remount(cold bool) {
	s.releaseAll()
	if err := s.M.Unmount(); err != nil {
		s.w.Violated("unmounting %s: %v", partyName(s.party), err)
		return
	}
	if cold {
		s.cache = ""
	}
	s.w.Counts.Remounts.Add(1)
	s.Mount()
}

// Kill kills the daemon, whatever is under way but a content being made in
// place, and mounts again. The dead mount stays in the way until all who use it
// have seen that it is: nobody gets at the directory below it.
func (s *Side) Kill() {
	s.whole.Lock()
	defer s.whole.Unlock()
	s.life.Add(1)
	s.death.Store(time.Now().UnixNano())
	// A notification that waits for a request of the dead daemon keeps it from
	// ending, as with every FUSE filesystem, until its connection is aborted.
	stop := harness.AbortAfter(s.dir, stuckDead)
	err := s.M.Die()
	stop()
	s.gate.Lock()
	defer s.gate.Unlock()
	if err = errors.Join(err, s.M.Clear()); err != nil {
		s.w.Violated("killing %s: %v", partyName(s.party), err)
	}
	s.releaseAll()
	s.w.Counts.Remounts.Add(1)
	s.Mount()
}

// stuckDead is how long a killed daemon may take to end by itself.
const stuckDead = 2 * time.Second

// Close closes what the side has open.
func (s *Side) Close() { s.releaseAll() }

// an operation of a side: what it does with some key.
type action func(s *Side, r *rand.Rand, key int)

var actions = []struct {
	weight int
	do     action
}{
	{30, (*Side).readWhole},
	{14, (*Side).hold},
	{60, (*Side).readHeld},
	{6, (*Side).dropPages},
	{8, (*Side).replace},
	{5, (*Side).rewrite},
	{5, (*Side).patch},
	{3, (*Side).extend},
	{3, (*Side).remove},
	{3, (*Side).rename},
	{4, (*Side).list},
}

// step does one thing.
func (s *Side) step(r *rand.Rand) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := r.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			a.do(s, r, r.IntN(s.w.Keys))
			return
		}
	}
}

func (s *Side) path(key int) string { return filepath.Join(s.dir, name(key)) }

// deathSeen is how long after a death its errors may come to be looked at.
const deathSeen = 20 * time.Second

// excused reports whether an operation may have failed because its daemon died,
// or the bucket could not be reached.
func (s *Side) excused(err error) bool {
	for _, e := range []error{syscall.EIO, syscall.ETIMEDOUT, syscall.EFAULT} {
		if errors.Is(err, e) && s.w.faulty.Load() {
			s.w.Counts.Unanswered.Add(1)
			return true
		}
	}
	for _, e := range []error{syscall.ENOTCONN, syscall.ECONNABORTED, syscall.ENODEV, syscall.EIO, syscall.EFAULT, syscall.EINTR, syscall.EBADF, os.ErrClosed} {
		if errors.Is(err, e) && time.Since(time.Unix(0, s.death.Load())) < deathSeen {
			s.w.Counts.Unchecked.Add(1)
			return true
		}
	}
	return false
}

// failed notes an operation that must not fail.
func (s *Side) failed(what string, key int, err error) {
	if err != nil && !s.excused(err) {
		s.w.Violated("%s: %s of %s: %v", partyName(s.party), what, name(key), err)
	}
}
