package cache

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// conflict parks our file: the bucket's version keeps the name, ours gets one
// of its own beside it and is uploaded there. No byte moves, and writers go on.
func (ch *change) conflict(j *job, r *journal.Row, rec *journal.Inode, e *conflictError) (outcome, error) {
	if err := ch.unsent(j, rec, flushChanged); err != nil {
		return outcome{}, err
	}
	dir, found, err := ch.Inode(rec.Parent)
	if err != nil || !found {
		return outcome{}, errors.Join(err, ErrStale)
	}
	old := rec.Name
	parkedName, key, err := ch.parkedName(rec, dir)
	if err != nil {
		return outcome{}, err
	}
	if err := setState(rec, parked); err != nil {
		return outcome{}, err
	}
	rec.Name, rec.Ctime = parkedName, ch.now
	rec.Changed |= journal.ChangedData | journal.ChangedMeta
	theirs := s3backend.Entry{Key: j.key, Size: e.theirs.Size, ETag: e.theirs.ETag, Modified: e.theirs.Modified}
	err = errors.Join(ch.PutInode(j.row.Ino, rec),
		ch.PutDirent(rec.Parent, parkedName, journal.Dirent{Ino: j.row.Ino, Kind: rec.Kind}),
		ch.DeleteUpload(j.key), ch.dropRow(j.key), ch.wantInode(key, j.row.Ino, rec, journal.Base{}),
		ch.PutConflict(ch.now, j.row.Ino, journal.Conflict{Old: j.key, New: key, Ours: r.ETag, Theirs: e.theirs.ETag, When: ch.now, Ino: j.row.Ino}))
	if err != nil {
		return outcome{}, err
	}
	if _, err := ch.adopt(rec.Parent, old, entryInode(ch.c, File, j.key, theirs)); err != nil {
		return outcome{}, err
	}
	ch.c.sidecarStale(j.row.Ino)
	ch.c.kernel.EntryGone(rec.Parent, old)
	ch.c.cfg.Log.Warn("cache: conflict: the object was changed in the bucket while it was changed here; both are kept",
		"key", j.key, "ours", key)
	return outcome{settled: true}, nil
}

// parkedName finds a free name "name (conflict HOST DATE).ext" for rec.
func (ch *change) parkedName(rec, dir *journal.Inode) (name, key string, err error) {
	ext := path.Ext(rec.Name)
	if ext == rec.Name {
		ext = "" // a dot file has no extension
	}
	stem := strings.TrimSuffix(rec.Name, ext)
	mark := fmt.Sprintf(" (conflict %s %s", strings.Map(hostRune, ch.c.cfg.Host), time.Unix(0, ch.now).UTC().Format("2006-01-02 150405"))
	for n := 1; ; n++ {
		tail := mark + ")" + ext
		if n > 1 {
			tail = fmt.Sprintf("%s %d)%s", mark, n, ext)
		}
		room := min(255-len(tail), maxKey-len(dir.Prefix)-len(tail))
		if room < 1 {
			return "", "", ErrNameTooLong
		}
		name = stem[:min(len(stem), room)] + tail
		if key, err = childKey(dir.Prefix, name, rec.Kind); err != nil {
			return "", "", err
		}
		_, taken, err := ch.Dirent(rec.Parent, name)
		if err != nil {
			return "", "", err
		}
		if _, wanted, err := ch.Row(key); err != nil || !taken && !wanted {
			return name, key, err
		}
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
