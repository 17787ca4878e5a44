package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/remotetest"
	"github.com/moorfs/moorfs/s3backend"
)

// A lateRemote answers at once and delivers late: the bytes of a content, and
// the lines of a page, come when they are let go.
type lateRemote struct {
	*remotetest.Memory
	mu   sync.Mutex
	gets chan struct{} // closed: let go; nil: at once
	list chan struct{}
	came chan struct{} // gets one token a held answer
}

func newLate(t *testing.T, edit ...func(*Config)) (*bench, *lateRemote) {
	late := &lateRemote{came: make(chan struct{}, 100)}
	b := newBench(t, append(edit, func(c *Config) {
		late.Memory = c.Remote.(*remotetest.Memory)
		c.Remote = late
	})...)
	return b, late
}

// hold keeps the next answers back; letGo delivers them.
func (l *lateRemote) hold(gets, list bool) (letGo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := make(chan struct{})
	if gets {
		l.gets = held
	}
	if list {
		l.list = held
	}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		l.gets, l.list = nil, nil
		l.mu.Unlock()
		close(held)
	})
}

func (l *lateRemote) Get(ctx context.Context, g s3backend.Get) (io.ReadCloser, error) {
	r, err := l.Memory.Get(ctx, g)
	l.mu.Lock()
	held := l.gets
	l.mu.Unlock()
	if err == nil && held != nil {
		r = &lateBody{r, held}
		l.came <- struct{}{}
	}
	return r, err
}

