package fs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

// fakeNotifier records what it is told; each call waits for a turn.
type fakeNotifier struct {
	told  chan string
	turns chan struct{}
}

func (f *fakeNotifier) EntryNotify(parent uint64, name string) fuse.Status {
	return f.tell(fmt.Sprintf("entry %d/%s", parent, name))
}

func (f *fakeNotifier) InodeNotify(ino uint64, off, length int64) fuse.Status {
	return f.tell(fmt.Sprintf("inode %d %d+%d", ino, off, length))
}

func (f *fakeNotifier) tell(s string) fuse.Status {
	f.told <- s
	<-f.turns
	return fuse.Status(0)
}

func runKernel(t *testing.T) (*kernel, *fakeNotifier) {
	t.Helper()
	k := newKernel(slog.New(slog.DiscardHandler))
	f := &fakeNotifier{told: make(chan string), turns: make(chan struct{})}
	go k.run(f)
	return k, f
}

func TestKernelCoalescesWhatWaits(t *testing.T) {
	k, f := runKernel(t)
	k.EntryGone(1, "first")
	got := []string{<-f.told} // told now, and busy until its turn
	for range 1000 {
		k.EntryGone(1, "a")
		k.EntryGone(2, "a")
		k.ContentChanged(5)
		k.attrsChanged(5)
	}
	k.EntryGone(1, "first") // it is being told: this is a new one
	for range 5 {
		f.turns <- struct{}{}
		got = append(got, <-f.told)
	}
	close(f.turns)
	want := []string{"entry 1/first", "entry 1/a", "entry 2/a", "inode 5 0+0", "inode 5 -1+0", "entry 1/first"}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if !k.stop(t.Context()) {
		t.Error("not stopped")
	}
	select {
	case s := <-f.told:
		t.Errorf("told %q besides", s)
	default:
	}
}

func TestKernelSettled(t *testing.T) {
	k, f := runKernel(t)
	k.EntryGone(1, "a")
	settled := make(chan error)
	go func() { settled <- k.settled(t.Context()) }()
	<-f.told
	select {
	case err := <-settled:
		t.Errorf("settled while a notification is under way: %v", err)
	default:
	}
	close(f.turns)
	if err := <-settled; err != nil {
		t.Error(err)
	}
	if !k.stop(t.Context()) {
		t.Error("not stopped")
	}
	if err := k.settled(t.Context()); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

func TestKernelStopGivesUpOnAStuckNotification(t *testing.T) {
	k, f := runKernel(t)
	k.ContentChanged(3)
	<-f.told
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if k.stop(ended) {
		t.Fatal("stopped while a notification is under way")
	}
	k.EntryGone(1, "after") // neither waits nor is told
	close(f.turns)
	if !k.stop(t.Context()) {
		t.Fatal("not stopped")
	}
	if len(k.order) != 0 {
		t.Errorf("%d notes wait after stop", len(k.order))
	}
}

// A notification for an inode that a request has been waiting for is put off;
// others go on.
func TestKernelPutsOffWhatWouldWait(t *testing.T) {
	k, f := runKernel(t)
	close(f.turns)
	lookup := k.under.begin(opLookup, &fuse.InHeader{NodeId: 7}, "slow")
	rename := k.under.begin(opRename, &fuse.InHeader{NodeId: 8}, "old")
	k.under.also(rename, 9)
	k.under.mu.Lock()
	lookup.began = lookup.began.Add(-time.Second)
	rename.began = lookup.began
	k.under.mu.Unlock()
	for _, ino := range []cache.Ino{7, 9} {
		k.EntryGone(ino, "a")
	}
	k.ContentChanged(7)
	k.attrsChanged(7)
	k.EntryGone(10, "a")
	settled := make(chan error, 1)
	go func() { settled <- k.settled(t.Context()) }()
	got := []string{<-f.told, <-f.told}
	if want := []string{"inode 7 -1+0", "entry 10/a"}; !slices.Equal(got, want) {
		t.Errorf("while requests wait: told %q, want %q", got, want)
	}
	k.under.end(rename)
	if got := <-f.told; got != "entry 9/a" {
		t.Errorf("after the rename: told %q", got)
	}
	select {
	case err := <-settled:
		t.Errorf("settled before all was told: %v", err)
	default:
	}
	k.under.end(lookup)
	got = []string{<-f.told, <-f.told}
	if want := []string{"entry 7/a", "inode 7 0+0"}; !slices.Equal(got, want) {
		t.Errorf("after the lookup: told %q, want %q", got, want)
	}
	if err := <-settled; err != nil {
		t.Error(err)
	}
	if !k.stop(t.Context()) {
		t.Error("not stopped")
	}
}
