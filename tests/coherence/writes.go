package coherence

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// sizeFor picks the size of a content: mostly small, some sent in parts.
func sizeFor(r *rand.Rand) int64 {
	size := int64(1+r.IntN(32)) * Block
	switch r.IntN(16) {
	case 0:
		size = int64(5<<20) + int64(r.IntN(512))*Block // two parts
	case 1:
		size = int64(1+r.IntN(4)) << 20
	}
	if r.IntN(2) == 0 {
		size += leastTail + int64(r.IntN(Block-leastTail))
	}
	return size
}

// inParts is the size beyond which a content goes up in parts.
const inParts = 5 << 20

func (s *Side) count(v *Version) {
	s.w.Counts.Writes.Add(1)
	if v.Size > inParts {
		s.w.Counts.Parts.Add(1)
	}
}

// replace writes a content beside the key and renames it there, as editors do.
func (s *Side) replace(r *rand.Rand, key int) {
	s.alone[key].Lock()
	defer s.alone[key].Unlock()
	h := s.w.hist
	v := h.add(Version{Key: key, Writer: s.party, Size: sizeFor(r)})
	temp := filepath.Join(s.dir, fmt.Sprintf("%s%d", temporary, s.w.names.Add(1)))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		s.failed("create for", key, err)
		return
	}
	err = s.writeAll(r, f, v, 0)
	before := h.shownBefore(s.party, key)
	h.began(s.party, key, false)
	if err == nil {
		err = os.Rename(temp, s.path(key))
	}
	if err != nil {
		s.failed("replace", key, err)
		return
	}
	h.wrote(s.party, key, before, v)
	s.count(v)
}

