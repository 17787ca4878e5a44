package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/s3backend"
)

var updateGolden = flag.Bool("update", false, "write the golden files of the current record version anew")

// A codec is one kind of record with any value behind one pair of functions.
type codec struct {
	name   string
	sample any
	encode func(v any) []byte
	decode func(b []byte) (any, error)
	// earlier gives what the samples of earlier versions decode to, by version.
	earlier []any
}

func codecOf[T any](name string, sample T, encode func([]byte, T) []byte, decode func([]byte) (T, error)) codec {
	return codec{name: name, sample: sample,
		encode: func(v any) []byte { return encode(nil, v.(T)) },
		decode: func(b []byte) (any, error) { return decode(b) }}
}

// newest is the version that is written.
func (c codec) newest() byte { return byte(len(c.earlier) + 1) }

// of is what the golden file of a version holds.
func (c codec) of(version byte) any {
	if version == c.newest() {
		return c.sample
	}
	return c.earlier[version-1]
}

func (c codec) after(earlier ...any) codec {
	c.earlier = earlier
	return c
}

func byValue[T any](encode func([]byte, *T) []byte) func([]byte, T) []byte {
	return func(b []byte, v T) []byte { return encode(b, &v) }
}

// codecs lists every kind of record with a sample that has no zero field: the
// golden files hold these samples, so neither may change.
func codecs() []codec {
	headers := s3backend.Headers{CacheControl: "no-store", ContentDisposition: "inline", ContentEncoding: "gzip", ContentLanguage: "de", ContentType: "text/plain", Expires: "never", WebsiteRedirect: "/x"}
	set := func(off int64) extent.Set {
		return extent.New(extent.Range{Off: off, Len: 10}, extent.Range{Off: off + 4096, Len: 1 << 40})
	}
	extents := &Extents{Present: set(0), Dirty: set(1), Touched: set(2), Damaged: set(3), Loose: set(4), Synced: true, Boot: "b00t"}
	extents1 := &Extents{Present: set(0), Dirty: set(1), Touched: set(2), Synced: true, Boot: "b00t"}
	extents2 := &Extents{Present: set(0), Dirty: set(1), Touched: set(2), Damaged: set(3), Synced: true, Boot: "b00t"}
	parts := []s3backend.Part{{Number: 65, Size: 5 << 20, ETag: "e65", CRC: "AAAA"}, {Number: 66, Size: 1, ETag: "e66", CRC: "BBBB"}}
	inode := Inode{
		Kind: Symlink, State: Redirtied, Changed: ChangedMeta, AttrsKnown: true, Nlink: 2, Mode: 0o7777, Uid: 1, Gid: 1 << 31, Rdev: 259,
		Atime: 1700000000000000001, Mtime: -2, Ctime: 3, Btime: 4, Size: 1 << 45, Generation: 1 << 63, Parent: 7, Name: "n\xff\x00", Prefix: "p/",
		Base: Base{ETag: "etag-2", Version: "v1", Size: 9, Modified: 10}, At: "p/q", Target: "../t",
		Xattrs: map[string][]byte{"user.b": {0, 255}, "user.a": []byte("x")}, Meta: map[string]string{"z": "1", "a": "2"},
		Headers: headers, StorageClass: "GLACIER_IR", Tags: 3, Encoding: 1,
	}
	inode1 := inode
	inode.Next, inode.Cursor = "q/", "m"
	inode2 := inode
	inode.Torn = true
	return []codec{
		codecOf("inode", &inode, appendInode, decodeInode).after(&inode1, &inode2),
		codecOf("extents", extents, func(b []byte, e *Extents) []byte {
			b, err := appendExtents(b, e)
			if err != nil {
				panic(err)
			}
			return b
		}, decodeExtents).after(extents1, extents2),
		codecOf("sums", Sums{{Len: SumBlock, CRC: 1 << 31}, {Len: 1, CRC: 7}}, appendSums, decodeSums),
		codecOf("dirent", Dirent{Ino: 1 << 50, Kind: Fifo}, appendDirent, decodeDirent),
		codecOf("listing", Listing{Begun: 1700000000000000000, Ended: -5, Complete: true, Big: true}, byValue(appendListing), decodeListing),
		codecOf("row", &Row{
			Want: WantAbsent, Ino: 300, Known: KnownThere, ETag: "e", Version: "v", Progress: Running, Holder: 4, After: "k/", Nonce: "00ff",
			NonceGen: 5, Attempts: 6, NotBefore: 7, Due: 8, Since: 9, Kind: 10, Error: "refused",
		}, appendRow, decodeRow),
		codecOf("move", Move{After: "k/", Since: 7, Attempts: 8, Error: "offline"}, appendMove, decodeMove),
		codecOf("conflict", Conflict{Old: "a", New: "b", Ours: "o", Theirs: "t", When: 1700000000000000000, Ino: 12}, byValue(appendConflict), decodeConflict),
		codecOf("attributes", &attributesRecord{put: 5, etag: "e", modified: 6, Attributes: Attributes{Object: s3backend.Object{
			Key: "k", Size: 7, ETag: "e", Version: "v", Modified: time.Unix(1700000000, 5).UTC(), Meta: map[string]string{"mode": "33188"},
			Headers: headers, StorageClass: "STANDARD", Tags: 1, Archived: true,
		}}}, appendAttributes, decodeAttributes),
		codecOf("upload", &uploadRecord{gen: 1 << 40, id: "id", partSize: 8 << 20, groups: []uint32{0, 1, 156}}, appendUpload, decodeUpload),
		codecOf("parts", parts, appendParts, decodeParts),
		codecOf("state", &state{identity: Identity{Endpoint: "https://e", Bucket: "b", Prefix: "p/"}, boot: "boot", clean: true}, appendState, decodeState),
	}
}