func (l *lateRemote) List(ctx context.Context, prefix, after string) iter.Seq2[s3backend.Entry, error] {
	var entries []s3backend.Entry
	for e, err := range l.Memory.List(ctx, prefix, after) {
		if err != nil {
			return func(yield func(s3backend.Entry, error) bool) { yield(e, err) }
		}
		entries = append(entries, e)
	}
	l.mu.Lock()
	held := l.list
	l.mu.Unlock()
	if held != nil {
		l.came <- struct{}{}
		<-held
	}
	return func(yield func(s3backend.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

type lateBody struct {
	io.ReadCloser
	held chan struct{}
}

func (b *lateBody) Read(p []byte) (int, error) {
	<-b.held
	return b.ReadCloser.Read(p)
}

// What an earlier open asked for may be older than this one allows, whether it
// is still on its way or has just come.
func TestOpenTrustsNoEarlierAnswer(t *testing.T) {
	t.Parallel()
	b, late := newLate(t, func(c *Config) { c.AttrTTL = 0 })
	ctx := t.Context()
	b.mem.Set("p/f", []byte("old"), nil)
	ino := b.lookup("f")
	letGo := late.hold(true, false)
	first := make(chan error)
	go func() {
		h, err := b.Cache.Open(ctx, ino, OpenMode{})
		if err == nil {
			h.Release()
		}
		first <- err
	}()
	<-late.came
	b.mem.Set("p/f", []byte("new"), nil)
	second := make(chan error)
	go func() {
		h, err := b.Cache.Open(ctx, ino, OpenMode{})
		if err == nil {
			h.Release()
		}
		second <- err
	}()
	select {
	case err := <-second:
		letGo()
		b.is(err, ErrStale)
	case <-time.After(100 * time.Millisecond): // it waits for the first one's bytes
		letGo()
		b.is(<-second, ErrStale)
	}
	if err := <-first; err != nil && !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	if got := b.read(Root, "f"); string(got) != "new" {
		t.Errorf("reads %q", got)
	}
}

// A listing that was answered before something newer was seen does not bring
// the older version back.
func TestListingUndoesNoNewerAnswer(t *testing.T) {
	t.Parallel()
	b, late := newLate(t, func(c *Config) {
		c.ListTTL, c.AttrTTL, c.NegativeTTL, c.Attrs = time.Nanosecond, time.Nanosecond, 0, AttrsList
	})
	b.mem.Set("p/f", []byte("old"), nil)
	b.mem.Set("p/gone", []byte("gone"), nil)
	ino := b.lookup("f")
	letGo := late.hold(false, true)
	listed := make(chan error)
	go func() {
		_, err := b.ReadDir(t.Context(), Root, "", 10)
		listed <- err
	}()
	<-late.came
	b.mem.Set("p/f", []byte("newer"), nil)
	_, err := b.Cache.Open(t.Context(), ino, OpenMode{Write: true})
	b.is(err, ErrStale)
	b.mem.Set("p/new", []byte("new"), nil)
	b.lookup("new")
	letGo()
	b.ok(<-listed)
	entries, _, err := b.dirents(Root, "f", 10)
	b.ok(err)
	first, _, err := b.dirents(Root, "", 1)
	b.ok(err)
	rec, err := b.record(first[0].Ino)
	b.ok(err)
	if len(entries) != 2 || first[0].Name != "f" || rec.Size != int64(len("newer")) {
		t.Errorf("%q has %d bytes; then %+v", first[0].Name, rec.Size, entries)
	}
}

// Who asks now is not answered by a listing that began before.
func TestReadDirTrustsNoEarlierListing(t *testing.T) {
	t.Parallel()
	b, late := newLate(t, func(c *Config) { c.ListTTL = 0 })
	b.mem.Set("p/a", []byte("a"), nil)
	letGo := late.hold(false, true)
	defer letGo()
	read := func() <-chan []DirEntry {
		got := make(chan []DirEntry, 1)
		go func() {
			entries, err := b.ReadDir(t.Context(), Root, "", 10)
			if err != nil {
				t.Error(err)
			}
			got <- entries
		}()
		return got
	}
	first := read()
	<-late.came
	b.mem.Set("p/b", []byte("b"), nil)
	second := read()
	time.AfterFunc(50*time.Millisecond, letGo) // the second waits for the first by then
	if got := <-second; len(got) != 2 {
		t.Errorf("the second sees %+v", got)
	}
	<-first
}

// Who shares a listing with somebody who gives up is not made to give up, too.
func TestListingOfACallerWhoGivesUp(t *testing.T) {
	t.Parallel()
	b, faults := newFaulty(t)
	b.mem.Set("p/a", []byte("a"), nil)
	came, first := make(chan struct{}), true
	faults.Hook(func(ctx context.Context, c remotetest.Call) error {
		if c.Op != "list" || !first {
			return nil
		}
		first = false
		close(came)
		<-ctx.Done()
		return ctx.Err()
	})
	impatient, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	given := make(chan error, 1)
	go func() {
		_, err := b.ReadDir(impatient, Root, "", 10)
		given <- err
	}()
	<-came
	patient := make(chan error, 1)
	go func() {
		entries, err := b.ReadDir(t.Context(), Root, "", 10)
		if err == nil && len(entries) != 1 {
			err = fmt.Errorf("reads %+v", entries)
		}
		patient <- err
	}()
	time.AfterFunc(50*time.Millisecond, giveUp) // the other waits by then
	if err := <-patient; err != nil {
		t.Errorf("the patient one: %v", err)
	}
	b.is(<-given, context.Canceled)
}

// The attributes of a large directory, where the bucket does not tell them, take
// the time of one question, not of all.
func TestAttributesThatDoNotCome(t *testing.T) {
	t.Parallel()
	const names, timeout = 100, time.Second
	b, faults := newFaulty(t, func(c *Config) { c.ReadTimeout = timeout })
	for i := range names {
		b.mem.Set(fmt.Sprintf("p/%03d", i), []byte("x"), nil)
	}
	var heads atomic.Int64
	faults.Hook(func(_ context.Context, c remotetest.Call) error {
		if c.Op != "head" {
			return nil
		}
		heads.Add(1)
		time.Sleep(timeout)
		return &s3backend.Error{Op: "head", Kind: s3backend.Busy}
	})
	entries, err := b.ReadDir(t.Context(), Root, "", names)
	b.ok(err)
	for _, e := range entries {
		_, err := b.Lookup(t.Context(), Root, e.Name)
		b.ok(err)
	}
	if n := heads.Load(); len(entries) != names || n > 2*learnParallel {
		t.Errorf("%d names, %d requests", len(entries), n)
	}
	faults.Hook(nil)
	b.until("attributes", func() bool {
		_, err := b.Lookup(t.Context(), Root, "000")
		b.ok(err)
		rec, err := b.record(entries[0].Ino)
		return err == nil && rec.AttrsKnown
	})
}