// writeAll writes v from a block on and closes f.
func (s *Side) writeAll(r *rand.Rand, f *os.File, v *Version, from int64) error {
	piece := int64(1) << r.IntN(10)
	for i := from; i < v.blocks(); i += piece {
		if _, err := f.WriteAt(v.Bytes(i, min(i+piece, v.blocks())), i*Block); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if r.IntN(6) == 0 {
		if err := f.Sync(); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// inPlace keeps readers and others off a key on this mount, and the daemon
// alive, while do changes its content.
func (s *Side) inPlace(key int, what string, do func(before []*Version) (*Version, error)) {
	if !s.whole.TryRLock() { // the daemon is being killed, and waits for us
		return
	}
	defer s.whole.RUnlock()
	s.alone[key].Lock()
	defer s.alone[key].Unlock()
	s.stays[key].Lock()
	defer s.stays[key].Unlock()
	s.releaseKey(key)
	before := s.w.hist.shownBefore(s.party, key)
	v, err := do(before)
	if err != nil {
		s.failed(what, key, err)
		return
	}
	if v != nil {
		s.w.hist.wrote(s.party, key, before, v)
		s.count(v)
	}
}

// rewrite makes a content in place of the old one, with O_TRUNC.
func (s *Side) rewrite(r *rand.Rand, key int) {
	s.inPlace(key, "rewrite", func([]*Version) (*Version, error) {
		v := s.w.hist.add(Version{Key: key, Writer: s.party, Size: sizeFor(r)})
		s.w.hist.began(s.party, key, false)
		f, err := s.openToWrite(key, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return nil, err
		}
		return v, s.writeAll(r, f, v, 0)
	})
}

// openToWrite opens a key, again if it was replaced meanwhile.
func (s *Side) openToWrite(key, flags int) (f *os.File, err error) {
	for range openTries {
		if f, err = os.OpenFile(s.path(key), flags, 0o644); !errors.Is(err, syscall.ESTALE) {
			return f, err
		}
		s.w.Counts.StaleOpens.Add(1)
	}
	return nil, err
}

// patch changes some blocks of what is there.
func (s *Side) patch(r *rand.Rand, key int) {
	s.inPlace(key, "patch", func([]*Version) (*Version, error) {
		f, base, err := s.openKnown(key)
		if f == nil || err != nil {
			return nil, err
		}
		first := r.Int64N(base.blocks())
		last := min(first+r.Int64N(8), base.blocks()-1)
		own := map[int64]bool{}
		for i := first; i <= last; i++ {
			own[i] = true
		}
		v := s.w.hist.add(Version{Key: key, Writer: s.party, Size: base.Size, base: base, own: own})
		s.w.hist.began(s.party, key, false)
		_, err = f.WriteAt(v.Bytes(first, last+1), first*Block)
		return v, errors.Join(err, f.Close())
	})
}

// extend appends blocks to what is there, if that ends with a whole block.
func (s *Side) extend(r *rand.Rand, key int) {
	s.inPlace(key, "extend", func([]*Version) (*Version, error) {
		f, base, err := s.openKnown(key)
		if f == nil || err != nil || base.Size%Block != 0 || base.Size > 12<<20 {
			if f != nil {
				err = errors.Join(err, f.Close())
			}
			return nil, err
		}
		more := int64(1 + r.IntN(8))
		own := map[int64]bool{}
		for i := range more {
			own[base.blocks()+i] = true
		}
		v := s.w.hist.add(Version{Key: key, Writer: s.party, Size: base.Size + more*Block, base: base, own: own})
		s.w.hist.began(s.party, key, false)
		return v, s.writeAll(r, f, v, base.blocks())
	})
}

// openKnown opens a key to write and finds out which version it is, which is
// all here afterwards. nil: there is none, or not one alone.
func (s *Side) openKnown(key int) (*os.File, *Version, error) {
	began := time.Now()
	others := s.w.hist.settledOthers(s.party, key)
	f, err := s.openToWrite(key, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	h := &held{key: key, f: f, size: info.Size(), others: others, life: s.life.Load()}
	for off := int64(0); off < h.size; off += 1 << 20 {
		if !s.look(h, off, 1<<20) {
			return nil, nil, f.Close()
		}
	}
	s.judge(h, began)
	if len(h.can) != 1 {
		return nil, nil, f.Close()
	}
	return f, h.can[0], nil
}

// remove unlinks a key.
func (s *Side) remove(_ *rand.Rand, key int) {
	s.alone[key].Lock()
	defer s.alone[key].Unlock()
	before := s.w.hist.shownBefore(s.party, key)
	s.w.hist.began(s.party, key, true)
	err := os.Remove(s.path(key))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		s.failed("unlink", key, err)
		return
	}
	s.w.hist.wrote(s.party, key, before, nil)
	s.w.Counts.Removals.Add(1)
}

// rename moves a key of the first half to its fellow of the second.
func (s *Side) rename(_ *rand.Rand, key int) {
	from := key % (s.w.Keys / 2)
	to := from + s.w.Keys/2
	for _, k := range []int{from, to} {
		s.alone[k].Lock()
		defer s.alone[k].Unlock()
	}
	s.stays[from].Lock() // what is open of it would change with the other key
	defer s.stays[from].Unlock()
	s.releaseKey(from)
	h := s.w.hist
	h.mayCome(from, to)
	beforeFrom, beforeTo := h.shownBefore(s.party, from), h.shownBefore(s.party, to)
	h.began(s.party, from, true)
	h.began(s.party, to, false)
	err := s.moveName(from, to)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		s.failed("rename", from, err)
		return
	}
	moved := h.written(s.party)[from]
	h.wrote(s.party, from, beforeFrom, nil)
	h.wrote(s.party, to, beforeTo, moved)
	s.w.Counts.Renames.Add(1)
}

// moveName renames a key, again if it was replaced meanwhile.
func (s *Side) moveName(from, to int) (err error) {
	for range openTries {
		if err = os.Rename(s.path(from), s.path(to)); !errors.Is(err, syscall.ESTALE) {
			return err
		}
		s.w.Counts.StaleRenames.Add(1)
	}
	return err
}
