package cache

import (
	"errors"
	"hash/maphash"
	"maps"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

// merge brings lines of a listing into the dirents, in one transaction.
func (c *Cache) merge(ls *listing, entries []s3backend.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	maps.DeleteFunc(ls.beside, func(key string, _ s3backend.Entry) bool { return key+"/" < entries[0].Key })
	c.mu.Lock()
	defer c.mu.Unlock()
	var forget []string
	err := c.update("merged", func(ch *change) error {
		dir, found, err := ch.Inode(ls.dir)
		if err != nil {
			return err
		}
		if !found {
			return ErrNotExist
		}
		if !ls.speaksOf(dir) {
			return errMoved
		}
		l, _, err := ch.Listing(ls.dir)
		if err != nil {
			return err
		}
		ls.again, forget = l.Complete, forget[:0]
		for _, e := range entries {
			gone, err := ch.mergeEntry(ls, dir, e)
			if err != nil {
				return err
			}
			if gone != "" {
				forget = append(forget, gone)
			}
		}
		return nil
	})
	ls.changed += len(forget)
	for _, name := range forget {
		c.kernel.EntryGone(ls.dir, name)
	}
	return err
}

// mergeEntry merges one line and returns a name whose meaning changed.
func (ch *change) mergeEntry(ls *listing, dir *journal.Inode, e s3backend.Entry) (string, error) {
	if e.Key == ls.prefix && !e.Prefix && strings.HasSuffix(ls.prefix, "/") {
		if err := ch.mergeMarker(ls, dir, e); err != nil || e.Size == 0 {
			return "", err
		}
	}
	rest := e.Key[len(ls.prefix):]
	if e.Prefix {
		rest = strings.TrimSuffix(rest, "/")
	}
	name, kind, ok := ls.nameOf(rest, e.Prefix)
	if !ok {
		return ch.mergeBeside(ls, rest, e)
	}
	if e.Prefix {
		if left, err := ch.leftOver(ls, name, e.Key); err != nil || left {
			return "", err
		}
	}
	if !e.Prefix && rest == "" {
		name = markerBody
	}
	name, gone, err := ch.separate(ls, name, rest, e)
	if err != nil || name == "" {
		if !e.Prefix {
			ls.hidden = append(ls.hidden, e)
		}
		return gone, err
	}
	if !e.Prefix && continued(name, File) == Dir {
		if _, pending, err := ch.Row(e.Key); err != nil || pending || ch.c.listings.settledSince(e.Key, ls.begun) {
			return gone, err // the listing is behind what was done here
		}
	}
	changed, err := ch.show(ls, name, continued(name, kind), e)
	if err == nil && changed {
		gone = name
	}
	return gone, err
}

// show brings one name into step that the listing showed.
func (ch *change) show(ls *listing, name string, kind Kind, e s3backend.Entry) (changed bool, err error) {
	ls.seen[maphash.String(ls.seed, name)] = struct{}{}
	return ch.mergeName(ls, name, kind, e)
}

// mergeBeside is for what has its name elsewhere, as it is not too long: but a
// file for which no room is left, with its mark, beside a directory shows here.
func (ch *change) mergeBeside(ls *listing, rest string, e s3backend.Entry) (gone string, err error) {
	name, ok := names.ListedFile(ls.chunks, rest)
	if !ok || len(ls.chunks) == 0 {
		return "", nil
	}
	if !e.Prefix {
		if ls.beside == nil {
			ls.beside = map[string]s3backend.Entry{}
		}
		ls.beside[e.Key] = e
		return "", nil
	}
	file, found := ls.beside[strings.TrimSuffix(e.Key, "/")]
	if !found {
		return "", nil
	}
	if changed, err := ch.show(ls, name, File, file); err != nil || !changed {
		return "", err
	}
	return name, nil
}

// markerBody is the name, in a directory, of what its marker object holds.
const markerBody = "%=%f"

// nameOf returns how the text behind a directory's prefix is called there
// and whether it is called there at all: what is too long for one name shows
// as synthetic directories.
func (ls *listing) nameOf(rest string, isPrefix bool) (string, Kind, bool) {
	kind := File
	if isPrefix {
		kind = Dir
	}
	if len(ls.chunks) > 0 {
		name, ok := names.Listed(ls.chunks, rest)
		return name, continued(name, kind), ok
	}
	name := names.Split(rest)[0]
	return name, continued(name, kind), true
}

func continued(name string, kind Kind) Kind {
	if n, err := names.Parse(name); err == nil && n.Continues {
		return Dir
	}
	return kind
}

// separate keeps object x and prefix x/ apart: the directory has the name, the
// object its escaped form, or, where that is too long, a directory in which it
// shows. use is empty if nothing is to be shown.
func (ch *change) separate(ls *listing, name, rest string, e s3backend.Entry) (use, gone string, err error) {
	d, found, err := ch.Dirent(ls.dir, name)
	if err != nil || !found {
		return name, "", err
	}
	isDir := e.Prefix
	if isDir == (d.Kind == Dir) {
		return name, "", nil
	}
	escaped, ok := names.ListedFile(ls.chunks, rest)
	if _, there := ls.seen[maphash.String(ls.seed, name)]; !isDir && ok && continued(escaped, File) == Dir && !there && !ls.swept {
		return "", "", nil // where it shows depends on whether the directory is still there
	}
	if !ok || !isDir {
		return escaped, "", nil
	}
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return name, "", err
	}
	if continued(escaped, File) == Dir {
		if local, err := ch.local(ls.prefix+rest, d.Ino, rec, ls.begun); err != nil || local {
			return "", "", err // what is to be sent keeps its name; the directory shows afterwards
		}
		if err := ch.orphan(d.Ino, rec, remoteChanged); err != nil {
			return "", "", err
		}
		if _, listed := ls.seen[maphash.String(ls.seed, name)]; !listed { // x comes before x/: it is gone
			return name, name, nil
		}
		_, err := ch.show(ls, escaped, Dir, e)
		return name, name, err
	}
	rec.Name = escaped
	if _, listed := ls.seen[maphash.String(ls.seed, name)]; listed { // x comes before x/
		ls.seen[maphash.String(ls.seed, escaped)] = struct{}{}
	}
	err = errors.Join(ch.DeleteDirent(ls.dir, name), ch.PutDirent(ls.dir, escaped, d), ch.PutInode(d.Ino, rec))
	return name, name, err
}

