package cache

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A file beside a directory whose name leaves no room for the mark of a file.
var (
	crowded      = strings.Repeat("c", 254)
	crowdedChunk = "%=" + crowded[:251] + "%+"
	crowdedFile  = "%=" + crowded[251:] + "%f"
)

// Such a file shows, whatever lies between it and the directory's keys.
func TestFileBesideADirectoryWithoutRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.mem.Set("p/"+crowded, []byte("file"), nil)
	for i := range 3 * mergeBatch {
		b.mem.Set(fmt.Sprintf("p/%s!%03x", crowded[:251], i), nil, nil)
		b.mem.Set(fmt.Sprintf("p/%s-%03x", crowded, i), nil, nil)
	}
	b.mem.Set("p/"+crowded+"/in", []byte("in"), nil)
	b.names(Root)
	if got := b.read(b.lookup(crowded), "in"); string(got) != "in" {
		t.Errorf("in the directory: %q", got)
	}
	dir := b.lookup(crowdedChunk)
	b.names(dir)
	if got := b.read(dir, crowdedFile); string(got) != "file" {
		t.Errorf("beside the directory: %q", got)
	}
	b.write(dir, crowdedFile, []byte("changed"))
	b.ok(b.drainSoon())
	if body, _ := b.mem.Body("p/" + crowded); string(body) != "changed" {
		t.Errorf("the object holds %q", body)
	}
}

// It is found by its name alone, too.
func TestLookupBesideADirectoryWithoutRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t, always)
	b.mem.Set("p/"+crowded, []byte("file"), nil)
	b.mem.Set("p/"+crowded+"/in", []byte("in"), nil)
	for range 2 {
		if got := b.read(b.lookup(crowdedChunk), crowdedFile); string(got) != "file" {
			t.Errorf("reads %q", got)
		}
		if got := b.read(b.lookup(crowded), "in"); string(got) != "in" {
			t.Errorf("reads %q", got)
		}
	}
	_, err := b.Lookup(t.Context(), b.lookup(crowdedChunk), "%=cc%f")
	b.is(err, ErrNotExist)
}

// When the directory goes, the file has the name again, and no other.
func TestFileWhoseDirectoryWithoutRoomGoes(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"us", "others"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, always)
			b.mem.Set("p/"+crowded, []byte("file"), nil)
			b.mem.Set("p/"+crowded+"/", nil, nil)
			b.names(Root)
			b.write(b.lookup(crowdedChunk), crowdedFile, []byte("ours"))
			if by == "us" {
				b.ok(b.Rmdir(t.Context(), Root, crowded))
			} else {
				b.mem.Remove("p/" + crowded + "/")
			}
			b.names(Root)
			if got := b.read(Root, crowded); string(got) != "ours" {
				t.Errorf("reads %q", got)
			}
			b.ok(b.drainSoon())
			b.noConflicts()
			b.bucket(map[string]string{"p/" + crowded: "ours"})
			b.listed(Root, crowded)
		})
	}
}

// It can be made here.
func TestMakeAFileBesideADirectoryWithoutRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	for _, name := range []string{crowdedChunk, crowded} {
		_, _, err := b.Create(ctx, Root, crowdedFile, New{Mode: 0o600})
		b.is(err, ErrInvalid)
		_, err = b.Make(ctx, Root, name, New{Kind: Dir, Mode: 0o755})
		b.ok(err)
	}
	b.write(b.lookup(crowdedChunk), crowdedFile, []byte("file"))
	b.ok(b.drainSoon())
	b.bucket(map[string]string{"p/" + crowded: "file", "p/" + crowded + "/": ""})
}

// A file whose directory goes is still one file of one key.
func TestFileBesideADirectoryThatGoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	_, err := b.Make(ctx, Root, "x", New{Kind: Dir, Mode: 0o755})
	b.ok(err)
	b.write(Root, "%=x%f", []byte("first"))
	b.ok(b.Rmdir(ctx, Root, "x"))
	if a, h, err := b.Create(ctx, Root, "x", New{Mode: 0o600}); err == nil {
		t.Logf("inode %d too", a.Ino)
		b.put(h, []byte("second"), 0)
		b.ok(h.Flush(ctx))
		h.Release()
	}
	b.ok(b.drainSoon())
	shown := b.files(Root, "")
	if got := slices.Sorted(maps.Values(shown)); !slices.Equal(got, slices.Sorted(maps.Values(b.all()))) {
		t.Errorf("shows %q, bucket %q", shown, b.all())
	}
}
