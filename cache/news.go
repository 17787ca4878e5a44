package cache

import (
	"sync"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

const (
	// newsOfDir is of how many names of a directory news is kept; beyond, the
	// directory is listed again.
	newsOfDir = 64
	// newsLimit bounds the names and the keys; beyond, nothing is believed
	// that was learnt before.
	newsLimit = 50_000
)

// news are the names to which, as notifications say, something happened in the
// bucket. What was learnt of such a name before is not believed any more: who
// looks at it asks the bucket, as a notification comes late, twice or in
// disorder and so says nothing by itself. An answer to a question that was asked
// later ends it.
type news struct {
	newsMu sync.Mutex // a leaf
	all    time.Time  // nothing learnt earlier is believed
	dirs   map[Ino]*newsIn
	names  int // in dirs
	// rowed are changes, by key, that may be ours: of keys with a row, until
	// it has settled.
	rowed map[string][]s3backend.Change
}

// newsIn is what happened in one directory.
type newsIn struct {
	all   time.Time // nothing learnt earlier of any name is believed
	names map[string]time.Time
}

// happened notes that what is known of a name is too old from now on.
func (n *news) happened(at dirName) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	now := time.Now()
	if n.dirs == nil {
		n.dirs = map[Ino]*newsIn{}
	}
	if n.names >= newsLimit || len(n.dirs) >= newsLimit {
		n.forget(now)
		return
	}
	in := n.dirs[at.dir]
	if in == nil {
		in = &newsIn{names: map[string]time.Time{}}
		n.dirs[at.dir] = in
	}
	if _, there := in.names[at.name]; !there {
		if len(in.names) == newsOfDir {
			n.names -= newsOfDir
			in.all, in.names = now, map[string]time.Time{}
			return
		}
		n.names++
	}
	in.names[at.name] = now
}

func (n *news) forget(now time.Time) {
	n.all, n.dirs, n.names, n.rowed = now, map[Ino]*newsIn{}, 0, nil
}

// since returns when a name was last spoken of: what was learnt before that is
// not to be believed.
func (n *news) since(at dirName) time.Time {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	in := n.dirs[at.dir]
	if in == nil {
		return n.all
	}
	return latest(n.all, in.all, in.names[at.name])
}

// tells reports whether a name was spoken of, or its directory as a whole.
func (n *news) tells(at dirName) bool {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	in := n.dirs[at.dir]
	if in == nil {
		return false
	}
	_, there := in.names[at.name]
	return there || !in.all.IsZero()
}

// in returns the names of a directory that were spoken of, since when nothing
// that was learnt of the others is believed, and when the last was heard.
func (n *news) in(dir Ino) (names []string, all, newest time.Time) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	all = n.all
	if in := n.dirs[dir]; in != nil {
		all = latest(n.all, in.all)
		newest = all
		for name, t := range in.names {
			names, newest = append(names, name), latest(newest, t)
		}
	}
	return names, all, latest(all, newest)
}

// heard ends the news of a name that the bucket was asked for after it.
func (n *news) heard(at dirName, began time.Time) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	in := n.dirs[at.dir]
	if in == nil {
		return
	}
	if t, there := in.names[at.name]; there && !t.After(began) {
		delete(in.names, at.name)
		n.names--
	}
	n.tidy(at.dir, in)
}

// stays keeps the news of a name, if there is any, although the bucket was asked.
func (n *news) stays(at dirName) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	if in := n.dirs[at.dir]; in != nil {
		if _, there := in.names[at.name]; there {
			in.names[at.name] = time.Now()
		}
	}
}

// listedAt ends the news of a directory that was listed after it.
func (n *news) listedAt(ls *listing) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	in := n.dirs[ls.dir]
	if in == nil {
		return
	}
	if !in.all.After(ls.begun) {
		for name := range ls.left {
			if _, there := in.names[name]; !there {
				in.names[name] = in.all
				n.names++
			}
		}
		in.all = time.Time{}
	}
	for name, t := range in.names {
		if _, left := ls.left[name]; left {
			in.names[name] = time.Now() // the listing says nothing of it
		} else if !t.After(ls.begun) {
			delete(in.names, name)
			n.names--
		}
	}
	n.tidy(ls.dir, in)
}

func (n *news) tidy(dir Ino, in *newsIn) {
	if len(in.names) == 0 && in.all.IsZero() {
		delete(n.dirs, dir)
	}
}

// wait keeps a change until the row of its key has settled.
func (n *news) wait(ch s3backend.Change) {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	if n.rowed == nil {
		n.rowed = map[string][]s3backend.Change{}
	}
	if len(n.rowed) >= newsLimit {
		n.forget(time.Now())
		return
	}
	all := append(n.rowed[ch.Key], ch)
	if len(all) > 8 { // whatever they say, somebody else is at it
		all = []s3backend.Change{{Bucket: ch.Bucket, Key: ch.Key}}
	}
	n.rowed[ch.Key] = all
}

// waited returns the changes that waited for a row.
func (n *news) waited(key string) []s3backend.Change {
	n.newsMu.Lock()
	defer n.newsMu.Unlock()
	changes := n.rowed[key]
	delete(n.rowed, key)
	return changes
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
