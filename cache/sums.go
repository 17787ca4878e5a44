package cache

import (
	"hash/crc32"
	"iter"

	"github.com/moorfs/moorfs/cache/extent"
	"github.com/moorfs/moorfs/cache/journal"
)

// sumBlock is the piece of a data file that has a checksum of its own.
const sumBlock = journal.SumBlock

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums are the checksums of a data file's blocks: each covers the bytes from
// the beginning of its block for as far as they came in order, which is all of
// a block that was fetched or written from front to back. They are made from
// bytes on their way to the disk, so that they cost no reading. What a checksum
// covers is the same whether it is in the bucket or not.
//
// The journal's copy may say less than there is, never what no longer holds:
// it is taken back before covered bytes change (file.outdate). So a mismatch is
// damage, with one exception: after a power cut the disk may have newer bytes
// than the journal, or older ones than it says, and no checksum of what is torn
// is believed then (recoverSums, afterReboot).
//
// Guarded by file.mu.
type sums struct {
	groups    map[uint32]*sumGroup
	unchecked int // blocks whose checksum was not compared since the journal was read
}

// A sumGroup is what one S record of the journal holds.
type sumGroup struct {
	sums      journal.Sums
	unchecked [journal.SumsPerGroup]bool
	changed   bool // newer than the record
	stored    bool // there may be a record …
	behind    bool // … that says more than holds
}

// sumAt returns which checksum an offset belongs to, and how far behind the
// beginning of its block it lies.
func sumAt(off int64) (group uint32, i int, at uint32) {
	block := off / sumBlock
	return uint32(block / journal.SumsPerGroup), int(block % journal.SumsPerGroup), uint32(off % sumBlock)
}

// sumPieces cuts a range at the ends of blocks.
func sumPieces(r extent.Range) iter.Seq[extent.Range] {
	return func(yield func(extent.Range) bool) {
		for off := r.Off; off < r.End(); {
			end := min((off/sumBlock+1)*sumBlock, r.End())
			if !yield(extent.Range{Off: off, Len: end - off}) {
				return
			}
			off = end
		}
	}
}

// put notes bytes that were written to the data file.
func (s *sums) put(off int64, p []byte) {
	for r := range sumPieces(extent.Range{Off: off, Len: int64(len(p))}) {
		piece := p[r.Off-off : r.End()-off]
		n, i, at := sumAt(r.Off)
		switch old := s.at(n, i); {
		case at == 0:
			s.set(n, i, journal.Sum{Len: uint32(len(piece)), CRC: crc32.Checksum(piece, castagnoli)}, false)
		case at == old.Len:
			more := journal.Sum{Len: old.Len + uint32(len(piece)), CRC: crc32.Update(old.CRC, castagnoli, piece)}
			s.set(n, i, more, s.groups[n].unchecked[i])
		case at < old.Len:
			s.set(n, i, journal.Sum{}, false)
		}
	}
}

// drop notes that bytes changed or went in another way than by put.
func (s *sums) drop(off, size int64) {
	for r := range sumPieces(extent.Range{Off: off, Len: size}) {
		n, i, at := sumAt(r.Off)
		if at < s.at(n, i).Len {
			s.set(n, i, journal.Sum{}, false)
		}
	}
}

// truncate notes that the data file was cut.
func (s *sums) truncate(size int64) {
	last, _, _ := sumAt(size)
	for n, g := range s.groups {
		if n < last {
			continue
		}
		from := int64(n) * journal.SumsPerGroup * sumBlock
		s.drop(max(size, from), from+int64(len(g.sums))*sumBlock-max(size, from))
	}
}

func (s *sums) at(n uint32, i int) journal.Sum {
	if g := s.groups[n]; g != nil && i < len(g.sums) {
		return g.sums[i]
	}
	return journal.Sum{}
}

func (s *sums) group(n uint32) *sumGroup {
	g := s.groups[n]
	if g == nil {
		if s.groups == nil {
			s.groups = map[uint32]*sumGroup{}
		}
		g = &sumGroup{}
		s.groups[n] = g
	}
	return g
}

