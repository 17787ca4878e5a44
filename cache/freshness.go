package cache

import (
	"sync"
	"time"
)

// freshness remembers when single names and inodes were last compared with
// the bucket. It is bounded and may forget: then the bucket is asked again.
type freshness struct {
	mu     sync.Mutex
	inodes map[Ino]time.Time
	absent map[dirName]time.Time
	doubts map[Ino]struct{} // whose object was found to be another
	mute   time.Time        // until then nobody waits for attributes: the bucket has just let one wait for long
}

type dirName struct {
	dir  Ino
	name string
}

const freshnessLimit = 50_000

func newFreshness() *freshness {
	return &freshness{inodes: map[Ino]time.Time{}, absent: map[dirName]time.Time{}, doubts: map[Ino]struct{}{}}
}

func (f *freshness) saw(ino Ino, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inodes) >= freshnessLimit {
		clear(f.inodes)
	}
	if at.After(f.inodes[ino]) {
		f.inodes[ino] = at
	}
	delete(f.doubts, ino)
}

// doubt makes the next open of an inode ask the bucket, however fresh what is
// known of it seems.
func (f *freshness) doubt(ino Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.doubts) >= freshnessLimit {
		clear(f.doubts)
	}
	f.doubts[ino] = struct{}{}
}

func (f *freshness) doubted(ino Ino) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, doubted := f.doubts[ino]
	return doubted
}

func (f *freshness) seen(ino Ino) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inodes[ino]
}

func (f *freshness) sawAbsent(name dirName, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.absent) >= freshnessLimit {
		clear(f.absent)
	}
	f.absent[name] = at
}

func (f *freshness) seenAbsent(name dirName) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.absent[name]
}

// waited notes how long a question about attributes that nobody answered took.
func (f *freshness) waited(d, patience time.Duration) {
	if d < patience/2 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = time.Now().Add(lateFor)
}

// isMute reports whether asking for attributes would only wait: who shows many
// waits once.
func (f *freshness) isMute() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.mute)
}
