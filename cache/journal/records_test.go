package journal_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// keep stores with put, and returns what get then finds; delete must remove it.
type stored struct {
	name   string
	want   any
	put    func(tx *journal.Tx) error
	get    func(tx *journal.Tx) (any, bool, error)
	delete func(tx *journal.Tx) error // nil: there is none
}

func anyInode() *journal.Inode {
	return &journal.Inode{
		Kind: journal.File, State: journal.Dirty, Changed: journal.ChangedData | journal.ChangedMeta, AttrsKnown: true,
		Nlink: 1, Mode: 0o4755, Uid: 1000, Gid: 4294967295, Rdev: 7, Atime: -1, Mtime: 1 << 60, Ctime: 3, Btime: 4,
		Size: 1 << 50, Generation: 1 << 63, Parent: 99, Name: "n\x00\xff%", Prefix: "a/", At: "a//b", Target: "../t",
		Base:         journal.Base{ETag: "e-7", Version: "v", Size: 5, Modified: 6},
		Xattrs:       map[string][]byte{"user.a": {0, 1}, "user.b": {}, "": []byte("x")},
		Meta:         map[string]string{"k": "v", "": ""},
		Headers:      s3backend.Headers{CacheControl: "1", ContentDisposition: "2", ContentEncoding: "3", ContentLanguage: "4", ContentType: "5", Expires: "6", WebsiteRedirect: "7"},
		StorageClass: "GLACIER", Tags: 10, Encoding: 255,
	}
}

func anyRow() *journal.Row {
	return &journal.Row{
		Want: journal.WantInode, Ino: 1 << 40, Known: journal.KnownThere, ETag: "e", Version: "v", Progress: journal.Refusing,
		Holder: 3, After: "k\x00", Nonce: "0123", NonceGen: 9, Attempts: 4294967295, NotBefore: 1, Due: 2, Since: -3, Kind: 4, Error: "why",
	}
}

func anyObject() s3backend.Object {
	return s3backend.Object{
		Key: "k/\xff", Size: 1 << 40, ETag: "e", Version: "v", Modified: time.Unix(1700000000, 123).UTC(), Meta: map[string]string{"a": "b"},
		Headers: s3backend.Headers{ContentType: "text/plain"}, StorageClass: "STANDARD", Tags: 2, Archived: true,
	}
}

func anyExtents(ranges int) *journal.Extents {
	e := &journal.Extents{Synced: true, Boot: "boot"}
	for i := range int64(ranges) {
		e.Present.Add(i*8192, 4096)
		e.Dirty.Add(i*8192, 100)
	}
	e.Touched = extent.New(extent.Range{Off: 5, Len: 6})
	return e
}

func anyUpload(parts int) s3backend.Upload {
	u := s3backend.Upload{ID: "id", PartSize: 5 << 20}
	for i := range parts {
		u.Parts = append(u.Parts, s3backend.Part{Number: int32(i + 1), Size: 5 << 20, ETag: s3backend.ETag(fmt.Sprint("etag", i)), CRC: "abc="})
	}
	return u
}

func attributesRecord(name string, o s3backend.Object) stored {
	return stored{
		name, journal.Attributes{Object: o},
		func(tx *journal.Tx) error { return tx.PutAttributes("k", "e", 5, journal.Attributes{Object: o}) },
		func(tx *journal.Tx) (any, bool, error) { return as3(tx.Attributes("k", "e", 5)) },
		nil,
	}
}

func as3[T any](v T, found bool, err error) (any, bool, error) { return v, found, err }