func (s *sums) set(n uint32, i int, one journal.Sum, unchecked bool) {
	g := s.group(n)
	for len(g.sums) <= i {
		g.sums = append(g.sums, journal.Sum{})
	}
	if old := g.sums[i]; old.Len > one.Len || old.Len == one.Len && old.CRC != one.CRC {
		g.behind = g.stored
	}
	g.sums[i], g.changed = one, true
	for k := len(g.sums); k > 0 && g.sums[k-1].Len == 0; k-- {
		g.sums = g.sums[:k-1]
	}
	s.mark(g, i, unchecked)
}

func (s *sums) mark(g *sumGroup, i int, unchecked bool) {
	if g.unchecked[i] != unchecked {
		g.unchecked[i] = unchecked
		if s.unchecked--; unchecked {
			s.unchecked += 2
		}
	}
}

// covered returns what the checksums of the blocks of a range cover, block by
// block; fresh leaves out those that this process has compared or made.
func (s *sums) covered(r extent.Range, fresh bool) (all []extent.Range) {
	for p := range sumPieces(r) {
		n, i, at := sumAt(p.Off)
		one := s.at(n, i)
		if one.Len > 0 && (!fresh || s.groups[n].unchecked[i]) {
			all = append(all, extent.Range{Off: p.Off - int64(at), Len: int64(one.Len)})
		}
	}
	return all
}

// checked notes that a block was as its checksum says.
func (s *sums) checked(off int64) {
	n, i, _ := sumAt(off)
	if g := s.groups[n]; g != nil {
		s.mark(g, i, false)
	}
}

// holds reports whether a block's covered bytes are those that its checksum
// was made of.
func (s *sums) holds(off int64, covered []byte) bool {
	n, i, _ := sumAt(off)
	one := s.at(n, i)
	return int(one.Len) == len(covered) && one.CRC == crc32.Checksum(covered, castagnoli)
}

// count is journal.Extents.Sums.
func (s *sums) count() (n uint32) {
	for k, g := range s.groups {
		if len(g.sums) > 0 {
			n = max(n, k+1)
		}
	}
	return n
}

// save puts what is newer than the journal; saved must follow the commit.
func (s *sums) save(tx *journal.Tx, ino Ino) error {
	for n, g := range s.groups {
		if !g.changed {
			continue
		}
		g.stored = true // if the commit succeeds
		if err := tx.PutSums(ino, n, g.sums); err != nil {
			return err
		}
	}
	return nil
}

func (s *sums) saved() {
	for _, g := range s.groups {
		g.changed, g.behind = false, false
	}
}

// A sumsLoad says how far the journal's checksums are believed.
type sumsLoad struct {
	compared bool       // this process has compared them all before
	torn     extent.Set // not there; see afterReboot
}

// load reads what the journal has, as far as it covers bytes that are here.
func (s *sums) load(tx *journal.Tx, ino Ino, e *journal.Extents, how sumsLoad) error {
	for n := range e.Sums {
		record, err := tx.Sums(ino, n)
		if err != nil {
			return err
		}
		skipped := false
		for i, one := range record {
			off := (int64(n)*journal.SumsPerGroup + int64(i)) * sumBlock
			if one.Len > 0 && e.Present.Contains(off, int64(one.Len)) && !how.torn.Overlaps(off, int64(one.Len)) {
				s.set(n, i, one, !how.compared)
			} else {
				skipped = skipped || one.Len > 0
			}
		}
		if len(record) > 0 {
			g := s.group(n)
			g.stored, g.behind, g.changed = true, skipped, skipped
		}
	}
	return nil
}

// outdated returns the groups whose records say what a change of a range makes
// untrue.
func (s *sums) outdated(r extent.Range) (all []uint32) {
	for p := range sumPieces(r) {
		n, i, at := sumAt(p.Off)
		if g := s.groups[n]; g != nil && g.stored && (g.behind || at < s.at(n, i).Len) && (len(all) == 0 || all[len(all)-1] != n) {
			all = append(all, n)
		}
	}
	return all
}
