package cache

import (
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend"
)

// A file whose object says nothing new keeps the times that were shown.
func TestTimesStayWhenNothingIsNew(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	ino := b.write(Root, "f", []byte("x"))
	b.drain()
	shown, err := b.Attr(t.Context(), ino)
	b.ok(err)
	if !b.mem.Edit("p/f", func(o *s3backend.Object) { o.Modified = time.Now().Add(time.Hour) }) {
		t.Fatal("no object")
	}
	if got := b.lookup("f"); got != ino {
		t.Fatalf("the name means %d now, want %d", got, ino)
	}
	b.names(Root)
	got, err := b.Attr(t.Context(), ino)
	b.ok(err)
	if !got.Ctime.Equal(shown.Ctime) || !got.Mtime.Equal(shown.Mtime) {
		t.Errorf("ctime %v and mtime %v, want %v and %v", got.Ctime, got.Mtime, shown.Ctime, shown.Mtime)
	}
}