// unescape gives the plain name back to a file whose directory of the same
// name is gone.
func (ch *change) unescape(parent Ino, name string) error {
	at, d, found, err := ch.fileBeside(parent, name)
	if err != nil || !found {
		return err
	}
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return err
	}
	rec.Parent, rec.Name = parent, name
	ch.c.kernel.EntryGone(at.dir, at.name)
	ch.c.kernel.EntryGone(parent, name)
	return errors.Join(ch.DeleteDirent(at.dir, at.name), ch.PutDirent(parent, name, d), ch.PutInode(d.Ino, rec))
}

// fileBeside finds the file whose key is that of a directory without its
// slash, and which therefore has an escaped name.
func (ch *change) fileBeside(parent Ino, name string) (at dirName, d journal.Dirent, found bool, err error) {
	n, err := names.Parse(name)
	if err != nil {
		return at, d, false, nil // no key is called so
	}
	chunks, err := chunksOf(ch.Tx, parent)
	if err != nil {
		return at, d, false, err
	}
	escaped, ok := names.ListedFile(chunks, n.Component)
	if !ok {
		return at, d, false, nil
	}
	at = dirName{parent, escaped}
	d, found, err = ch.Dirent(at.dir, at.name)
	if err == nil && found && d.Kind == Dir { // no room for the mark here
		path := names.SplitFile(n.Component)
		at = dirName{d.Ino, path[len(path)-1]}
		d, found, err = ch.Dirent(at.dir, at.name)
	}
	return at, d, found && d.Kind != Dir, err
}

// mergeMarker learns of the directory's own object.
func (ch *change) mergeMarker(ls *listing, dir *journal.Inode, e s3backend.Entry) error {
	local, err := ch.local(ls.prefix, ls.dir, &journal.Inode{Kind: File, State: dir.State}, ls.begun)
	if err != nil || local {
		return err
	}
	if dir.Base.ETag == e.ETag { // as nearly always: markers are empty
		again, err := ch.mergeSame(ls.dir, dir, e)
		if again {
			ch.c.kernel.ContentChanged(ls.dir)
		}
		return err
	}
	ch.c.kernel.ContentChanged(ls.dir)
	dir.Base, dir.AttrsKnown = baseOfEntry(e), false
	return ch.PutInode(ls.dir, dir)
}

// leftOver reports whether what a listing shows as a directory is only what was
// removed or renamed here and is still to go from the bucket.
func (ch *change) leftOver(ls *listing, name, prefix string) (bool, error) {
	d, found, err := ch.Dirent(ls.dir, name)
	if err != nil || found && d.Kind == Dir {
		return false, err
	}
	if ch.c.moves.below(prefix) || ch.c.listings.settledSince(prefix, ls.begun) {
		return true, nil
	}
	return ch.anyRow(prefix)
}

