package cache

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/cache/names"
)

// otherInode stands for a generation in a row whose nonces are of writes for
// another inode than the row's.
const otherInode = ^uint64(0)

// maxKey is S3's limit for a key, in bytes.
const maxKey = 1024

// A change collects, within one transaction, what the queue must hear when it
// has committed.
type change struct {
	*journal.Tx
	c       *Cache
	now     int64 // by the wall, for the times of files
	at      int64 // the stamp, for what is due
	poke    map[string]poke
	own     string   // the key whose job this transaction ends
	gone    []Ino    // data files to remove, once the journal's word for it is durable
	evicted []Ino    // data files to remove at once: the bucket has what was in them
	used    []*file  // to be closed if nobody uses them after all
	locked  *file    // whose lock is held beyond the transaction
	after   []func() // see committed
	clean   []Ino    // sidecars to remove
	reap    []Ino    // vanished directories with names below them
}

type poke struct {
	due     int64
	size    int64
	deletes bool
	settled bool
	refused bool
	own     bool // by the end of the key's own job
	passed  bool // who waits for it shall look again
}

// update runs one transaction and tells the queue of the rows it edited. The
// caller holds c.mu for writing.
func (c *Cache) update(name string, fn func(ch *change) error) error {
	return c.commit(c.db.Update, name, fn)
}

// commit is update by one of the journal's forms of a transaction.
func (c *Cache) commit(in func(string, func(*journal.Tx) error) error, name string, fn func(ch *change) error) error {
	ch := &change{c: c, now: c.wall().UnixNano(), at: stamp(), poke: map[string]poke{}}
	err := in(name, func(tx *journal.Tx) error {
		ch.Tx = tx
		return fn(ch)
	})
	if err != nil {
		return diskFull(err)
	}
	for _, fn := range ch.after {
		fn()
	}
	if len(ch.poke) > 0 {
		c.queue.tell(ch.poke)
	}
	for _, ino := range ch.gone {
		c.removeSidecar(ino) // or after a kill its data file would seem to be the only copy of something
	}
	c.condemn(ch.gone)
	for _, ino := range ch.evicted {
		c.removeData(ino)
	}
	for _, ino := range ch.clean {
		c.removeSidecar(ino)
	}
	for _, ino := range ch.reap {
		c.queueReap(ino)
	}
	return nil
}

// committed has memory follow the journal once the transaction has taken
// effect, before anybody else can see it.
func (ch *change) committed(fn func()) { ch.after = append(ch.after, fn) }

// live is Cache.live for the time of a transaction and what follows it at
// once.
func (ch *change) live(ino Ino, rec *journal.Inode) (*file, error) {
	f, err := ch.c.live(ino, rec)
	if err == nil {
		ch.used = append(ch.used, f)
	}
	return f, err
}

// putRowSized is putRow of a row whose content has a size.
func (ch *change) putRowSized(key string, r *journal.Row, size int64) error {
	err := ch.putRow(key, r)
	p := ch.poke[key]
	p.size = size
	ch.poke[key] = p
	return err
}

