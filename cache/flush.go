package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
	litter bool // what it left could not be swept yet
	found  bool // the content was there already
	unsafe bool // the row's nonce would not survive a power cut
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
		err := c.guard.do("flush of "+t.key, func() {
			if j, o := c.flushKey(ctx, t); j != nil {
				deletes = append(deletes, j)
			} else {
				out[t.key] = o
			}
		})
		if err != nil {
			out[t.key] = faulted(err)
		}
	}
	if len(deletes) == 0 {
		return out
	}
	if err := c.guard.do("deletions", func() { c.runDeletes(ctx, deletes, out) }); err != nil {
		for _, j := range deletes {
			out[j.key] = faulted(err)
		}
	}
	return out
}

// flushKey carries out what a row wants now, or returns a deletion to be sent
// with others.
func (c *Cache) flushKey(ctx context.Context, t task) (*job, outcome) {
	if dir, ok := movedDir(t.key); ok {
		return nil, c.runMove(ctx, t, dir)
	}
	j, o, err := c.begin(t)
	switch {
	case err != nil:
		if !c.disk.failed(err) {
			c.cfg.Log.Error("cache: flush", "key", t.key, "error", err)
		}
		return nil, outcome{due: time.Now().Add(5 * time.Second), failure: err.Error()}
	case j == nil:
		return nil, o
	case j.kind == jobDelete:
		return j, outcome{}
	case j.kind == jobLocalize:
		return nil, c.runLocalize(ctx, j)
	}
	var sent s3backend.Object
	err = c.guard.try("flush of "+t.key, func() (err error) {
		sent, err = c.transfer(ctx, j)
		return err
	})
	return nil, c.end(j, sent, err)
}

// transfer carries out a job's requests and returns the object that is at its
// key then.
func (c *Cache) transfer(ctx context.Context, j *job) (s3backend.Object, error) {
	o, err := c.send(ctx, j)
	if j.base != nil && err != nil && c.baseGone(ctx, j, err) {
		j.base, j.same = nil, nil // all of it has to come from here
		o, err = c.send(ctx, j)
	}
	if k := s3backend.KindOf(err); err != nil && (k == s3backend.Changed || k == s3backend.NotFound) {
		o, err = c.explain(ctx, j, err)
	}
	if s3backend.KindOf(err) == s3backend.Blocked && j.f != nil && j.rec.At != "" && j.rec.At != j.key {
		err = errors.Join(err, c.getAway(ctx, j))
	}
	return o, err
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

// send carries out a job's request; the key's row is not touched.
func (c *Cache) send(ctx context.Context, j *job) (s3backend.Object, error) {
	if err := c.abandon(ctx, j); err != nil {
		return s3backend.Object{}, err
	}
	if j.row.Known == journal.KnownNot || j.row.NonceGen != j.rec.Generation || j.rec.Torn {
		if o, done, err := c.lookBefore(ctx, j); err != nil || done {
			return o, err
		}
	}
	if err := c.learnBeforeEdit(ctx, j.rec); err != nil {
		return s3backend.Object{}, err
	}
	if c.mustRemember(j) {
		if err := c.syncJournal(); err != nil {
			return s3backend.Object{}, err
		}
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
		if err := j.z.check(); err != nil {
			return s3backend.Object{}, err
		}
		p.Body, p.Size = j.z, j.z.size
		if p.Size <= c.cfg.PartSize { // parts do not keep others off the key
			if err := j.z.gather(ctx); err != nil {
				return s3backend.Object{}, err
			}
		}
	default:
		body := strings.NewReader(j.rec.Target)
		p.Body, p.Size = body, body.Size()
	}
	o, err := c.remote().Put(ctx, p)
	if err == nil && p.Size <= c.cfg.PartSize {
		c.sent.Add(p.Size)
	}
	if err == nil && (j.retry || p.Size > c.cfg.PartSize) {
		j.litter = c.sweepUploads(ctx, j.key) != nil
	}
	return o, err
}

// mustRemember reports whether what led to a request has to be durable before
// it: an upload in parts that nobody remembers is never swept, and the object
// that goes may be the only content of an inode that had this name before.
func (c *Cache) mustRemember(j *job) bool {
	inParts := j.unsafe && j.z != nil && j.z.size > c.cfg.PartSize
	return inParts || j.row.Known != journal.KnownAbsent && j.rec.At != j.key && j.rec.Kind != Dir
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
// creation was answered to nobody, so they have no parts. Those that have are
// somebody else's, who is at it.
func (c *Cache) sweepUploads(ctx context.Context, key string) error {
	pending, err := c.remote().Uploads(ctx, key)
	for _, u := range pending {
		if err == nil && u.Key == key && u.Empty {
			err = c.remote().Abort(ctx, key, s3backend.Upload{ID: u.ID})
			if s3backend.KindOf(err) == s3backend.NotFound {
				err = nil
			}
		}
	}
	if k := s3backend.KindOf(err); err != nil && (k == s3backend.Denied || k == s3backend.Other) && ctx.Err() == nil {
		c.cfg.Log.Warn("cache: unfinished uploads may be left", "key", key, "error", err)
		return nil
	}
	return err
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
		return c.foundOwn(ctx, j, o), true, nil
	case j.rec.Torn && c.forgotten(&j.row, o):
		return c.foundOwn(ctx, j, o), true, nil
	case ownWrite(j.row.Nonce, o): // an earlier content of ours
		setKnown(&j.row, baseOf(o))
		if j.rec.At == j.key && j.row.NonceGen != otherInode {
			j.rebase(baseOf(o))
		}
	case j.row.Known == journal.KnownNot:
		setKnown(&j.row, baseOf(o))
	}
	if j.row.NonceGen != j.rec.Generation {
		j.row.Nonce, j.row.NonceGen, j.unsafe = c.newNonce(j.row.Nonce), j.rec.Generation, true
	}
	return o, false, c.keepNonce(j)
}

// foundOwn notes that an earlier request had brought a job's content, and
// sweeps what others of them may have left.
func (c *Cache) foundOwn(ctx context.Context, j *job, o s3backend.Object) s3backend.Object {
	j.found = true
	if j.rec.Torn {
		c.cfg.Log.Info("cache: a power cut took a content that had reached the bucket", "key", j.key, "size", o.Size, "here", j.rec.Size)
	}
	if j.kind == jobPut {
		j.litter = c.sweepUploads(ctx, j.key) != nil
	}
	return o
}

// rebase makes an earlier content of ours the one that this builds on.
func (j *job) rebase(base journal.Base) {
	j.rec.Base = base
	if j.base != nil {
		j.base.ETag, j.base.Version = base.ETag, base.Version
	}
	if j.f != nil {
		j.f.mu.Lock()
		defer j.f.mu.Unlock()
		j.based(base, j.key)
		if j.z != nil {
			j.z.base = base
		}
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
		return c.foundOwn(ctx, j, o), nil
	case there && j.rec.Torn && c.forgotten(&j.row, o):
		return c.foundOwn(ctx, j, o), nil
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
