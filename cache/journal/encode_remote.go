package journal

import "github.com/moorfs/moorfs/s3backend"

// attributesRecord is Attributes as stored: with what it is found by, and when
// it was put, which decides what goes first when there are too many.
type attributesRecord struct {
	put      int64
	etag     s3backend.ETag
	modified int64
	Attributes
}

func appendAttributes(b []byte, a *attributesRecord) []byte {
	b = append(b, recordVersion)
	b = appendInt(b, a.put)
	b = appendString(b, a.etag)
	b = appendInt(b, a.modified)
	o := &a.Object
	b = appendString(b, o.Key)
	b = appendInt(b, o.Size)
	b = appendString(b, o.ETag)
	b = appendString(b, o.Version)
	b = appendTime(b, o.Modified)
	b = appendMap(b, o.Meta)
	b = appendHeaders(b, &o.Headers)
	b = appendString(b, o.StorageClass)
	b = appendInt(b, o.Tags)
	return appendBool(b, o.Archived)
}

func decodeAttributes(b []byte) (*attributesRecord, error) {
	d := decode(b)
	a := &attributesRecord{
		put:      d.int64(),
		etag:     s3backend.ETag(d.string()),
		modified: d.int64(),
		Attributes: Attributes{Object: s3backend.Object{
			Key:          d.string(),
			Size:         d.int64(),
			ETag:         s3backend.ETag(d.string()),
			Version:      d.string(),
			Modified:     d.time(),
			Meta:         decodeMap[string](&d),
			Headers:      d.headers(),
			StorageClass: d.string(),
			Tags:         int(d.int64()),
			Archived:     d.bool(),
		}},
	}
	return a, d.done()
}

// uploadRecord is an Upload without its parts, which lie in groups of their
// own: an upload grows to ten thousand parts, and each confirmed part is
// journalled.
type uploadRecord struct {
	gen      uint64
	id       string
	partSize int64
	groups   []uint32 // ascending
}

func appendUpload(b []byte, u *uploadRecord) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, u.gen)
	b = appendString(b, u.id)
	b = appendInt(b, u.partSize)
	b = appendUint(b, uint64(len(u.groups)))
	for _, g := range u.groups {
		b = appendUint(b, g)
	}
	return b
}

func decodeUpload(b []byte) (*uploadRecord, error) {
	d := decode(b)
	u := &uploadRecord{gen: d.uint64(), id: d.string(), partSize: d.int64()}
	for range d.count(1) {
		u.groups = append(u.groups, d.uint32())
	}
	return u, d.done()
}

func appendParts(b []byte, parts []s3backend.Part) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, uint64(len(parts)))
	for _, p := range parts {
		b = appendInt(b, p.Number)
		b = appendInt(b, p.Size)
		b = appendString(b, p.ETag)
		b = appendString(b, p.CRC)
	}
	return b
}

func decodeParts(b []byte) ([]s3backend.Part, error) {
	d := decode(b)
	n := d.count(4)
	parts := make([]s3backend.Part, 0, n)
	for range n {
		parts = append(parts, s3backend.Part{
			Number: d.int32(),
			Size:   d.int64(),
			ETag:   s3backend.ETag(d.string()),
			CRC:    d.string(),
		})
	}
	return parts, d.done()
}
