package journal

import (
	"encoding/binary"
	"fmt"
)

// Letters of the kinds of records; see the table in doc.go.
const (
	letterState      = 'Z'
	letterNext       = 'N'
	letterInode      = 'I'
	letterExtents    = 'E'
	letterChunk      = 'C'
	letterSums       = 'S'
	letterDirent     = 'D'
	letterListing    = 'L'
	letterAttributes = 'A'
	letterRow        = 'K'
	letterUpload     = 'U'
	letterParts      = 'P'
	letterOrphan     = 'O'
	letterConflict   = 'X'
	letterMove       = 'M'
	letterNote       = 'F'
	letterEnd        = 'Q'
)

// numberKey is a letter and a number, the key of most records.
func numberKey[T ~uint64](b []byte, letter byte, n T) []byte {
	return binary.BigEndian.AppendUint64(append(b, letter), uint64(n))
}

// textKey is a letter and text to the end of the key.
func textKey(b []byte, letter byte, text string) []byte {
	return append(append(b, letter), text...)
}

func direntKey(b []byte, parent Ino, name string) []byte {
	return append(numberKey(b, letterDirent, parent), name...)
}

// chunkKey is where chunk c lies of extents that were written under number n.
func chunkKey(b []byte, ino Ino, n uint64, c uint32) []byte {
	b = numberKey(b, letterChunk, ino)
	b = binary.BigEndian.AppendUint64(b, n)
	return binary.BigEndian.AppendUint32(b, c)
}

func sumsKey(b []byte, ino Ino, group uint32) []byte {
	return binary.BigEndian.AppendUint32(numberKey(b, letterSums, ino), group)
}

// partsKey holds the length of the key of the upload: keys may hold any byte
// and one may begin with another.
func partsKey(b []byte, key string, group uint32) []byte {
	b = binary.BigEndian.AppendUint32(append(b, letterParts), uint32(len(key)))
	b = append(b, key...)
	return binary.BigEndian.AppendUint32(b, group)
}

// conflictKey orders by time; times before 1970 do not happen.
func conflictKey(b []byte, when int64, ino Ino) []byte {
	b = numberKey(b, letterConflict, uint64(when))
	return binary.BigEndian.AppendUint64(b, uint64(ino))
}

// keyNumber returns the number behind the letter of a key and what follows it.
func keyNumber(key []byte) (n uint64, rest []byte, err error) {
	if len(key) < 9 {
		return 0, nil, fmt.Errorf("%w: key %x is too short", ErrDamaged, key)
	}
	return binary.BigEndian.Uint64(key[1:9]), key[9:], nil
}
