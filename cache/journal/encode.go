package journal

import (
	"encoding/binary"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/s3backend"
)

// Each record has an append function that writes its current version and a
// decode function that reads every version there ever was.

func appendInode(b []byte, i *Inode) []byte {
	b = append(b, inodeVersion)
	b = appendUint(b, i.Kind)
	b = appendUint(b, i.State)
	b = appendUint(b, i.Changed)
	b = appendBool(b, i.AttrsKnown)
	b = appendUint(b, i.Nlink)
	b = appendUint(b, i.Mode)
	b = appendUint(b, i.Uid)
	b = appendUint(b, i.Gid)
	b = appendUint(b, i.Rdev)
	b = appendInt(b, i.Atime)
	b = appendInt(b, i.Mtime)
	b = appendInt(b, i.Ctime)
	b = appendInt(b, i.Btime)
	b = appendInt(b, i.Size)
	b = appendUint(b, i.Generation)
	b = appendUint(b, i.Parent)
	b = appendString(b, i.Name)
	b = appendString(b, i.Prefix)
	b = appendString(b, i.Base.ETag)
	b = appendString(b, i.Base.Version)
	b = appendInt(b, i.Base.Size)
	b = appendInt(b, i.Base.Modified)
	b = appendString(b, i.At)
	b = appendString(b, i.Target)
	b = appendMap(b, i.Xattrs)
	b = appendMap(b, i.Meta)
	b = appendHeaders(b, &i.Headers)
	b = appendString(b, i.StorageClass)
	b = appendInt(b, i.Tags)
	b = appendUint(b, i.Encoding)
	b = appendString(b, i.Next)
	b = appendString(b, i.Cursor)
	return appendBool(b, i.Torn)
}

func decodeInode(b []byte) (*Inode, error) {
	d := decodeTo(inodeVersion, b)
	i := &Inode{
		Kind:       Kind(d.uint8()),
		State:      State(d.uint8()),
		Changed:    Change(d.uint8()),
		AttrsKnown: d.bool(),
		Nlink:      d.uint32(),
		Mode:       d.uint32(),
		Uid:        d.uint32(),
		Gid:        d.uint32(),
		Rdev:       d.uint32(),
		Atime:      d.int64(),
		Mtime:      d.int64(),
		Ctime:      d.int64(),
		Btime:      d.int64(),
		Size:       d.int64(),
		Generation: d.uint64(),
		Parent:     Ino(d.uint64()),
		Name:       d.string(),
		Prefix:     d.string(),
		Base: Base{
			ETag:     s3backend.ETag(d.string()),
			Version:  d.string(),
			Size:     d.int64(),
			Modified: d.int64(),
		},
		At:           d.string(),
		Target:       d.string(),
		Xattrs:       decodeMap[[]byte](&d),
		Meta:         decodeMap[string](&d),
		Headers:      d.headers(),
		StorageClass: d.string(),
		Tags:         int(d.int64()),
		Encoding:     d.uint8(),
	}
	if d.version >= 2 {
		i.Next, i.Cursor = d.string(), d.string()
	}
	if d.version >= 3 {
		i.Torn = d.bool()
	}
	return i, d.done()
}

func appendExtents(b []byte, e *Extents) ([]byte, error) {
	b = append(b, extentsVersion)
	b = appendBool(b, e.Synced)
	b = appendString(b, e.Boot)
	for _, s := range []*extent.Set{&e.Present, &e.Dirty, &e.Touched, &e.Damaged, &e.Loose} {
		set, err := s.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		b = appendString(b, set)
	}
	return b, nil
}

func decodeExtents(b []byte) (*Extents, error) {
	d := decodeTo(extentsVersion, b)
	e := &Extents{Synced: d.bool(), Boot: d.string()}
	sets := []*extent.Set{&e.Present, &e.Dirty, &e.Touched, &e.Damaged, &e.Loose}
	sets = sets[:min(2+int(d.version), len(sets))]
	for _, s := range sets {
		if err := s.UnmarshalBinary(d.view()); err != nil {
			d.fail()
		}
	}
	if d.version < 3 && !e.Synced {
		e.Loose = e.Present.Clone()
	}
	return e, d.done()
}

