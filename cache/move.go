package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
	"github.com/moorfs/moorfs/s3backend"
)

const (
	// moveBatch is how many names of a moving directory one transaction takes.
	moveBatch = 100
	// moveAhead is how many keys a moving directory may have waiting for their
	// copies before more are made to wait …
	moveAhead = 5000
	// … for as long as some of them settle within this time.
	moveStall = 30 * time.Second
	moveLook  = 100 * time.Millisecond
)

// A moveStep is what the move of a directory needs next.
type moveStep struct {
	after  string   // wait for this row or move first
	list   bool     // the names below the old prefix must be known first
	done   bool     // keys and names agree
	queued []string // keys that wait for their copies now
}

// startMove has the keys below a directory follow its name. after is the key of
// the marker that must be written before they go, if any; one that an earlier
// rename named counts on while they are still where that left them.
func (ch *change) startMove(dir Ino, rec *journal.Inode, after string) error {
	earlier, found, err := ch.Move(dir)
	if err != nil {
		return err
	}
	if found && (after == "" || !strings.HasPrefix(rec.Prefix, after)) {
		after = earlier.After
	}
	ch.poke[moveTask(dir)] = poke{due: ch.at}
	ch.committed(func() { ch.c.moves.set(dir, rec.Prefix) })
	return ch.PutMove(dir, journal.Move{After: after, Since: ch.at})
}

func (ch *change) endMove(dir Ino) error {
	ch.poke[moveTask(dir)] = poke{settled: true}
	ch.committed(func() {
		ch.c.moves.end(dir)
		delete(ch.c.moves.backlogs, dir)
	})
	return ch.DeleteMove(dir)
}

// runMove brings the keys below a directory that was renamed to where its name
// says, name by name: each is either wholly at the old prefix or wholly at the
// new one, so that whatever happens meanwhile happens at the right key. What
// follows for the objects is in the rows.
func (c *Cache) runMove(ctx context.Context, t task, dir Ino) outcome {
	listed := false
	for ctx.Err() == nil {
		ahead, err := c.movedAhead(dir)
		if err != nil {
			return c.moveFailed(dir, err)
		}
		if len(ahead) > 0 { // the copies need the worker that this one is
			if t.asked {
				c.queue.kick(ahead)
			}
			return outcome{due: time.Now().Add(moveLook), pause: true}
		}
		s, err := c.stepMove(dir, listed)
		switch {
		case err != nil:
			return c.moveFailed(dir, err)
		case s.done:
			return outcome{settled: true}
		case s.after != "":
			return outcome{after: s.after}
		case s.list:
			if err := c.ensureListed(ctx, dir); err != nil {
				return c.moveFailed(dir, err)
			}
			listed = true
		}
	}
	return outcome{due: time.Now()}
}

// A backlog is the keys for which a move has made copies wait.
type backlog struct {
	keys  []string
	since time.Time // when one of them settled last, of too many; zero: they are not too many
}

// movedAhead returns the keys whose copies a move shall let be made before it
// goes on; none: it shall go on.
func (c *Cache) movedAhead(dir Ino) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.moves.backlogs[dir]
	if b == nil || len(b.keys) <= c.moves.ahead {
		return nil, nil
	}
	settled := false
	err := c.view(func(tx *journal.Tx) error {
		for len(b.keys) > 0 {
			if r, found, err := tx.Row(b.keys[0]); err != nil || found && r.Progress != journal.Refusing {
				return err
			}
			b.keys, settled = b.keys[1:], true
		}
		return nil
	})
	if settled || b.since.IsZero() {
		b.since = time.Now()
	}
	if err != nil || len(b.keys) <= c.moves.ahead {
		b.since = time.Time{}
		return nil, err
	}
	if time.Since(b.since) >= c.moves.stall {
		return nil, nil
	}
	return b.keys, nil
}