// mergeName brings one name into step; changed says that it now means another
// inode, or one where the kernel may believe in none, or has other attributes.
func (ch *change) mergeName(ls *listing, name string, kind Kind, e s3backend.Entry) (changed bool, err error) {
	key, err := childKey(ls.prefix, name, kind)
	if err != nil {
		return false, err
	}
	d, found, err := ch.Dirent(ls.dir, name)
	if err != nil {
		return false, err
	}
	if !found {
		adopted, err := ch.mergeNew(ls, name, entryInode(ch.c, kind, key, e), key)
		return adopted && ls.again, err
	}
	if kind == Dir {
		return false, nil
	}
	rec, _, err := ch.Inode(d.Ino)
	if err != nil {
		return false, err
	}
	if local, err := ch.local(key, d.Ino, rec, ls.begun); err != nil || local {
		ch.leave(ls, name, d.Ino)
		return false, err
	}
	if rec.Base.ETag == e.ETag {
		return ch.mergeSame(d.Ino, rec, e)
	}
	if ch.c.fresh.seen(d.Ino).After(ls.begun) {
		return false, nil // a later answer knew better
	}
	if err := ch.orphan(d.Ino, rec, remoteChanged); err != nil {
		return false, err
	}
	_, err = ch.adopt(ls.dir, name, entryInode(ch.c, kind, key, e))
	return true, err
}

func (ch *change) mergeNew(ls *listing, name string, rec *journal.Inode, key string) (adopted bool, err error) {
	if _, found, err := ch.Row(key); err != nil || found {
		return false, err
	}
	if ch.c.listings.settledSince(key, ls.begun) {
		return false, nil
	}
	_, err = ch.adopt(ls.dir, name, rec)
	return true, err
}

// mergeSame notices a metadata self-copy: same ETag, newer time.
func (ch *change) mergeSame(ino Ino, rec *journal.Inode, e s3backend.Entry) (again bool, err error) {
	if e.Modified.IsZero() || rec.Base.Modified == e.Modified.UnixNano() {
		return false, nil
	}
	if again = rewritten(rec.Base, e.Modified) && ch.c.cfg.Attrs == AttrsExact; again {
		rec.AttrsKnown = false
	}
	rec.Base.Modified = e.Modified.UnixNano()
	return again, ch.PutInode(ino, rec)
}

// rewritten reports whether an object with the ETag of base was written later
// than it, by a time that S3 says of it. Of our own writes we know when they
// were answered, which is no earlier than the time S3 gives them. S3's listings
// have milliseconds where its HEAD answers have seconds: less than a second
// later is the same time.
func rewritten(base journal.Base, modified time.Time) bool {
	return base.Modified != 0 && modified.UnixNano()-base.Modified >= int64(time.Second)
}

// adopt gives a name to a new inode for something that is in the bucket.
func (ch *change) adopt(dir Ino, name string, rec *journal.Inode) (Ino, error) {
	ino, err := ch.c.db.NextIno()
	if err != nil {
		return 0, err
	}
	rec.Parent, rec.Name = dir, name
	return ino, errors.Join(ch.PutInode(ino, rec), ch.PutDirent(dir, name, journal.Dirent{Ino: ino, Kind: rec.Kind}))
}

func baseOfEntry(e s3backend.Entry) journal.Base {
	b := journal.Base{ETag: e.ETag, Size: e.Size}
	if !e.Modified.IsZero() {
		b.Modified = e.Modified.UnixNano()
	}
	return b
}

func baseOf(o s3backend.Object) journal.Base {
	b := journal.Base{ETag: o.ETag, Version: o.Version, Size: o.Size}
	if !o.Modified.IsZero() {
		b.Modified = o.Modified.UnixNano()
	}
	return b
}

// setDefaults sets the attributes that objects without metadata have.
func (c *Cache) setDefaults(rec *journal.Inode) {
	rec.Uid, rec.Gid, rec.Rdev, rec.Mode = c.cfg.Uid, c.cfg.Gid, 0, c.cfg.FileMode
	if rec.Kind == Dir {
		rec.Mode = c.cfg.DirMode
	}
}

// entryInode is the record of a listed object or prefix before its metadata
// is known.
func entryInode(c *Cache, kind Kind, key string, e s3backend.Entry) *journal.Inode {
	rec := &journal.Inode{Kind: kind, State: journal.Clean, Nlink: 1, Size: e.Size}
	c.setDefaults(rec)
	if kind == Dir {
		rec.Nlink, rec.Prefix, rec.Size = 2, key, 0
	} else {
		rec.Base, rec.At, rec.StorageClass = baseOfEntry(e), key, e.StorageClass
	}
	rec.Mtime = rec.Base.Modified
	if rec.Mtime == 0 {
		rec.Mtime = time.Now().UnixNano()
	}
	rec.Atime, rec.Ctime, rec.Btime = rec.Mtime, rec.Mtime, rec.Mtime
	return rec
}