func records() []stored {
	listing := journal.Listing{Begun: 1, Ended: 1 << 62, Complete: true, Big: true}
	rs := []stored{
		{"inode", anyInode(),
			func(tx *journal.Tx) error { return tx.PutInode(5, anyInode()) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Inode(5)) },
			func(tx *journal.Tx) error { return tx.DeleteInode(5) }},
		{"zero inode", &journal.Inode{},
			func(tx *journal.Tx) error { return tx.PutInode(1<<63, &journal.Inode{}) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Inode(1 << 63)) },
			func(tx *journal.Tx) error { return tx.DeleteInode(1 << 63) }},
		{"dirent", journal.Dirent{Ino: 1 << 60, Kind: journal.BlockDevice},
			func(tx *journal.Tx) error {
				return tx.PutDirent(3, "\xff\x00", journal.Dirent{Ino: 1 << 60, Kind: journal.BlockDevice})
			},
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Dirent(3, "\xff\x00")) },
			func(tx *journal.Tx) error { return tx.DeleteDirent(3, "\xff\x00") }},
		{"listing", listing,
			func(tx *journal.Tx) error { return tx.PutListing(3, listing) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Listing(3)) },
			func(tx *journal.Tx) error { return tx.DeleteListing(3) }},
		{"row", anyRow(),
			func(tx *journal.Tx) error { return tx.PutRow("k/", anyRow()) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Row("k/")) },
			func(tx *journal.Tx) error { return tx.DeleteRow("k/") }},
		{"orphan", true,
			func(tx *journal.Tx) error { return tx.PutOrphan(9) },
			func(tx *journal.Tx) (any, bool, error) { f, err := tx.Orphan(9); return f, f, err },
			func(tx *journal.Tx) error { return tx.DeleteOrphan(9) }},
		{"note", []byte("fact\x00"),
			func(tx *journal.Tx) error { return tx.PutNote("n", []byte("fact\x00")) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Note("n")) },
			nil},
		attributesRecord("attributes", anyObject()),
		attributesRecord("attributes of nothing", s3backend.Object{}),
	}
	for _, n := range []int{0, 1, 5000, 150000} {
		rs = append(rs, stored{fmt.Sprintf("extents of %d ranges", n), anyExtents(n),
			func(tx *journal.Tx) error { return tx.PutExtents(7, anyExtents(n)) },
			func(tx *journal.Tx) (any, bool, error) { return as3(tx.Extents(7)) },
			func(tx *journal.Tx) error { return tx.DeleteExtents(7) }})
	}
	for _, n := range []int{0, 63, 64, 10000} {
		rs = append(rs, stored{fmt.Sprintf("upload of %d parts", n), anyUpload(n),
			func(tx *journal.Tx) error { return tx.PutUpload("k", anyUpload(n), 77) },
			func(tx *journal.Tx) (any, bool, error) {
				u, gen, found, err := tx.Upload("k")
				if found && gen != 77 {
					err = fmt.Errorf("generation %d", gen)
				}
				return u, found, err
			},
			func(tx *journal.Tx) error { return tx.DeleteUpload("k") }})
	}
	return rs
}

func (s stored) check(tx *journal.Tx, want bool) error {
	got, found, err := s.get(tx)
	if err != nil {
		return err
	}
	if found != want || (want && !reflect.DeepEqual(got, s.want)) {
		return fmt.Errorf("found %v: %.300s", found, fmt.Sprintf("%+v", got))
	}
	return nil
}

func TestRecordsRoundTrip(t *testing.T) {
	db := temp(t)
	for _, s := range records() {
		t.Run(s.name, func(t *testing.T) {
			update(t, db, func(tx *journal.Tx) error {
				if err := s.check(tx, false); s.delete != nil && err != nil {
					return fmt.Errorf("before it was put: %w", err)
				}
				if err := s.put(tx); err != nil {
					return err
				}
				return s.check(tx, true) // a transaction reads its own changes
			})
			view(t, db, func(tx *journal.Tx) error { return s.check(tx, true) })
			if s.delete == nil {
				return
			}
			update(t, db, func(tx *journal.Tx) error { return errors.Join(s.delete(tx), s.check(tx, false), s.delete(tx)) })
			view(t, db, func(tx *journal.Tx) error { return s.check(tx, false) })
		})
	}
}

func TestAbortedAndReadOnlyTransactionsChangeNothing(t *testing.T) {
	db := temp(t)
	abort := errors.New("abort")
	for _, s := range records() {
		if s.delete == nil {
			continue // the records that cannot be deleted share their keys
		}
		err := db.Update("aborted", func(tx *journal.Tx) error { return errors.Join(s.put(tx), abort) })
		if !errors.Is(err, abort) {
			t.Errorf("%s: the error of the function comes back as %v", s.name, err)
		}
		if err := db.View(s.put); err == nil {
			t.Errorf("%s was put in a view", s.name)
		}
		view(t, db, func(tx *journal.Tx) error { return s.check(tx, false) })
	}
}