// moveFailed notes why a move cannot go on, and when to try again.
func (c *Cache) moveFailed(dir Ino, cause error) outcome {
	kind := s3backend.KindOf(cause)
	out := outcome{failure: oneLine(cause), network: ofNetwork(kind), refused: refusal(kind)}
	wait := retryRefused
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.update("move failed", func(ch *change) error {
		m, found, err := ch.Move(dir)
		if err != nil || !found {
			return err
		}
		if !out.refused {
			wait = backoff(m.Attempts)
		}
		if m.Attempts++; m.Attempts == 1 {
			c.noteUnsent("cache: a renamed directory cannot yet be moved in the bucket; queued", c.moves.sources[dir], out)
		}
		m.Error = out.failure
		return ch.PutMove(dir, m)
	})
	if err != nil {
		c.cfg.Log.Error("cache: move", "directory", dir, "error", err)
	}
	out.due = time.Now().Add(wait)
	return out
}

// stepMove does the next piece of a move, or says what it waits for.
func (c *Cache) stepMove(dir Ino, listed bool) (s moveStep, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.update("moved", func(ch *change) error {
		s, err = ch.stepMove(dir, listed)
		return err
	})
	if err == nil && !s.done && !s.list && s.after == "" {
		c.moved.Add(1)
		c.moves.queued(dir, s.queued)
	}
	return s, err
}

func (ch *change) stepMove(dir Ino, listed bool) (s moveStep, err error) {
	m, found, err := ch.Move(dir)
	if err != nil || !found {
		return moveStep{done: true}, err
	}
	rec, found, err := ch.Inode(dir)
	if err != nil {
		return s, err
	}
	if !found || rec.Parent == 0 {
		return moveStep{done: true}, ch.endMove(dir)
	}
	if rec.Next != "" {
		return ch.movePass(dir, rec, m)
	}
	want, err := ch.wantedPrefix(rec)
	if err != nil {
		return s, err
	}
	if want == rec.Prefix {
		return moveStep{done: true}, ch.endMove(dir)
	}
	if s.after, err = ch.moveWaits(dir); err != nil || s.after != "" {
		if other, _ := movedDir(s.after); err != nil {
			return s, err
		} else if circle, err := ch.waitsFor(other, dir); err != nil || !circle {
			return s, err
		}
		if want = asidePrefix(dir, want); want == rec.Prefix {
			return s, nil
		}
		s.after = ""
	}
	if !listed {
		own, err := ch.c.localOnly(ch.Tx, rec)
		if err != nil || !own {
			return moveStep{list: true}, err
		}
	}
	return s, ch.beginPass(dir, rec, want)
}

// wantedPrefix is what a directory's prefix should be by its name.
func (ch *change) wantedPrefix(rec *journal.Inode) (string, error) {
	parent, found, err := ch.Inode(rec.Parent)
	if err != nil || !found {
		return "", errors.Join(err, ErrStale)
	}
	return childKey(prefixFor(parent, rec.Name), rec.Name, Dir)
}

// moveWaits returns the move that has to end before a directory can move: that
// of one above it which will give it yet another prefix, or of the one whose
// keys it is to have; empty: none.
func (ch *change) moveWaits(dir Ino) (task string, err error) {
	rec, found, err := ch.Inode(dir)
	if err != nil || !found {
		return "", err
	}
	for below := rec; below.Parent != Root; {
		up := below.Parent
		parent, found, err := ch.Inode(up)
		if err != nil || !found {
			return "", errors.Join(err, ErrStale)
		}
		if ch.c.moves.has(up) && (parent.Next == "" || below.Name > parent.Cursor) {
			return moveTask(up), nil
		}
		below = parent
	}
	want, err := ch.wantedPrefix(rec)
	if err != nil {
		return "", err
	}
	if o := ch.c.moves.owner(want); o != 0 && o != dir {
		return moveTask(o), nil
	}
	return "", nil
}

// waitsFor reports whether a move waits, through others, for that of dir.
func (ch *change) waitsFor(other, dir Ino) (bool, error) {
	for range len(ch.c.moves.sources) {
		if other == dir {
			return true, nil
		}
		rec, found, err := ch.Inode(other)
		if err != nil || !found || rec.Next != "" {
			return false, err
		}
		task, err := ch.moveWaits(other)
		if err != nil {
			return false, err
		}
		next, ok := movedDir(task)
		if !ok {
			return false, nil
		}
		other = next
	}
	return other == dir, nil
}