// appendSums writes the checksum itself at full length: it is as likely to be
// large as small.
func appendSums(b []byte, s Sums) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, uint32(len(s)))
	for _, one := range s {
		b = appendUint(b, one.Len)
		b = binary.BigEndian.AppendUint32(b, one.CRC)
	}
	return b
}

func decodeSums(b []byte) (Sums, error) {
	d := decode(b)
	n := d.count(5)
	if n > SumsPerGroup {
		d.fail()
	}
	if d.bad {
		return nil, d.done()
	}
	s := make(Sums, n)
	for i := range s {
		if s[i].Len = d.uint32(); s[i].Len > SumBlock || len(d.b) < 4 {
			d.fail()
			break
		}
		s[i].CRC = binary.BigEndian.Uint32(d.b)
		d.b = d.b[4:]
	}
	return s, d.done()
}

func appendDirent(b []byte, e Dirent) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, e.Ino)
	return appendUint(b, e.Kind)
}

func decodeDirent(b []byte) (Dirent, error) {
	d := decode(b)
	e := Dirent{Ino: Ino(d.uint64()), Kind: Kind(d.uint8())}
	return e, d.done()
}

func appendListing(b []byte, l *Listing) []byte {
	b = append(b, recordVersion)
	b = appendInt(b, l.Begun)
	b = appendInt(b, l.Ended)
	b = appendBool(b, l.Complete)
	return appendBool(b, l.Big)
}

func decodeListing(b []byte) (Listing, error) {
	d := decode(b)
	l := Listing{Begun: d.int64(), Ended: d.int64(), Complete: d.bool(), Big: d.bool()}
	return l, d.done()
}

func appendRow(b []byte, r *Row) []byte {
	b = append(b, recordVersion)
	b = appendUint(b, r.Want)
	b = appendUint(b, r.Ino)
	b = appendUint(b, r.Known)
	b = appendString(b, r.ETag)
	b = appendString(b, r.Version)
	b = appendUint(b, r.Progress)
	b = appendUint(b, r.Holder)
	b = appendString(b, r.After)
	b = appendString(b, r.Nonce)
	b = appendUint(b, r.NonceGen)
	b = appendUint(b, r.Attempts)
	b = appendInt(b, r.NotBefore)
	b = appendInt(b, r.Due)
	b = appendInt(b, r.Since)
	b = appendUint(b, r.Kind)
	return appendString(b, r.Error)
}

func decodeRow(b []byte) (*Row, error) {
	d := decode(b)
	r := &Row{
		Want:      Want(d.uint8()),
		Ino:       Ino(d.uint64()),
		Known:     Knowledge(d.uint8()),
		ETag:      s3backend.ETag(d.string()),
		Version:   d.string(),
		Progress:  Progress(d.uint8()),
		Holder:    Ino(d.uint64()),
		After:     d.string(),
		Nonce:     d.string(),
		NonceGen:  d.uint64(),
		Attempts:  d.uint32(),
		NotBefore: d.int64(),
		Due:       d.int64(),
		Since:     d.int64(),
		Kind:      d.uint32(),
		Error:     d.string(),
	}
	return r, d.done()
}

func appendMove(b []byte, m Move) []byte {
	b = append(b, recordVersion)
	b = appendString(b, m.After)
	b = appendInt(b, m.Since)
	b = appendUint(b, m.Attempts)
	return appendString(b, m.Error)
}

func decodeMove(b []byte) (Move, error) {
	d := decode(b)
	m := Move{After: d.string(), Since: d.int64(), Attempts: d.uint32(), Error: d.string()}
	return m, d.done()
}

func appendConflict(b []byte, c *Conflict) []byte {
	b = append(b, recordVersion)
	b = appendString(b, c.Old)
	b = appendString(b, c.New)
	b = appendString(b, c.Ours)
	b = appendString(b, c.Theirs)
	b = appendInt(b, c.When)
	return appendUint(b, c.Ino)
}

func decodeConflict(b []byte) (Conflict, error) {
	d := decode(b)
	c := Conflict{
		Old:    d.string(),
		New:    d.string(),
		Ours:   s3backend.ETag(d.string()),
		Theirs: s3backend.ETag(d.string()),
		When:   d.int64(),
		Ino:    Ino(d.uint64()),
	}
	return c, d.done()
}
