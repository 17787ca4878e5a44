package cache

import (
	"maps"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// What s3fs wrote is read, and written back in its own form.
func TestS3fsXattrs(t *testing.T) {
	const written = `%7B%22user.a%22%3A%22MQ%3D%3D%22%2C%22security.x%22%3A%22Mg%3D%3D%22%7D` // {"user.a":"MQ==","security.x":"Mg=="}
	rec := &journal.Inode{Kind: File}
	decodeMeta(rec, s3backend.Object{Meta: map[string]string{"mode": "33188", "xattr": written}})
	if len(rec.Xattrs) != 1 || string(rec.Xattrs["user.a"]) != "1" {
		t.Fatalf("reads %q", rec.Xattrs)
	}
	rec.Xattrs["user.b"] = []byte{0, 255}
	delete(rec.Xattrs, "user.a")
	again := &journal.Inode{Kind: File}
	meta := encodeMeta(rec)
	decodeMeta(again, s3backend.Object{Meta: meta})
	if !maps.EqualFunc(again.Xattrs, rec.Xattrs, slices.Equal) {
		t.Errorf("reads back %q, want %q", again.Xattrs, rec.Xattrs)
	}
	theirs := decodeS3fsXattrs(meta["xattr"])
	if string(theirs["security.x"]) != "2" || len(theirs) != 2 || string(theirs["user.b"]) != "\x00\xff" {
		t.Errorf("s3fs reads %q", theirs)
	}
	for _, bad := range []string{"%zz", "{", `{"user.a":"?"}`} {
		rec := &journal.Inode{Kind: File}
		decodeMeta(rec, s3backend.Object{Meta: map[string]string{"xattr": bad}})
		if encodeMeta(rec)["xattr"] != bad || len(rec.Xattrs) > 0 {
			t.Errorf("%q, which nobody understands, is not kept as it is", bad)
		}
	}
}