// beginPass begins to give the names in a directory another prefix, with its
// marker.
func (ch *change) beginPass(dir Ino, rec *journal.Inode, want string) error {
	if d, found, err := ch.Dirent(dir, markerBody); err != nil {
		return err
	} else if found { // it goes with the marker, and is listed anew
		body, found, err := ch.Inode(d.Ino)
		if err == nil && found {
			err = ch.orphan(d.Ino, body, unlinked)
		}
		if err != nil {
			return err
		}
	}
	old := rec.Prefix
	rec.Next, rec.Cursor = want, ""
	r, found, err := ch.Row(old)
	if err != nil {
		return err
	}
	sent := found && r.Want == journal.WantInode && r.Ino == dir
	if !hasObject(rec) || rec.Base.ETag == "" && !sent {
		return ch.PutInode(dir, rec)
	}
	if rec.Base.ETag != "" && rec.At == "" {
		rec.At = old
	}
	m, _, err := ch.Move(dir)
	return errors.Join(err, ch.moveKey(dir, rec, old, want), ch.rowAfter(old, m.After))
}

// movePass gives the next names in a directory its new prefix.
func (ch *change) movePass(dir Ino, rec *journal.Inode, m journal.Move) (s moveStep, err error) {
	type child struct {
		name string
		d    journal.Dirent
	}
	var children []child
	err = ch.Dirents(dir, rec.Cursor, func(name string, d journal.Dirent) error {
		if children = append(children, child{name, d}); len(children) == moveBatch {
			return journal.Stop
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	for _, k := range children {
		key, err := ch.moveChild(childMove{rec, k.name, m.After}, k.d)
		if err != nil {
			return s, fmt.Errorf("%q: %w", k.name, err)
		}
		if key != "" && !isAside(key) && ch.c.moves.owner(key) == 0 {
			s.queued = append(s.queued, key)
		}
		rec.Cursor = k.name
	}
	if len(children) == moveBatch {
		return s, ch.PutInode(dir, rec)
	}
	rec.Prefix, rec.Next, rec.Cursor = rec.Next, "", ""
	ch.committed(func() { ch.c.moves.set(dir, rec.Prefix) })
	ch.poke[moveTask(dir)] = poke{due: ch.at, passed: true}
	return s, ch.PutInode(dir, rec)
}

// A childMove is one name in a directory on the move.
type childMove struct {
	dir   *journal.Inode
	name  string
	after string // nothing at the old keys goes before the row of this one has
}

// moveChild gives one name in a directory its new prefix and returns the key
// that waits for a copy. Directories follow by moves of their own.
func (ch *change) moveChild(m childMove, d journal.Dirent) (key string, err error) {
	rec, found, err := ch.Inode(d.Ino)
	if err != nil || !found {
		return "", errors.Join(err, ErrStale)
	}
	if key, err = childKey(m.dir.Next, m.name, rec.Kind); err != nil {
		return "", err
	}
	if rec.Kind == Dir {
		if rec.Prefix == key && rec.Next == "" {
			return "", nil
		}
		return "", ch.startMove(d.Ino, rec, m.after)
	}
	old, err := childKey(m.dir.Prefix, m.name, rec.Kind)
	if err != nil {
		return "", err
	}
	if _, wanted, err := ch.Row(old); err != nil {
		return "", err
	} else if len(key) > maxKey && !wanted && rec.State == journal.Clean {
		ch.c.cfg.Log.Warn("cache: the key would be too long after the directory's rename; the object stays where it is", "key", old)
		return "", ch.orphan(d.Ino, rec, remoteChanged)
	}
	return key, errors.Join(ch.moveKey(d.Ino, rec, old, key), ch.rowAfter(old, m.after))
}

// finalPrefix is what the keys of the names in a directory begin with once all
// moves have ended.
func (c *Cache) finalPrefix(tx *journal.Tx, dir Ino, rec *journal.Inode) (string, error) {
	if len(c.moves.sources) == 0 {
		return rec.Prefix, nil
	}
	tail := ""
	for dir != Root {
		n, err := names.Parse(rec.Name)
		if err != nil {
			return "", err
		}
		piece := n.Component
		if !n.Continues {
			piece += "/"
		}
		tail = piece + tail
		dir = rec.Parent
		var found bool
		if rec, found, err = tx.Inode(dir); err != nil || !found {
			return "", errors.Join(err, ErrStale)
		}
	}
	return rec.Prefix + tail, nil
}