func TestUploadGrowsAndChanges(t *testing.T) {
	db := temp(t)
	u := anyUpload(300)
	for n := range len(u.Parts) {
		part := s3backend.Upload{ID: "id", PartSize: 1, Parts: u.Parts[:n+1]}
		update(t, db, func(tx *journal.Tx) error { return tx.PutUpload("k", part, 1) })
	}
	next := s3backend.Upload{ID: "other", PartSize: 2, Parts: []s3backend.Part{u.Parts[200], u.Parts[3]}}
	want := s3backend.Upload{ID: "other", PartSize: 2, Parts: []s3backend.Part{u.Parts[3], u.Parts[200]}}
	update(t, db, func(tx *journal.Tx) error {
		return errors.Join(tx.PutUpload("k", next, 2), tx.PutUpload("kk", u, 3))
	})
	got := map[string]s3backend.Upload{}
	view(t, db, func(tx *journal.Tx) error {
		return tx.Uploads(func(key string, u s3backend.Upload, gen uint64) error {
			got[fmt.Sprint(key, gen)] = u
			return nil
		})
	})
	if w := map[string]s3backend.Upload{"k2": want, "kk3": u}; !reflect.DeepEqual(got, w) {
		t.Errorf("got %v, want %v", got, w)
	}
}

func TestAttributesOfAnotherVersion(t *testing.T) {
	db := temp(t)
	a := journal.Attributes{Object: anyObject()}
	update(t, db, func(tx *journal.Tx) error { return tx.PutAttributes("k", "e", 5, a) })
	view(t, db, func(tx *journal.Tx) error {
		for _, other := range []struct {
			key  string
			etag s3backend.ETag
			at   int64
		}{{"k", "f", 5}, {"k", "e", 6}, {"kk", "e", 5}} {
			if _, found, err := tx.Attributes(other.key, other.etag, other.at); found || err != nil {
				t.Errorf("%v: found %v, %v", other, found, err)
			}
		}
		return nil
	})
}

func TestDropAttributesKeepsTheNewest(t *testing.T) {
	db := temp(t)
	const n = 2500
	for i := range n {
		key := fmt.Sprint((i * 7) % n) // not in the order of the keys
		update(t, db, func(tx *journal.Tx) error { return tx.PutAttributes(key, "e", int64(i), journal.Attributes{}) })
	}
	for _, limit := range []int{n, 100, 0} {
		must(t, db.DropAttributes(limit))
		view(t, db, func(tx *journal.Tx) error {
			for i := range n {
				_, found, err := tx.Attributes(fmt.Sprint((i*7)%n), "e", int64(i))
				if err != nil {
					return err
				}
				if want := i >= n-limit; found != want {
					return fmt.Errorf("limit %d: attributes %d of %d: found %v", limit, i, n, found)
				}
			}
			return nil
		})
	}
}

func TestConflictsAndOrphansInOrder(t *testing.T) {
	db := temp(t)
	c := journal.Conflict{Old: "a", New: "a (conflict)", Ours: "o", Theirs: "t", When: 300, Ino: 2}
	update(t, db, func(tx *journal.Tx) error {
		return errors.Join(tx.PutConflict(300, 2, c), tx.PutConflict(20, 1, c), tx.PutConflict(300, 1, c), tx.PutConflict(7, 7, c),
			tx.DeleteConflict(7, 7), tx.PutOrphan(300), tx.PutOrphan(2))
	})
	var got []string
	view(t, db, func(tx *journal.Tx) error {
		err := tx.Conflicts(func(when int64, ino journal.Ino, x journal.Conflict) error {
			if x != c {
				t.Errorf("got %+v, want %+v", x, c)
			}
			got = append(got, fmt.Sprint(when, ino))
			return nil
		})
		return errors.Join(err, tx.Orphans(func(ino journal.Ino) error {
			got = append(got, fmt.Sprint(ino))
			return nil
		}))
	})
	if want := []string{"20 1", "300 1", "300 2", "2", "300"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
