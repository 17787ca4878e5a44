package cache

import (
	"strconv"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
)

// aside begins the keys below a directory that has none in the bucket for the
// time being, because those that go with its name still belong to another. No
// key of S3 begins so: it holds a NUL and is no UTF-8.
const aside = "\x00\xff"

// asidePrefix is the prefix of a directory that has to wait for its keys, those
// that begin like want.
func asidePrefix(dir Ino, want string) string {
	end := "/"
	if !strings.HasSuffix(want, "/") { // a piece of a long name
		end = "+"
	}
	return aside + strconv.FormatUint(uint64(dir), 10) + end
}

func isAside(key string) bool { return strings.HasPrefix(key, aside) }

// moveTask is what the queue calls the move of a directory. No key is called
// so.
func moveTask(dir Ino) string { return aside + "move " + strconv.FormatUint(uint64(dir), 10) }

// movedDir is the reverse of moveTask.
func movedDir(task string) (dir Ino, ok bool) {
	digits, ok := strings.CutPrefix(task, aside+"move ")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return Ino(n), err == nil
}

// moves knows the directories whose keys do not yet follow their names. All
// keys below the prefix of one, its source, are its own until its move has
// ended: nothing is sent to or deleted at them. Guarded by Cache.mu.
type moves struct {
	sources  map[Ino]string
	owners   map[string]Ino // by source
	pieces   int            // sources of directories that stand for a piece of a long name
	backlogs map[Ino]*backlog

	ahead int           // moveAhead
	stall time.Duration // moveStall
}

func newMoves() moves {
	return moves{sources: map[Ino]string{}, owners: map[string]Ino{}, backlogs: map[Ino]*backlog{}, ahead: moveAhead, stall: moveStall}
}

// queued adds keys to the backlog of a move.
func (m *moves) queued(dir Ino, keys []string) {
	if len(keys) == 0 {
		return
	}
	b := m.backlogs[dir]
	if b == nil {
		b = &backlog{}
		m.backlogs[dir] = b
	}
	b.keys = append(b.keys, keys...)
}

func (m *moves) has(dir Ino) bool {
	_, ok := m.sources[dir]
	return ok
}

// set makes source the keys that dir moves from.
func (m *moves) set(dir Ino, source string) {
	m.end(dir)
	m.sources[dir], m.owners[source] = source, dir
	if !strings.HasSuffix(source, "/") {
		m.pieces++
	}
}

func (m *moves) end(dir Ino) {
	source, ok := m.sources[dir]
	if !ok {
		return
	}
	delete(m.sources, dir)
	delete(m.owners, source)
	if !strings.HasSuffix(source, "/") {
		m.pieces--
	}
}

// owner returns the directory that moves away from a key: of several the one
// with the longest source; 0: none.
func (m *moves) owner(key string) (dir Ino) {
	if len(m.owners) == 0 {
		return 0
	}
	longest := 0
	for n := len(key); n > 0; n = strings.LastIndexByte(key[:n-1], '/') + 1 {
		if o, ok := m.owners[key[:n]]; ok {
			dir, longest = o, n
			break
		}
	}
	if m.pieces > 0 {
		for source, o := range m.owners {
			if len(source) > longest && strings.HasPrefix(key, source) {
				dir, longest = o, len(source)
			}
		}
	}
	return dir
}

// below reports whether something moves away from keys that begin so.
func (m *moves) below(prefix string) bool {
	for source := range m.owners {
		if strings.HasPrefix(source, prefix) {
			return true
		}
	}
	return false
}

// moving reports whether a directory, or one below it, is on the move.
func (ch *change) moving(dir Ino) (bool, error) {
	for ino := range ch.c.moves.sources {
		if is, err := within(ch.Tx, ino, dir); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

// blocked returns the move that has to end before anything may happen at a
// key; empty: none.
func (m *moves) blocked(key string) (task string) {
	if o := m.owner(key); o != 0 {
		return moveTask(o)
	}
	rest, ok := strings.CutPrefix(key, aside)
	if !ok {
		return ""
	}
	digits := rest[:strings.IndexFunc(rest+"/", func(r rune) bool { return r < '0' || r > '9' })]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return ""
	}
	return moveTask(Ino(n))
}

// unclaimed returns the prefix of a directory that is made in parent: key,
// unless another is still moving away from there.
func (ch *change) unclaimed(key string, parent, ino Ino) (string, error) {
	o := ch.c.moves.owner(key)
	if o == 0 {
		return key, nil
	}
	if own, err := within(ch.Tx, parent, o); err != nil || own {
		return key, err
	}
	return asidePrefix(ino, key), nil
}

// within reports whether a directory is dir or lies below it.
func within(tx *journal.Tx, ino, dir Ino) (bool, error) {
	for ino != dir {
		if ino == Root || ino == 0 {
			return false, nil
		}
		rec, found, err := tx.Inode(ino)
		if err != nil || !found {
			return false, err
		}
		ino = rec.Parent
	}
	return true, nil
}