func TestSamplesHaveNoZeroField(t *testing.T) {
	for _, c := range codecs() {
		if f := zeroField(reflect.ValueOf(c.sample)); f != "" {
			t.Errorf("%s: %s is zero, so that its encoding is not seen", c.name, f)
		}
	}
}

// zeroField returns the path of a zero field, empty if there is none.
func zeroField(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.IsZero() {
		return v.Type().String()
	}
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		return ""
	}
	for i := range v.NumField() {
		if v.Type() == reflect.TypeFor[Extents]() && v.Type().Field(i).Name == "Sums" {
			continue // it is in the head of the record: TestExtentsHead
		}
		if f := zeroField(v.Field(i)); f != "" {
			return v.Type().Field(i).Name + " " + f
		}
	}
	return ""
}

func TestGoldenFilesKeepDecoding(t *testing.T) {
	for _, c := range codecs() {
		if *updateGolden {
			text := hex.EncodeToString(c.encode(c.sample)) + "\n"
			if err := os.WriteFile(c.golden(c.newest()), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		files, err := filepath.Glob(filepath.Join("testdata", c.name+".v*.hex"))
		if err != nil || len(files) != int(c.newest()) {
			t.Fatalf("%s has the golden files %v, %v, want one of each of %d versions", c.name, files, err, c.newest())
		}
		for v := byte(1); v <= c.newest(); v++ {
			value := c.read(t, v)
			got, err := c.decode(value)
			if err != nil || !reflect.DeepEqual(got, c.of(v)) {
				t.Errorf("%s of version %d decodes to %+v, %v\nwant %+v", c.name, v, got, err, c.of(v))
			}
			if v == c.newest() && !bytes.Equal(c.encode(c.sample), value) {
				t.Errorf("%s is no longer what is written: the encoding changed without a new version", c.golden(v))
			}
		}
	}
}

func (c codec) golden(version byte) string {
	return filepath.Join("testdata", fmt.Sprintf("%s.v%d.hex", c.name, version))
}

func (c codec) read(t *testing.T, version byte) []byte {
	t.Helper()
	text, err := os.ReadFile(c.golden(version))
	if err != nil {
		t.Fatal(err)
	}
	value, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestCutAndLongerValuesAreDamage(t *testing.T) {
	for _, c := range codecs() {
		value := c.encode(c.sample)
		for n := range value {
			if _, err := c.decode(value[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s cut to %d of %d bytes gives %v", c.name, n, len(value), err)
			}
		}
		if _, err := c.decode(append(bytes.Clone(value), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s with a byte too many gives %v", c.name, err)
		}
		for _, version := range []byte{0, c.newest() + 1, 255} {
			bad := bytes.Clone(value)
			bad[0] = version
			if _, err := c.decode(bad); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s of version %d gives %v", c.name, version, err)
			}
		}
	}
}

func TestExtentsHead(t *testing.T) {
	for _, tc := range []struct {
		value []byte
		ok    bool
	}{
		{[]byte{1, extentsInline}, true},
		{[]byte{1, extentsChunked, 5, 1}, true},
		{[]byte{2, extentsInline, 9}, true},
		{[]byte{2, extentsChunked, 9, 5, 1}, true},
		{[]byte{2, extentsInline}, false},
		{[]byte{2, extentsChunked, 5, 1}, false},
		{[]byte{1, extentsChunked, 5, 0}, false},
		{[]byte{1, extentsChunked, 5}, false},
		{[]byte{1, extentsChunked, 5, 1, 0}, false},
		{[]byte{1, 2}, false},
		{[]byte{extentsVersion + 1, 0, 0}, false},
		{[]byte{1}, false},
		{nil, false},
	} {
		h, err := decodeExtentsHead(1, tc.value)
		if tc.ok && tc.value[0] == 2 && h.sums != 9 {
			t.Errorf("%x: checksums of %d groups", tc.value, h.sums)
		}
		if tc.ok != (err == nil) || (err != nil && !errors.Is(err, ErrDamaged)) {
			t.Errorf("%x: %v", tc.value, err)
		}
	}
}

// FuzzDecode checks that any bytes either are refused as damage, or decode to
// a record that survives being encoded.
func FuzzDecode(f *testing.F) {
	all := codecs()
	for i, c := range all {
		f.Add(uint8(i), c.encode(c.sample))
	}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		c := all[int(which)%len(all)]
		got, err := c.decode(value)
		var newer *FormatError
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.As(err, &newer) {
				t.Fatalf("%s: %x gives %v", c.name, value, err)
			}
			return
		}
		again, err := c.decode(c.encode(got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%s: %x decodes to %+v, and again to %+v, %v", c.name, value, got, again, err)
		}
	})
}

func BenchmarkInode(b *testing.B) {
	sample := codecs()[0].sample.(*Inode)
	buf := appendInode(nil, sample)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendInode(buf[:0], sample)
		if _, err := decodeInode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
