package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// errSuperseded ends a request whose key no longer wants what it brings.
var errSuperseded = errors.New("no longer wanted at this key")

// sameInodeWait is when to look again at a key whose inode is being sent to
// another.
const sameInodeWait = 50 * time.Millisecond

// A job is one key being brought into step: what begin decided, for run to do.
type job struct {
	key    string
	row    journal.Row // as begin left it
	rec    *journal.Inode
	f      *file
	z      *frozen
	kind   jobKind
	retry  bool // an earlier attempt may have left something
	resume s3backend.Upload
	drop   s3backend.Upload  // an upload to be aborted first
	base   *s3backend.Object // UploadPartCopy source
	same   []s3backend.Range
}

type jobKind uint8

const (
	jobPut jobKind = iota + 1
	jobCopy
	jobDelete
	jobLocalize // fetch what f still has only in the bucket, so that the key may change
)

// flushKeys carries out what the rows of some keys want now.
func (c *Cache) flushKeys(ctx context.Context, tasks []task) map[string]outcome {
	out := make(map[string]outcome, len(tasks))
	var deletes []*job
	for _, t := range tasks {
		j, o, err := c.begin(t)
		switch {
		case err != nil:
			c.cfg.Log.Error("cache: flush", "key", t.key, "error", err)
			out[t.key] = outcome{due: time.Now().Add(5 * time.Second), failure: err.Error()}
		case j == nil:
			out[t.key] = o
		case j.kind == jobDelete:
			deletes = append(deletes, j)
		default:
			out[t.key] = c.runOne(ctx, j)
		}
	}
	if len(deletes) > 0 {
		c.runDeletes(ctx, deletes, out)
	}
	return out
}

func (c *Cache) runOne(ctx context.Context, j *job) outcome {
	if j.kind == jobLocalize {
		return c.runLocalize(ctx, j)
	}
	o, err := c.send(ctx, j)
	c.note(err)
	if j.base != nil && err != nil && c.baseGone(ctx, j, err) {
		j.base, j.same = nil, nil // all of it has to come from here
		o, err = c.send(ctx, j)
	}
	if k := s3backend.KindOf(err); err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
		o, err = c.explain(ctx, j, err)
	}
	return c.end(j, o, err)
}

// baseGone reports whether an upload failed because the object whose parts it
// was to copy is no longer there.
func (c *Cache) baseGone(ctx context.Context, j *job, cause error) bool {
	if k := s3backend.KindOf(cause); k != s3backend.Changed && k != s3backend.NotFound {
		return false
	}
	o, err := c.remote().Head(ctx, j.base.Key)
	return s3backend.KindOf(err) == s3backend.NotFound || err == nil && o.ETag != j.base.ETag && !ownWrite(j.row.Nonce, o)
}

// begin decides, under the lock, what a key needs now.
func (c *Cache) begin(t task) (j *job, o outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var used []*file
	err = c.update("begun", func(ch *change) error {
		j, o, err = ch.begin(t)
		used = ch.used
		return err
	})
	if err == nil && j != nil {
		if j.kind == jobPut || j.kind == jobCopy {
			c.flying[j.row.Ino] = true
		}
		j.freeze()
	}
	for _, f := range used {
		err = errors.Join(err, c.drop(f))
	}
	if err != nil {
		return nil, o, err
	}
	return j, o, nil
}

func (ch *change) begin(t task) (*job, outcome, error) {
	r, found, err := ch.Row(t.key)
	if err != nil || !found {
		return nil, outcome{settled: true}, err
	}
	if r.After != "" {
		if _, found, err := ch.Row(r.After); err != nil || found {
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
		r.Progress = journal.Running
		u, _, _, err := ch.Upload(t.key)
		return &job{key: t.key, row: *r, kind: jobDelete, drop: u}, outcome{}, errors.Join(err, ch.PutRow(t.key, r))
	}
	return ch.beginInode(t, r)
}

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
		return nil, outcome{due: time.Now().Add(sameInodeWait)}, nil
	}
	j := &job{key: t.key, rec: rec, kind: jobPut, retry: r.Nonce != ""}
	if rec.Kind == File {
		wait, err := ch.beginFile(t, j, r)
		if err != nil || !wait.IsZero() {
			return nil, outcome{due: wait}, err
		}
	}
	if rec.Changed == 0 && rec.At == t.key && r.Known == journal.KnownThere && r.ETag == rec.Base.ETag {
		return nil, outcome{settled: true}, ch.settle(j, r)
	}
	if rec.Kind == Dir && rec.Base.Size > 0 {
		rec.At = t.key // somebody's marker with a body, which stays
	}
	if rec.Changed&journal.ChangedData == 0 && rec.At != "" && rec.Base.ETag != "" {
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
		r.Nonce, r.NonceGen = newNonce(""), rec.Generation
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
	if j.f != nil {
		j.f.noted = false
	}
	return errors.Join(ch.PutInode(r.Ino, j.rec), ch.dropRow(j.key))
}