// diskFull says of a journal that has no room what a program shall see.
func diskFull(err error) error {
	if errors.Is(err, journal.ErrFull) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func (c *Cache) view(fn func(tx *journal.Tx) error) error { return c.db.View(fn) }

// viewLocked is view under c.mu, for those who do not have it.
func (c *Cache) viewLocked(fn func(tx *journal.Tx) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.db.View(fn)
}

// row returns the row of key, a new one if there is none.
func (ch *change) row(key string) (*journal.Row, error) {
	r, found, err := ch.Row(key)
	if err != nil || found {
		return r, err
	}
	return &journal.Row{}, nil
}

// putRow stores the row, or drops it when what is wanted is known to be so.
func (ch *change) putRow(key string, r *journal.Row) error {
	if settled, err := ch.isSettled(key, r); err != nil {
		return err
	} else if settled {
		return ch.dropRow(key)
	}
	ch.poke[key] = poke{due: max(r.Due, r.NotBefore), deletes: r.Want == journal.WantAbsent, refused: r.Progress == journal.Refusing,
		own: key == ch.own}
	return ch.PutRow(key, r)
}

// isSettled reports whether nothing is left to do at a key: no object is
// wanted, none is there, and no write of ours may still become one.
func (ch *change) isSettled(key string, r *journal.Row) (bool, error) {
	if r.Holder != 0 || r.Progress == journal.Running || r.Nonce != "" ||
		r.Want == journal.WantInode || r.Want == journal.WantAbsent && r.Known != journal.KnownAbsent {
		return false, nil
	}
	_, _, uploading, err := ch.Upload(key)
	return !uploading, err
}

// dropRow removes a row whose key is as wanted.
func (ch *change) dropRow(key string) error {
	ch.poke[key] = poke{settled: true}
	ch.committed(func() { ch.c.tellWaited(key) })
	return ch.DeleteRow(key)
}

// rowAfter has the deletion at a key wait until the object is there that is
// wanted at another; no longer than it is wanted.
func (ch *change) rowAfter(key, after string) error {
	if after == "" {
		return nil
	}
	r, found, err := ch.Row(key)
	if err != nil || !found {
		return err
	}
	r.After = after
	return ch.putRow(key, r)
}

// wantInode says that key shall hold rec's content, from now on and at the
// latest when due. known is what is believed about the key if no row says.
func (ch *change) wantInode(key string, ino Ino, rec *journal.Inode, known journal.Base) error {
	r, found, err := ch.Row(key)
	if err != nil {
		return err
	}
	if !found {
		r = &journal.Row{}
		setKnown(r, known)
	}
	if r.Ino != ino && r.Nonce != "" {
		r.NonceGen = otherInode
	}
	r.Want, r.Ino, r.After = journal.WantInode, ino, ""
	ch.arm(r)
	return ch.putRowSized(key, r, rec.Size)
}

// wantAbsent says that nothing shall lie at key.
func (ch *change) wantAbsent(key string, known journal.Base, holder Ino) error {
	r, found, err := ch.Row(key)
	if err != nil {
		return err
	}
	if !found {
		r = &journal.Row{}
		setKnown(r, known)
	}
	r.Want, r.Ino = journal.WantAbsent, 0
	if holder != 0 && r.Known != journal.KnownAbsent {
		r.Holder = holder
	}
	ch.arm(r)
	return ch.putRow(key, r)
}

// arm sets when a row is due after a change: a rest later, but not for ever.
func (ch *change) arm(r *journal.Row) {
	if r.Since == 0 {
		r.Since = ch.at
	}
	r.Due = min(ch.at+int64(ch.c.cfg.WriteBack), r.Since+int64(ch.c.cfg.WriteBackMax))
	r.NotBefore, r.Attempts, r.Error, r.Kind = 0, 0, "", 0
	if r.Progress == journal.Refusing {
		r.Progress = journal.Waiting
	}
}

// release ends ino's hold on the key where its only content lay.
func (ch *change) release(key string, ino Ino) error {
	if key == "" {
		return nil
	}
	r, found, err := ch.Row(key)
	if err != nil || !found || r.Holder != ino {
		return err
	}
	r.Holder = 0
	if r.Progress != journal.Running { // what failed was to take the content away from here
		r.Progress, r.NotBefore, r.Attempts, r.Error, r.Kind = journal.Waiting, 0, 0, "", 0
	}
	return ch.putRow(key, r)
}

// setKnown records that the object of base, or none, is at the row's key.
func setKnown(r *journal.Row, base journal.Base) {
	if base.ETag == "" {
		r.Known, r.ETag, r.Version = journal.KnownAbsent, "", ""
		return
	}
	r.Known, r.ETag, r.Version = journal.KnownThere, base.ETag, base.Version
}

// prefixFor returns what the key of a name in a directory begins with.
func prefixFor(dir *journal.Inode, name string) string {
	if dir.Next != "" && name <= dir.Cursor {
		return dir.Next
	}
	return dir.Prefix
}

// markerKey returns the key of a directory's marker, all but the slash for one
// that stands for a piece of a long name.
func markerKey(dir *journal.Inode) string { return cmp.Or(dir.Next, dir.Prefix) }

// keyIn returns the key of a name that somebody gives to something in a
// directory; ErrNameTooLong if S3 would not take it.
func (ch *change) keyIn(ino Ino, dir *journal.Inode, name string, kind Kind) (string, error) {
	key, err := childKey(prefixFor(dir, name), name, kind)
	if err != nil {
		return "", err
	}
	final, err := ch.c.finalPrefix(ch.Tx, ino, dir)
	if err == nil && len(final)+len(key)-len(prefixFor(dir, name)) > maxKey {
		err = ErrNameTooLong
	}
	return key, err
}

// childKey returns the key (of a directory: its prefix) of name in the
// directory with prefix.
func childKey(prefix, name string, kind Kind) (string, error) {
	n, err := names.Parse(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key := prefix + n.Component
	if kind == Dir && !n.Continues {
		key += "/"
	}
	return key, nil
}

// keyOf returns where rec's object belongs; empty if it has no name.
func (ch *change) keyOf(rec *journal.Inode) (string, error) { return keyOf(ch.Tx, rec) }

func keyOf(tx *journal.Tx, rec *journal.Inode) (string, error) {
	if rec.Kind == Dir {
		return markerKey(rec), nil
	}
	if rec.Parent == 0 {
		return "", nil
	}
	parent, found, err := tx.Inode(rec.Parent)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("inode %d, parent of %q, is missing from the journal", rec.Parent, rec.Name)
	}
	return childKey(prefixFor(parent, rec.Name), rec.Name, rec.Kind)
}
