package cache

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

// conflict decides, as the policy says, between our content and the one that
// others put at its key.
func (ch *change) conflict(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	if rec.Changed&journal.ChangedData == 0 && rec.At == j.key && !j.hasWriters() {
		return ch.yield(j, r, rec, e)
	}
	if rec.At == j.key { // what is not here may be gone
		rec.Changed |= journal.ChangedData
		if err := ch.ownAll(j); err != nil {
			return outcome{}, err
		}
	}
	switch ch.c.cfg.OnConflict {
	case MineWins:
		return ch.insist(j, r, rec, e)
	case TheirsWins:
		return ch.putAside(j, r, rec, e)
	}
	return ch.park(j, r, rec, e)
}

// hasWriters reports whether somebody has the job's file open for writing, who
// may still change it. The caller holds the file's lock.
func (j *job) hasWriters() bool { return j.f != nil && j.f.writers > 0 }

// ownAll makes all that is here of a file its own content: the version that
// the clean part came from may be gone.
func (ch *change) ownAll(j *job) error {
	if j.f == nil {
		return nil
	}
	e := j.f.extents()
	e.Dirty = e.Present.Clone()
	ch.committed(func() { j.f.ext.Dirty = e.Dirty.Clone() })
	return ch.putExtents(j.f, e)
}

// insist has our content replace the version of the others that was just seen,
// and no later one.
func (ch *change) insist(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	setKnown(r, baseOf(e.theirs))
	ch.c.cfg.Log.Warn("cache: conflict: the object was changed in the bucket while it was changed here; ours replaces it",
		"key", j.key, "theirs", e.theirs.ETag, "version", e.theirs.Version)
	return ch.tryAgain(j, r, rec)
}

// park leaves the name to the bucket's version; ours gets one of its own beside
// it and is uploaded there. No byte moves, and writers go on.
func (ch *change) park(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	oldDir, old := rec.Parent, rec.Name
	p, err := ch.parkingPlace(rec)
	if errors.Is(err, ErrNameTooLong) {
		return ch.retryLater(j, r, rec, fmt.Errorf("conflict: no room for another name: %w", err))
	}
	if err != nil {
		return outcome{}, err
	}
	if err := ch.unsent(j, rec, flushChanged); err != nil {
		return outcome{}, err
	}
	if err := setState(rec, parked); err != nil {
		return outcome{}, err
	}
	rec.Parent, rec.Name, rec.Ctime = p.dir, p.name, ch.now
	rec.Changed |= journal.ChangedMeta
	theirs := s3backend.Entry{Key: j.key, Size: e.theirs.Size, ETag: e.theirs.ETag, Modified: e.theirs.Modified}
	r.Want, r.Ino = journal.WantNothing, 0
	err = errors.Join(ch.PutInode(j.row.Ino, rec),
		ch.PutDirent(p.dir, p.name, journal.Dirent{Ino: j.row.Ino, Kind: rec.Kind}),
		ch.putRow(j.key, r), ch.wantInode(p.key, j.row.Ino, rec, journal.Base{}),
		ch.noteConflict(journal.Conflict{Old: j.key, New: p.key, Ours: r.ETag, Theirs: e.theirs.ETag, When: ch.now, Ino: j.row.Ino}))
	if err != nil {
		return outcome{}, err
	}
	if _, err := ch.adopt(oldDir, old, entryInode(ch.c, File, j.key, theirs)); err != nil {
		return outcome{}, err
	}
	ch.c.sidecarStale(j.row.Ino)
	ch.c.kernel.EntryGone(oldDir, old)
	ch.c.cfg.Log.Warn("cache: conflict: the object was changed in the bucket while it was changed here; both are kept",
		"key", j.key, "ours", p.key)
	return outcome{settled: true}, nil
}

// yield ends a lineage of which only attributes were changed here: there is no
// content of ours to keep, and the bucket's version stays.
func (ch *change) yield(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	dir, name := rec.Parent, rec.Name
	if err := ch.unsent(j, rec, flushRetry); err != nil {
		return outcome{}, err
	}
	theirs := s3backend.Entry{Key: j.key, Size: e.theirs.Size, ETag: e.theirs.ETag, Modified: e.theirs.Modified}
	r.Want, r.Ino = journal.WantNothing, 0
	if err := errors.Join(ch.orphan(j.row.Ino, rec, unlinked), ch.putRow(j.key, r)); err != nil {
		return outcome{}, err
	}
	if j.f != nil {
		j.f.orphan.v.Store(otherObject)
	}
	if _, err := ch.adopt(dir, name, entryInode(ch.c, File, j.key, theirs)); err != nil {
		return outcome{}, err
	}
	ch.c.kernel.EntryGone(dir, name)
	ch.c.cfg.Log.Warn("cache: attributes changed here were not kept: the object was replaced in the bucket", "key", j.key)
	return outcome{settled: true}, nil
}