// beginFile takes the newest size and times of a file in use into j.rec. A
// time says that the file shall rest until then.
func (ch *change) beginFile(t task, j *job, r *journal.Row) (wait time.Time, err error) {
	f, err := ch.live(r.Ino, j.rec)
	if err != nil {
		return time.Time{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if wait := f.restsUntil(ch.c.cfg); !t.asked && !wait.IsZero() {
		return wait, nil
	}
	j.f = f
	if f.unsaved {
		j.rec.Size, j.rec.Mtime, j.rec.Ctime = f.size, f.times.mtime, f.times.ctime
		f.unsaved = false
		return time.Time{}, ch.PutExtents(r.Ino, f.extents())
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
	if gen == j.rec.Generation && r.NonceGen == gen && r.Nonce != "" {
		j.resume = u
		return nil
	}
	j.drop = u
	return nil
}

// freeze begins to use the job's file and, for a put, to keep the content that
// is to be sent. The caller holds c.mu.
func (j *job) freeze() {
	if j.f == nil {
		return
	}
	f := j.f
	f.users.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if j.kind == jobLocalize {
		return
	}
	f.landing = make(chan struct{})
	f.noted = false
	if j.kind != jobPut {
		return
	}
	j.z = f.freezeContent()
	f.sending = f.ext.Dirty.Clone()
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

// noncesKept is how many writes of unknown outcome a key remembers.
const noncesKept = 8

// newNonce puts a fresh nonce before those of earlier writes.
func newNonce(earlier string) string {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	all := append([]string{hex.EncodeToString(b)}, strings.Fields(earlier)...)
	return strings.Join(all[:min(len(all), noncesKept)], " ")
}

// newestNonce is the one that the content being sent carries.
func newestNonce(nonces string) string {
	newest, _, _ := strings.Cut(nonces, " ")
	return newest
}

// ownWrite reports whether an object carries one of a row's nonces.
func ownWrite(nonces string, o s3backend.Object) bool {
	n := o.Meta[metaNonce]
	return n != "" && slices.Contains(strings.Fields(nonces), n)
}

// send carries out a job's request; the key's row is not touched.
func (c *Cache) send(ctx context.Context, j *job) (s3backend.Object, error) {
	if err := c.abandon(ctx, j); err != nil {
		return s3backend.Object{}, err
	}
	if j.row.Known == journal.KnownNot || j.row.NonceGen != j.rec.Generation {
		if o, done, err := c.lookBefore(ctx, j); err != nil || done {
			return o, err
		}
	}
	if err := c.learnBeforeEdit(ctx, j.rec); err != nil {
		return s3backend.Object{}, err
	}
	meta := encodeMeta(j.rec)
	meta[metaNonce] = newestNonce(j.row.Nonce)
	if j.kind == jobCopy {
		return c.remote().Copy(ctx, s3backend.Copy{To: j.key, If: conditionOf(&j.row), Meta: meta, Headers: headersFor(j.rec, j.key),
			From:         s3backend.Object{Key: j.rec.At, Size: j.rec.Base.Size, ETag: j.rec.Base.ETag, Version: j.rec.Base.Version, Tags: j.rec.Tags},
			StorageClass: j.rec.StorageClass})
	}
	p := s3backend.Put{Key: j.key, If: conditionOf(&j.row), Meta: meta, Headers: headersFor(j.rec, j.key), StorageClass: j.rec.StorageClass,
		Resume: j.resume, Progress: c.noteUpload(j), Ready: func() error { return c.stillWanted(j) }, Base: j.base, Unchanged: j.same}
	if j.rec.Tags > 0 {
		p.Keep = &s3backend.Object{Key: j.rec.At, ETag: j.rec.Base.ETag, Tags: j.rec.Tags}
	}
	switch {
	case j.z != nil:
		p.Body, p.Size = j.z, j.z.size
	default:
		body := strings.NewReader(j.rec.Target)
		p.Body, p.Size = body, body.Size()
	}
	o, err := c.remote().Put(ctx, p)
	if err == nil && p.Size <= c.cfg.PartSize {
		c.sent.Add(p.Size)
	}
	if err == nil && (j.retry || p.Size > c.cfg.PartSize) {
		return o, c.sweepUploads(ctx, j.key)
	}
	return o, err
}

// abandon aborts an upload that another content began at the key.
func (c *Cache) abandon(ctx context.Context, j *job) error {
	if j.drop.ID == "" {
		return nil
	}
	if err := c.remote().Abort(ctx, j.key, j.drop); err != nil && s3backend.KindOf(err) != s3backend.NotFound {
		return err
	}
	return c.db.Update("aborted", func(tx *journal.Tx) error { return tx.DeleteUpload(j.key) })
}

// sweepUploads aborts uploads at a key whose ids were never learnt: their
// creation was answered to nobody.
func (c *Cache) sweepUploads(ctx context.Context, key string) error {
	pending, err := c.remote().Uploads(ctx, key)
	for _, u := range pending {
		if err == nil && u.Key == key {
			err = c.remote().Abort(ctx, key, s3backend.Upload{ID: u.ID})
			if s3backend.KindOf(err) == s3backend.NotFound {
				err = nil
			}
		}
	}
	if err != nil { // the object itself is in the bucket
		c.cfg.Log.Warn("cache: unfinished uploads may be left", "key", key, "error", err)
	}
	return nil
}

// lookBefore asks what is at a key that an earlier write of ours may have
// changed, or of which nothing is known.
func (c *Cache) lookBefore(ctx context.Context, j *job) (o s3backend.Object, done bool, err error) {
	o, err = c.remote().Head(ctx, j.key)
	switch {
	case s3backend.KindOf(err) == s3backend.NotFound:
		j.row.Known = journal.KnownAbsent
	case err != nil:
		return o, false, err
	case ownWrite(j.row.Nonce, o) && j.row.NonceGen == j.rec.Generation && o.Meta[metaNonce] == newestNonce(j.row.Nonce):
		return o, true, nil
	case ownWrite(j.row.Nonce, o): // an earlier content of ours
		setKnown(&j.row, baseOf(o))
		if j.rec.At == j.key && j.row.NonceGen != otherInode {
			j.rebase(baseOf(o))
		}
	case j.row.Known == journal.KnownNot:
		setKnown(&j.row, baseOf(o))
	}
	if j.row.NonceGen != j.rec.Generation {
		j.row.Nonce, j.row.NonceGen = newNonce(j.row.Nonce), j.rec.Generation
	}
	return o, false, c.keepNonce(j)
}

// rebase makes an earlier content of ours the one that this builds on.
func (j *job) rebase(base journal.Base) {
	j.rec.Base = base
	j.based(base, j.key)
	if j.z != nil {
		j.f.mu.Lock()
		j.z.base = base
		j.f.mu.Unlock()
	}
	if j.base != nil {
		j.base.ETag, j.base.Version = base.ETag, base.Version
	}
}

// keepNonce journals a nonce and what is known before they are used.
func (c *Cache) keepNonce(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.db.Update("nonce", func(tx *journal.Tx) error {
		r, found, err := tx.Row(j.key)
		if err != nil || !found {
			return err
		}
		r.Nonce, r.NonceGen, r.Known, r.ETag, r.Version = j.row.Nonce, j.row.NonceGen, j.row.Known, j.row.ETag, j.row.Version
		rec, found, err := tx.Inode(j.row.Ino)
		if err != nil || !found {
			return err
		}
		if rec.At == j.key {
			rec.Base = j.rec.Base
		}
		return errors.Join(tx.PutRow(j.key, r), tx.PutInode(j.row.Ino, rec))
	})
}

// noteUpload journals each confirmed part.
func (c *Cache) noteUpload(j *job) func(s3backend.Upload) error {
	sent := int64(0)
	return func(u s3backend.Upload) error {
		now := int64(0)
		for _, p := range u.Parts {
			now += p.Size
		}
		c.sent.Add(now - sent)
		sent = now
		return c.db.Update("part", func(tx *journal.Tx) error { return tx.PutUpload(j.key, u, j.rec.Generation) })
	}
}

// stillWanted is asked last before an object becomes visible.
func (c *Cache) stillWanted(j *job) error {
	if j.z != nil {
		j.f.mu.RLock()
		thawed := j.z.thawed
		j.f.mu.RUnlock()
		if thawed {
			return errThawed
		}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.view(func(tx *journal.Tx) error {
		r, found, err := tx.Row(j.key)
		if err == nil && (!found || r.Want != journal.WantInode || r.Ino != j.row.Ino) {
			err = errSuperseded
		}
		return err
	})
}

// explain finds out what a failed condition means: our own write whose answer
// was lost, a key that is empty now, a source that is gone, or a conflict.
func (c *Cache) explain(ctx context.Context, j *job, cause error) (s3backend.Object, error) {
	o, err := c.remote().Head(ctx, j.key)
	if k := s3backend.KindOf(err); err != nil && k != s3backend.NotFound {
		return o, err
	}
	there := err == nil
	switch {
	case there && o.Meta[metaNonce] != "" && o.Meta[metaNonce] == newestNonce(j.row.Nonce):
		return o, nil
	case there && ownWrite(j.row.Nonce, o):
		return o, &ownError{o}
	case !there && j.row.Known == journal.KnownThere:
		return o, errKeyEmpty
	case j.kind == jobCopy && (!there || o.ETag == j.row.ETag):
		return o, errSourceGone
	case there && o.ETag != j.row.ETag:
		return o, &conflictError{theirs: o, cause: cause}
	}
	return o, fmt.Errorf("%w (nothing else seems to be at the key)", cause)
}

var (
	errKeyEmpty   = errors.New("the object was deleted in the bucket")
	errSourceGone = errors.New("the object to be copied was replaced in the bucket")
)

// An ownError says that an earlier write of ours, whose outcome was not known,
// is at the key.
type ownError struct{ object s3backend.Object }

func (e *ownError) Error() string { return "an earlier write of this file arrived late" }

// A conflictError says that somebody else's object is at the key.
type conflictError struct {
	theirs s3backend.Object
	cause  error
}

func (e *conflictError) Error() string {
	return "the object was changed in the bucket: " + e.cause.Error()
}
func (e *conflictError) Unwrap() error { return e.cause }
