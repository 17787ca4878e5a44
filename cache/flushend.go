package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
	"golang.org/x/sync/errgroup"
)

const (
	retryFirst   = 500 * time.Millisecond
	retryMost    = time.Minute
	retryRefused = 5 * time.Minute // somebody may have granted what was missing
	retryExpired = time.Minute     // new credentials come by themselves, as a clock is set
)

// end records, under the lock, what came of a job.
func (c *Cache) end(j *job, o s3backend.Object, cause error) outcome {
	if j.z != nil {
		if err := j.f.thawContent(j.z); err != nil {
			c.cfg.Log.Error("cache: closing a snapshot", "key", j.key, "error", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, j.row.Ino)
	c.noteDoubt(j.key, cause)
	out, err := c.recordEnd(j, o, cause)
	if err != nil {
		if !c.disk.failed(err) {
			c.cfg.Log.Error("cache: flush", "key", j.key, "error", err)
		}
		return outcome{due: time.Now().Add(retryFirst), failure: err.Error()}
	}
	if out.settled {
		c.listings.noteSettled(j.key)
	}
	return out
}

// recordEnd is the transaction of end, after which the job's file is no longer
// in use by it.
func (c *Cache) recordEnd(j *job, o s3backend.Object, cause error) (out outcome, err error) {
	if j.f != nil {
		j.f.mu.Lock()
		defer func() {
			j.landed()
			j.f.mu.Unlock()
			j.f.users.Add(-1)
			err = errors.Join(err, c.drop(j.f))
		}()
	}
	err = c.update("flushed", func(ch *change) (err error) {
		ch.own = j.key
		r, err := ch.row(j.key)
		if err != nil {
			return err
		}
		r.Progress = journal.Waiting
		if cause == nil {
			out, err = ch.sent(j, r, o)
		} else {
			out, err = ch.failed(j, r, cause)
		}
		return err
	})
	return out, err
}

// sent records that an object is at the key.
func (ch *change) sent(j *job, r *journal.Row, o s3backend.Object) (outcome, error) {
	base := baseOf(o) // its time is that of the answer; the next listing or HEAD says it as all others see it
	setKnown(r, base)
	r.Nonce, r.Attempts, r.NotBefore, r.Error, r.Kind = "", 0, 0, "", 0
	if err := ch.DeleteUpload(j.key); err != nil {
		return outcome{}, err
	}
	rec, found, err := ch.Inode(j.row.Ino)
	if err != nil {
		return outcome{}, err
	}
	if !found || r.Want != journal.WantInode || r.Ino != j.row.Ino { // unlinked or renamed meanwhile
		if found {
			if rec.At == j.key { // what is missing here is in the new object
				rec.Base = base
				ch.committed(func() { j.based(base, j.key) })
			}
			if err := ch.unsent(j, rec, flushRetry); err != nil {
				return outcome{}, err
			}
		}
		return outcome{due: ofStamp(r.Due)}, ch.putRow(j.key, r)
	}
	from := rec.At
	if rec.At = j.key; rec.Kind == Dir {
		rec.At, rec.Target = "", ""
	}
	rec.Base, rec.Torn = base, rec.Torn && rec.Generation != j.rec.Generation
	if !rec.AttrsKnown && j.rec.AttrsKnown {
		keepLearnt(rec, j.rec)
	}
	if err := setState(rec, flushOK); err != nil {
		return outcome{}, err
	}
	if rec.State == journal.Clean {
		rec.Changed = 0
	}
	ch.committed(func() { j.based(rec.Base, rec.At) })
	err = ch.landedExtents(j, rec)
	if err = errors.Join(err, ch.PutInode(j.row.Ino, rec)); err != nil {
		return outcome{}, err
	}
	if from != j.key {
		if err := ch.release(from, j.row.Ino); err != nil {
			return outcome{}, err
		}
	}
	if rec.State != journal.Clean {
		r.Since = ch.at
		ch.arm(r)
		return outcome{due: ofStamp(r.Due)}, ch.putRowSized(j.key, r, rec.Size)
	}
	ch.clean = append(ch.clean, j.row.Ino)
	if j.litter {
		r.Want, r.Ino, r.Nonce = journal.WantNothing, 0, j.row.Nonce
		return outcome{settled: true}, ch.putRow(j.key, r)
	}
	return outcome{settled: true}, ch.dropRow(j.key)
}

// keepLearnt takes over what a HEAD said before the write.
func keepLearnt(rec, from *journal.Inode) {
	rec.AttrsKnown = true
	rec.Meta, rec.Xattrs, rec.Headers, rec.StorageClass, rec.Tags = from.Meta, from.Xattrs, from.Headers, from.StorageClass, from.Tags
	if rec.Generation == from.Generation {
		rec.Mode, rec.Uid, rec.Gid, rec.Rdev = from.Mode, from.Uid, from.Gid, from.Rdev
		rec.Atime, rec.Mtime, rec.Ctime, rec.Btime = from.Atime, from.Mtime, from.Ctime, from.Btime
	}
}

// landed tells readers who met the change that this job made. The caller holds
// the file's lock.
func (j *job) landed() {
	close(j.f.landing)
	j.f.landing = nil
}

// based makes an object the source of what is not here. The caller holds the
// file's lock.
func (j *job) based(base journal.Base, at string) {
	if j.f != nil {
		j.f.base, j.f.at, j.f.stale = base, at, false
	}
}

// landedExtents journals that what was sent is no longer dirty.
func (ch *change) landedExtents(j *job, rec *journal.Inode) error {
	f := j.f
	if f == nil {
		return nil
	}
	loose, since := f.loosened(f.sending)
	e := f.extents()
	e.Dirty, e.Loose = f.ext.Dirty, loose
	size := f.size
	if j.rec.Torn && j.found {
		size = ch.takeWhole(j, rec, e)
	}
	ch.committed(func() {
		f.sending, f.size = extent.Set{}, size
		f.ext.Present, f.ext.Damaged, f.ext.Loose, f.since = e.Present, e.Damaged, e.Loose, since
	})
	return ch.putExtents(f, e)
}

// takeWhole gives up what a power cut left of a content that is whole in the
// bucket, all but what was written here since, and returns the file's size.
func (ch *change) takeWhole(j *job, rec *journal.Inode, e *journal.Extents) int64 {
	size := rec.Base.Size
	e.Present = e.Dirty.Clone()
	if rec.Generation != j.rec.Generation { // changed since
		size = j.f.size
		e.Present.Add(rec.Base.Size, size-rec.Base.Size)
	}
	e.Loose = e.Loose.Clone()
	for _, r := range j.f.ext.Loose.Ranges() {
		for _, gap := range e.Present.Missing(r.Off, r.Len) {
			e.Loose.Remove(gap.Off, gap.Len)
		}
	}
	given := j.f.ext.Present.Clone()
	given.RemoveSet(e.Present)
	for _, r := range given.Ranges() {
		j.f.sums.drop(r.Off, r.Len)
	}
	e.Damaged = e.Damaged.Clone()
	e.Damaged.RemoveSet(given)
	e.Sums, rec.Size = j.f.sums.count(), size
	ino := j.row.Ino
	ch.committed(func() { ch.c.kernel.ContentChanged(ino) })
	return size
}

// unsent records that a content is still to be sent.
func (ch *change) unsent(j *job, rec *journal.Inode, e event) error {
	if err := setState(rec, e); err != nil {
		return err
	}
	if f := j.f; f != nil {
		ch.committed(func() {
			f.ext.Dirty.AddSet(f.sending)
			f.sending = extent.Set{}
		})
	}
	return ch.PutInode(j.row.Ino, rec)
}

// failed records a failure and decides what follows it.
func (ch *change) failed(j *job, r *journal.Row, cause error) (outcome, error) {
	rec, found, err := ch.Inode(j.row.Ino)
	if err != nil {
		return outcome{}, err
	}
	if !found {
		return outcome{due: time.Now().Add(backoff(r.Attempts))}, ch.putRow(j.key, r)
	}
	var conflict *conflictError
	var own *ownError
	switch {
	case errors.As(cause, &own):
		setKnown(r, baseOf(own.object))
		if rec.At == j.key && r.Ino == j.row.Ino {
			rec.Base = baseOf(own.object)
			ch.committed(func() { j.based(rec.Base, j.key) })
		}
		return ch.tryAgain(j, r, rec)
	case errors.As(cause, &conflict) && r.Want == journal.WantInode && r.Ino == j.row.Ino && rec.Kind != Dir:
		return ch.conflict(j, r, rec, conflict)
	case errors.As(cause, &conflict) && r.Want == journal.WantInode && r.Ino == j.row.Ino && conflict.theirs.Size > 0:
		return ch.shareMarker(j, r, rec, conflict)
	case errors.As(cause, &conflict): // a marker others wrote, or a key nobody wants any more
		setKnown(r, baseOf(conflict.theirs))
		return ch.tryAgain(j, r, rec)
	case errors.Is(cause, errKeyEmpty):
		r.Known = journal.KnownAbsent
		return ch.tryAgain(j, r, rec)
	case errors.Is(cause, errSourceGone) && rec.Kind == File && rec.Changed&journal.ChangedData == 0 && j.f != nil && !j.f.whole() && !j.hasWriters():
		return ch.loseSource(j, r, rec)
	case errors.Is(cause, errSourceGone):
		rec.Changed |= journal.ChangedData
		if rec.Kind == Dir {
			err = ch.release(rec.At, j.row.Ino)
			rec.Base, rec.At = journal.Base{}, ""
		}
		o, again := ch.tryAgain(j, r, rec)
		return o, errors.Join(err, again)
	case errors.Is(cause, errThawed), errors.Is(cause, errSuperseded):
		return ch.tryAgain(j, r, rec)
	case r.Want != journal.WantInode || r.Ino != j.row.Ino: // of no interest any more
		return ch.tryAgain(j, r, rec)
	}
	return ch.retryLater(j, r, rec, cause)
}

// tryAgain lets a row be begun again as soon as its file rests.
func (ch *change) tryAgain(j *job, r *journal.Row, rec *journal.Inode) (outcome, error) {
	due := time.Now()
	if rec.Generation != j.rec.Generation {
		due = ofStamp(r.Due)
	}
	return outcome{due: due}, errors.Join(ch.unsent(j, rec, flushRetry), ch.putRow(j.key, r))
}

// retryLater notes a failure and when to try again; what S3 refuses for good
// waits for a person, a new change, or a long while.
func (ch *change) retryLater(j *job, r *journal.Row, rec *journal.Inode, cause error) (outcome, error) {
	kind := s3backend.KindOf(cause)
	out := outcome{failure: oneLine(cause), network: ofNetwork(kind), refused: refusal(kind) || errors.Is(cause, ErrStale) || errors.Is(cause, ErrNameTooLong) || errors.Is(cause, ErrDamaged) || errors.Is(cause, errTwoMarkers)}
	e, wait := flushRetry, backoff(r.Attempts)
	if out.refused {
		e, wait = flushRefused, refusedFor(kind)
		r.Progress = journal.Refusing
		if errors.Is(cause, ErrStale) {
			out.failure = baseLost + ": " + out.failure
		}
	}
	r.Attempts++
	r.NotBefore = stamp() + int64(wait)
	r.Error, r.Kind = out.failure, uint32(kind)
	out.due = ofStamp(r.NotBefore)
	if r.Attempts == 1 && !ch.c.disk.failed(cause) {
		ch.c.noteUnsent("cache: not yet in the bucket; queued", j.key, out)
	}
	return out, errors.Join(ch.unsent(j, rec, e), ch.putRow(j.key, r))
}

// noteUnsent logs a first failure, unless it is the network's: of that there is
// one line for all.
func (c *Cache) noteUnsent(what, key string, out outcome) {
	if out.network {
		c.cfg.Log.Debug(what, "key", key, "error", out.failure)
		return
	}
	c.cfg.Log.Warn(what, "key", key, "error", out.failure)
}

// ofNetwork reports whether a failure says nothing of its key: the same request
// may succeed as soon as the bucket answers.
func ofNetwork(k s3backend.Kind) bool { return k == s3backend.Offline || k == s3backend.Busy }

// refusal reports whether trying again soon cannot help.
func refusal(k s3backend.Kind) bool {
	switch k {
	case s3backend.Denied, s3backend.NoBucket, s3backend.NeedsKey, s3backend.WrongKey, s3backend.Locked, s3backend.TooBig,
		s3backend.Unsealed, s3backend.Archived, s3backend.Expired, s3backend.Skewed:
		return true
	}
	return false
}

// refusedFor is how long to leave a key alone that was refused.
func refusedFor(k s3backend.Kind) time.Duration {
	if k == s3backend.Expired || k == s3backend.Skewed {
		return retryExpired
	}
	return retryRefused
}

// backoff grows from retryFirst to retryMost, with jitter.
func backoff(attempts uint32) time.Duration {
	d := retryMost
	if attempts < 7 {
		d = min(retryFirst<<attempts, retryMost)
	}
	return d/2 + time.Duration(rand.Int64N(int64(d/2)))
}

func oneLine(err error) string {
	b := []byte(err.Error())
	for i := range b {
		if b[i] == '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// runDeletes deletes a batch of objects.
func (c *Cache) runDeletes(ctx context.Context, jobs []*job, out map[string]outcome) {
	errs := c.deleteAll(ctx, jobs)
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(jobs) > 0 {
		n := min(len(jobs), mergeBatch)
		err := c.update("deleted", func(ch *change) error {
			for i, j := range jobs[:n] {
				o, err := ch.deleted(j, errs[i])
				if err != nil {
					return err
				}
				out[j.key] = o
			}
			return nil
		})
		for _, j := range jobs[:n] {
			if err != nil {
				out[j.key] = outcome{due: time.Now().Add(retryFirst), failure: err.Error()}
			} else if out[j.key].settled {
				c.listings.noteSettled(j.key)
			}
		}
		jobs, errs = jobs[n:], errs[n:]
	}
}

// deleteAll sends the deletions of a batch, after finding out what is at those
// keys where an earlier write of ours may have arrived.
func (c *Cache) deleteAll(ctx context.Context, jobs []*job) []error {
	errs := make([]error, len(jobs))
	var g errgroup.Group
	g.SetLimit(max(c.cfg.MaxUploads, 1))
	for i, j := range jobs {
		if j.row.Nonce != "" || j.row.Known == journal.KnownNot || j.drop.ID != "" {
			g.Go(func() error {
				errs[i] = c.guard.try("deletion of "+j.key, func() error { return c.lookBeforeDelete(ctx, j) })
				return nil
			})
		}
	}
	_ = g.Wait() // the errors are in errs
	ds := make([]s3backend.Deletion, 0, len(jobs))
	at := make([]int, 0, len(jobs))
	for i, j := range jobs {
		if errs[i] == nil && j.row.Known == journal.KnownThere && j.row.Want == journal.WantAbsent {
			ds, at = append(ds, s3backend.Deletion{Key: j.key, If: conditionOf(&j.row)}), append(at, i)
		}
	}
	if len(ds) > 0 {
		for k, err := range c.remote().Delete(ctx, ds...) {
			errs[at[k]] = err
		}
	}
	return errs
}

// lookBeforeDelete finds out which object of ours, if any, is to be deleted.
func (c *Cache) lookBeforeDelete(ctx context.Context, j *job) error {
	if err := c.abandon(ctx, j); err != nil {
		return err
	}
	if j.row.Nonce != "" {
		if err := c.sweepUploads(ctx, j.key); err != nil {
			return err
		}
	}
	o, err := c.remote().Head(ctx, j.key)
	switch {
	case s3backend.KindOf(err) == s3backend.NotFound:
		j.row.Known = journal.KnownAbsent
	case err != nil:
		return err
	case ownWrite(j.row.Nonce, o), j.row.Known == journal.KnownNot:
		setKnown(&j.row, baseOf(o))
	case j.row.Known == journal.KnownAbsent && j.row.Want == journal.WantAbsent:
		return &s3backend.Error{Op: "delete", Key: j.key, Kind: s3backend.Changed}
	}
	return nil
}

func (ch *change) deleted(j *job, cause error) (outcome, error) {
	ch.own = j.key
	r, found, err := ch.Row(j.key)
	if err != nil || !found {
		return outcome{settled: true}, err
	}
	r.Progress = journal.Waiting
	kind := s3backend.KindOf(cause)
	switch {
	case cause == nil || kind == s3backend.NotFound:
		setKnown(r, journal.Base{})
		if j.row.Want != journal.WantAbsent { // nothing was deleted, only looked at
			r.Known, r.ETag, r.Version = j.row.Known, j.row.ETag, j.row.Version
		}
		r.Nonce = ""
		r.Attempts, r.NotBefore, r.Error, r.Kind = 0, 0, "", 0
		return outcome{settled: r.Want != journal.WantInode, due: ofStamp(r.Due)}, ch.putRow(j.key, r)
	case kind == s3backend.Changed && r.Want == journal.WantAbsent:
		ch.c.cfg.Log.Warn("cache: deleted here, changed in the bucket: the bucket's version stays", "key", j.key)
		return outcome{settled: true}, errors.Join(ch.relist(j.key), ch.dropRow(j.key))
	case kind == s3backend.Changed: // wanted again meanwhile: the put's condition will tell
		return outcome{due: time.Now()}, ch.putRow(j.key, r)
	}
	return ch.putOff(j.key, r, cause, "cache: not yet deleted in the bucket; queued")
}

// putOff notes, for what is no content to be sent, why a row's work failed and
// when to try again. what begins the log's line of the first failure.
func (ch *change) putOff(key string, r *journal.Row, cause error, what string) (outcome, error) {
	kind := s3backend.KindOf(cause)
	out := outcome{failure: oneLine(cause), network: ofNetwork(kind), refused: refusal(kind)}
	wait := backoff(r.Attempts)
	if out.refused {
		wait, r.Progress = refusedFor(kind), journal.Refusing
	}
	if r.Attempts++; r.Attempts == 1 {
		ch.c.noteUnsent(what, key, out)
	}
	r.NotBefore, r.Error, r.Kind = stamp()+int64(wait), out.failure, uint32(kind)
	out.due = ofStamp(r.NotBefore)
	return out, ch.putRow(key, r)
}