// loseSource ends a lineage that was only renamed here, while others replaced or
// removed the object that was to be copied: of ours there is no content, and
// what they made of it stays where they did.
func (ch *change) loseSource(j *job, r *journal.Row, rec *journal.Inode) (outcome, error) {
	dir, name, at := rec.Parent, rec.Name, rec.At
	r.Want, r.Ino = journal.WantNothing, 0
	err := errors.Join(ch.unsent(j, rec, flushRetry), ch.orphan(j.row.Ino, rec, unlinked),
		ch.release(at, j.row.Ino), ch.putRow(j.key, r))
	if err != nil {
		return outcome{}, err
	}
	j.f.orphan.v.Store(otherObject)
	ch.c.kernel.EntryGone(dir, name)
	ch.c.cfg.Log.Warn("cache: a renamed file is gone: its object was replaced or removed in the bucket before it could be copied",
		"key", j.key, "was", at)
	return outcome{settled: true}, nil
}

// errTwoMarkers says that a directory cannot have what two markers hold.
var errTwoMarkers = errors.New("others gave the directory a marker that holds bytes, as ours does: remove one of them")

// shareMarker keeps what others put into the marker of a directory that was made
// or renamed here, and has it carry our attributes.
func (ch *change) shareMarker(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	if rec.Base.Size > 0 && rec.At != "" || rec.Target != "" {
		return ch.retryLater(j, r, rec, fmt.Errorf("%w: %w", errTwoMarkers, e))
	}
	setKnown(r, baseOf(e.theirs))
	r.NonceGen = otherInode // of a marker without those bytes
	err := ch.release(rec.At, j.row.Ino)
	theirs := journal.Inode{Kind: Dir}
	decodeMeta(&theirs, e.theirs)
	rec.Base, rec.At, rec.Changed = baseOf(e.theirs), "", journal.ChangedMeta
	rec.Meta, rec.Headers, rec.StorageClass, rec.Tags = theirs.Meta, theirs.Headers, theirs.StorageClass, theirs.Tags
	o, again := ch.tryAgain(j, r, rec)
	return o, errors.Join(err, again)
}

// A parking place is a free name for a file that met a foreign change.
type parking struct {
	dir       Ino
	name, key string
}

// parkingPlace finds a free name "name (conflict HOST DATE).ext" for rec,
// beside it or, for a piece of a long name, in the directory that it begins in.
func (ch *change) parkingPlace(rec *journal.Inode) (p parking, err error) {
	n, err := names.Parse(rec.Name)
	if err != nil {
		return p, err
	}
	p.dir = rec.Parent
	dir, found, err := ch.Inode(p.dir)
	for err == nil && found && p.dir != Root && !hasObject(dir) {
		p.dir = dir.Parent
		dir, found, err = ch.Inode(p.dir)
	}
	if err != nil || !found {
		return p, errors.Join(err, ErrStale)
	}
	clean := strings.Map(hostRune, strings.TrimPrefix(n.Component, "%="))
	ext := path.Ext(clean)
	if ext == clean || len(ext) > 32 {
		ext = "" // a dot file has no extension
	}
	stem := unmarked(strings.TrimSuffix(clean, ext))
	for try := 1; ; try++ {
		tail := ch.conflictMark(try) + ext
		room := min(255-len(tail), maxKey-max(len(dir.Prefix), len(dir.Next))-len(tail))
		if room < 1 {
			return p, ErrNameTooLong
		}
		p.name = shortened(stem, room) + tail
		if p.key, err = childKey(prefixFor(dir, p.name), p.name, rec.Kind); err != nil {
			return p, err
		}
		_, taken, err := ch.Dirent(p.dir, p.name)
		if err != nil {
			return p, err
		}
		if _, wanted, err := ch.Row(p.key); err != nil || !taken && !wanted {
			return p, err
		}
	}
}

// shortened returns at most n bytes of s, and of UTF-8 whole characters: not every
// server takes keys that are none.
func shortened(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for utf8.ValidString(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (ch *change) conflictMark(try int) string {
	mark := fmt.Sprintf(" (conflict %s %s", strings.Map(hostRune, ch.c.cfg.Host), time.Unix(0, ch.now).UTC().Format("2006-01-02 150405"))
	if try > 1 {
		mark += fmt.Sprint(" ", try)
	}
	return mark + ")"
}

// conflictMarked matches what conflictMark appends.
var conflictMarked = regexp.MustCompile(`^(.+) \(conflict .+ \d{4}-\d\d-\d\d \d{6}( \d+)?\)$`)

// unmarked takes the mark of an earlier conflict away: a name has one at most.
func unmarked(stem string) string {
	for {
		m := conflictMarked.FindStringSubmatch(stem)
		if m == nil {
			return stem
		}
		stem = m[1]
	}
}

func hostRune(r rune) rune {
	if r == '/' || r < ' ' {
		return '-'
	}
	return r
}

// relist makes the directory of a key be listed again before it is shown.
func (ch *change) relist(key string) error {
	prefix := ch.c.cfg.Prefix
	ino := Root
	for {
		rest := strings.TrimPrefix(key, prefix)
		component, more, nested := strings.Cut(rest, "/")
		if !nested || more == "" {
			return ch.PutListing(ino, journal.Listing{})
		}
		d, found, err := ch.Dirent(ino, component)
		if err != nil || !found || d.Kind != Dir {
			return err
		}
		prefix += component + "/"
		ino = d.Ino
	}
}
