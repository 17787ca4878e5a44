package cache

import (
	"errors"
	"maps"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// begin decides, under the lock, what a key needs now.
func (c *Cache) begin(t task) (j *job, o outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var begun *change
	defer func() {
		if begun == nil {
			return
		}
		if begun.locked != nil {
			begun.locked.mu.Unlock()
		}
		for _, f := range begun.used {
			err = errors.Join(err, c.drop(f))
		}
		if err != nil {
			j = nil
		}
	}()
	err = c.update("begun", func(ch *change) error {
		begun = ch
		j, o, err = ch.begin(t)
		return err
	})
	if err == nil && j != nil {
		if j.kind == jobPut || j.kind == jobCopy {
			c.flying[j.row.Ino] = true
		}
		j.freeze()
	}
	return j, o, err
}

func (ch *change) begin(t task) (*job, outcome, error) {
	r, found, err := ch.Row(t.key)
	if err != nil || !found {
		return nil, outcome{settled: true}, err
	}
	if task := ch.c.moves.blocked(t.key); task != "" {
		return nil, outcome{after: task}, nil
	}
	if until, yes := ch.c.claiming(t.key); yes {
		return nil, outcome{due: until, pause: true}, nil
	}
	if r.After != "" {
		if a, found, err := ch.Row(r.After); err != nil || found && a.Want == journal.WantInode {
			return nil, outcome{after: r.After}, err
		}
		r.After = ""
	}
	if settled, err := ch.isSettled(t.key, r); err != nil {
		return nil, outcome{}, err
	} else if settled {
		return nil, outcome{settled: true}, ch.dropRow(t.key)
	}
	if r.Holder != 0 && !(r.Want == journal.WantInode && r.Holder == r.Ino) {
		j, o, free, err := ch.held(t.key, r)
		if err != nil || !free {
			return j, o, err
		}
	}
	if r.Want != journal.WantInode {
		if late := ch.c.lateWrites(t.key); late.After(time.Now()) {
			return nil, outcome{due: late, pause: true}, nil
		}
		r.Progress = journal.Running
		u, _, _, err := ch.Upload(t.key)
		return &job{key: t.key, row: *r, kind: jobDelete, drop: u}, outcome{}, errors.Join(err, ch.PutRow(t.key, r))
	}
	return ch.beginInode(t, r)
}

// lateWrites returns until when a write that nobody answered may still take
// effect at a key that is to be empty, also if a later one was answered.
func (c *Cache) lateWrites(key string) time.Time {
	last, doubtful := c.doubt[key]
	if !doubtful {
		return time.Time{}
	}
	return last.Add(lateWrite)
}

// noteDoubt remembers when a write ended of which nobody said what came of it.
func (c *Cache) noteDoubt(key string, cause error) {
	var e *s3backend.Error
	if errors.As(cause, &e) && (e.Kind == s3backend.Offline || e.Kind == s3backend.Busy || e.Kind == s3backend.Other) {
		c.doubt[key] = time.Now()
	}
	if len(c.doubt) > doubtsKept {
		maps.DeleteFunc(c.doubt, func(_ string, last time.Time) bool { return time.Since(last) > lateWrite })
	}
}

// doubtsKept is how many keys are remembered before those that are settled by
// time are looked for.
const doubtsKept = 1000

// held decides about a key where another inode's only content lies.
func (ch *change) held(key string, r *journal.Row) (j *job, o outcome, free bool, err error) {
	rec, found, err := ch.Inode(r.Holder)
	if err != nil {
		return nil, o, false, err
	}
	if !found || rec.At != key {
		r.Holder = 0
		return nil, o, true, ch.PutRow(key, r)
	}
	at, err := ch.keyOf(rec)
	if err != nil {
		return nil, o, false, err
	}
	if at != "" {
		if _, found, err := ch.Row(at); err != nil {
			return nil, o, false, err
		} else if cycle, err := ch.cycle(key, at); err != nil || found && !cycle {
			return nil, outcome{after: at}, false, err
		}
	}
	if rec.Kind == Dir {
		return &job{key: key, row: *r, rec: rec, kind: jobLocalize}, o, false, nil
	}
	f, err := ch.live(r.Holder, rec)
	if err != nil {
		return nil, o, false, err
	}
	return &job{key: key, row: *r, rec: rec, f: f, kind: jobLocalize}, o, false, nil
}

// cycle reports whether the row at waits, through others, for the row of key.
func (ch *change) cycle(key, at string) (bool, error) {
	for steps := 0; steps < 1000; steps++ {
		if at == key {
			return true, nil
		}
		r, found, err := ch.Row(at)
		if err != nil || !found || r.Holder == 0 || r.Holder == r.Ino {
			return false, err
		}
		rec, found, err := ch.Inode(r.Holder)
		if err != nil || !found {
			return false, err
		}
		if at, err = ch.keyOf(rec); err != nil || at == "" {
			return false, err
		}
	}
	return true, nil
}

// beginInode prepares the sending of an inode's content or attributes.
func (ch *change) beginInode(t task, r *journal.Row) (*job, outcome, error) {
	rec, found, err := ch.Inode(r.Ino)
	if err != nil {
		return nil, outcome{}, err
	}
	if !found || rec.State == journal.Orphan {
		r.Want, r.Ino = journal.WantNothing, 0 // nothing keeps a row without its inode
		return nil, outcome{due: time.Now()}, ch.putRow(t.key, r)
	}
	if ch.c.flying[r.Ino] { // still on its way to the key it had before
		return nil, outcome{due: time.Now().Add(sameInodeWait), pause: true}, nil
	}
	j := &job{key: t.key, rec: rec, kind: jobPut, retry: r.Nonce != ""}
	if rec.Kind == File {
		wait, err := ch.beginFile(t, j, r)
		if err != nil || !wait.IsZero() {
			return nil, outcome{due: wait}, err
		}
		if cause := j.f.lost(extent.Range{Len: j.f.size}); cause != nil {
			o, err := ch.refuseDamaged(t.key, r, rec, cause)
			return nil, o, err
		}
	}
	if rec.Changed == 0 && rec.At == t.key && r.Known == journal.KnownThere && r.ETag == rec.Base.ETag {
		return nil, outcome{settled: true}, ch.settle(j, r)
	}
	if rec.Kind == Dir && rec.Base.Size > 0 && rec.At == "" {
		rec.At = t.key // somebody's marker with a body, which stays
	}
	empty := rec.Kind == Dir && rec.Base.Size == 0 // written anew: not every server copies a marker
	if rec.Changed&journal.ChangedData == 0 && rec.At != "" && rec.Base.ETag != "" && !empty {
		j.kind = jobCopy
	}
	if err := ch.resume(j, r); err != nil {
		return nil, outcome{}, err
	}
	switch rec.State {
	case journal.Clean, journal.Armed, journal.Conflicted, journal.Flushing, journal.Redirtied:
		rec.State = journal.Dirty // the end of an earlier flush could not be journalled
	}
	if err := setState(rec, beginFlush); err != nil {
		return nil, outcome{}, err
	}
	r.Progress = journal.Running
	if r.Nonce == "" {
		r.Nonce, r.NonceGen, j.unsafe = ch.c.newNonce(""), rec.Generation, true
	}
	j.row = *r
	if err := errors.Join(ch.PutRow(t.key, r), ch.PutInode(r.Ino, rec)); err != nil {
		return nil, outcome{}, err
	}
	return j, outcome{}, nil
}

// settle records that a key already holds what it wants.
func (ch *change) settle(j *job, r *journal.Row) error {
	j.rec.State = journal.Clean
	if j.rec.Kind == Dir {
		j.rec.At = ""
	}
	if f := j.f; f != nil {
		ch.committed(func() { f.noted = false })
	}
	ino := r.Ino
	r.Want, r.Ino = journal.WantNothing, 0 // what an earlier attempt left is still to be swept
	return errors.Join(ch.PutInode(ino, j.rec), ch.putRow(j.key, r))
}

// beginFile takes the newest size and times of a file in use into j.rec. A
// time says that the file shall rest until then. The file's lock is held from
// here until its content is frozen: what the record says is what is sent.
func (ch *change) beginFile(t task, j *job, r *journal.Row) (wait time.Time, err error) {
	f, err := ch.live(r.Ino, j.rec)
	if err != nil {
		return time.Time{}, err
	}
	f.mu.Lock()
	ch.locked = f
	if wait := f.restsUntil(ch.c.cfg); !t.asked && !wait.IsZero() {
		return wait, nil
	}
	j.f = f
	if f.unsaved {
		f.overlay(j.rec)
		ch.committed(func() { f.unsaved = false })
		return time.Time{}, ch.putExtents(f, f.extents())
	}
	return time.Time{}, nil
}

// restsUntil returns when a file that is open for writing may be published;
// zero: now.
func (f *file) restsUntil(cfg Config) time.Time {
	if f.writers == 0 {
		return time.Time{}
	}
	at := f.lastWrite.Add(cfg.OpenRest)
	if f.lastSync.After(f.lastWrite) {
		at = f.lastSync.Add(cfg.WriteBack)
	}
	if !at.After(time.Now()) {
		return time.Time{}
	}
	return at
}

// resume finds out whether an earlier attempt for the same content can go on.
// One for another content may have been applied: its nonce is kept for run to
// look for.
func (ch *change) resume(j *job, r *journal.Row) error {
	u, gen, found, err := ch.Upload(j.key)
	if err != nil || !found {
		return err
	}
	if gen == j.rec.Generation && r.NonceGen == gen && r.Nonce != "" && !j.rec.Torn {
		j.resume = u
		return nil
	}
	j.drop = u
	return nil
}

// freeze begins to use the job's file and, for a put, to keep the content that
// is to be sent. The caller holds c.mu and the lock of a file to be sent.
func (j *job) freeze() {
	if j.f == nil {
		return
	}
	f := j.f
	f.users.Add(1)
	if j.kind == jobLocalize {
		return
	}
	f.landing = make(chan struct{})
	f.noted = false
	if j.kind != jobPut {
		return
	}
	j.z = f.freezeContent()
	f.sending.AddSet(f.ext.Dirty) // the end of an earlier flush may not have been journalled
	f.ext.Dirty = extent.Set{}
	if f.base.ETag != "" && f.base.Size > 0 && f.size > f.c.cfg.PartSize {
		same := extent.New(extent.Range{Off: 0, Len: min(f.size, f.base.Size)})
		same.RemoveSet(f.sending)
		j.base = &s3backend.Object{Key: f.at, ETag: f.base.ETag, Version: f.base.Version, Size: f.base.Size}
		for _, r := range same.Ranges() {
			j.same = append(j.same, s3backend.Range{Off: r.Off, Len: r.Len})
		}
	}
}
