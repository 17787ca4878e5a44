package journal

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/moorfs/moorfs/s3backend"
)

// partsInGroup parts by number lie in one record, so that journalling one more
// part of an upload rewrites a few kilobytes, not all parts before it.
const partsInGroup = 64

// Upload returns the multipart upload under way to key and the generation of
// the inode that it carries. Parts come in the order of their numbers.
func (tx *Tx) Upload(key string) (u s3backend.Upload, gen uint64, found bool, err error) {
	head, err := tx.uploadHead(key)
	if err == nil && head != nil {
		u, err = tx.wholeUpload(key, head)
	}
	if err != nil || head == nil {
		return s3backend.Upload{}, 0, false, ofUpload(key, err)
	}
	return u, head.gen, true, nil
}

// PutUpload records how far the multipart upload to key has come, in place of
// what was recorded before.
func (tx *Tx) PutUpload(key string, u s3backend.Upload, gen uint64) error {
	return ofUpload(key, tx.putUpload(key, u, gen))
}

func (tx *Tx) putUpload(key string, u s3backend.Upload, gen uint64) error {
	old, err := tx.uploadHead(key)
	if err != nil {
		return err
	}
	groups := map[uint32][]s3backend.Part{}
	head := uploadRecord{gen: gen, id: u.ID, partSize: u.PartSize}
	for _, p := range u.Parts {
		g := uint32(p.Number) / partsInGroup
		if groups[g] == nil {
			head.groups = append(head.groups, g)
		}
		groups[g] = append(groups[g], p)
	}
	slices.Sort(head.groups)
	for _, g := range head.groups {
		parts := groups[g]
		slices.SortStableFunc(parts, func(a, b s3backend.Part) int { return int(a.Number) - int(b.Number) })
		if err := tx.putParts(key, g, appendParts(nil, parts)); err != nil {
			return err
		}
	}
	if old != nil {
		for _, g := range old.groups {
			if _, kept := groups[g]; kept {
				continue
			}
			if err := tx.delete(tx.keep(partsKey(tx.room(9+len(key)), key, g))); err != nil {
				return err
			}
		}
	}
	k := tx.keep(textKey(tx.room(1+len(key)), letterUpload, key))
	return tx.set(k, tx.keep(appendUpload(tx.room(128), &head)))
}

// putParts writes a group of parts unless it is there already.
func (tx *Tx) putParts(key string, group uint32, value []byte) error {
	same := false
	tx.scratch = partsKey(tx.scratch[:0], key, group)
	_, err := tx.get(tx.scratch, func(v []byte) error {
		same = bytes.Equal(v, value)
		return nil
	})
	if err != nil || same {
		return err
	}
	return tx.set(tx.keep(partsKey(tx.room(9+len(key)), key, group)), value)
}

// DeleteUpload forgets the multipart upload to key.
func (tx *Tx) DeleteUpload(key string) error {
	head, err := tx.uploadHead(key)
	if err != nil || head == nil {
		return ofUpload(key, err)
	}
	for _, g := range head.groups {
		if err := tx.delete(tx.keep(partsKey(tx.room(9+len(key)), key, g))); err != nil {
			return ofUpload(key, err)
		}
	}
	return ofUpload(key, tx.delete(tx.keep(textKey(tx.room(1+len(key)), letterUpload, key))))
}

// Uploads walks all multipart uploads by key.
func (tx *Tx) Uploads(fn func(key string, u s3backend.Upload, gen uint64) error) error {
	return tx.walk(scan{prefix: []byte{letterUpload}}, func(k, value []byte) error {
		key := string(k[1:])
		head, err := decodeUpload(value)
		if err != nil {
			return ofUpload(key, err)
		}
		u, err := tx.wholeUpload(key, head)
		if err != nil {
			return ofUpload(key, err)
		}
		return fn(key, u, head.gen)
	})
}

// uploadHead returns nil if there is no upload.
func (tx *Tx) uploadHead(key string) (head *uploadRecord, err error) {
	tx.scratch = textKey(tx.scratch[:0], letterUpload, key)
	_, err = tx.get(tx.scratch, func(v []byte) (err error) {
		head, err = decodeUpload(v)
		return err
	})
	return head, err
}

func (tx *Tx) wholeUpload(key string, head *uploadRecord) (s3backend.Upload, error) {
	u := s3backend.Upload{ID: head.id, PartSize: head.partSize}
	for _, g := range head.groups {
		tx.scratch = partsKey(tx.scratch[:0], key, g)
		found, err := tx.get(tx.scratch, func(v []byte) error {
			parts, err := decodeParts(v)
			u.Parts = append(u.Parts, parts...)
			return err
		})
		if err == nil && !found {
			err = fmt.Errorf("%w: parts from number %d on are missing", ErrDamaged, g*partsInGroup)
		}
		if err != nil {
			return s3backend.Upload{}, err
		}
	}
	return u, nil
}

func ofUpload(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal: upload of key %q: %w", key, err)
}
