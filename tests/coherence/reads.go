package coherence

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A held is a file that stays open.
type held struct {
	key    int
	f      *os.File
	m      []byte // its pages, if it is mapped
	size   int64
	others int        // changes by others that its opener had surely seen
	life   int64      // of the daemon that opened it
	can    []*Version // what it can be, after all that was read of it
}

func (h *held) close() error {
	if h.m != nil {
		return errors.Join(unix.Munmap(h.m), h.f.Close())
	}
	return h.f.Close()
}

// openTries is how often an open, or a rename, is repeated that met a
// replacement each time.
const openTries = 8

// open opens a key for reading and checks that it is there. nil: it is not.
func (s *Side) open(key int) (h *held, began time.Time) {
	s.w.Counts.Opens.Add(1)
	for try := 1; ; try++ {
		began = time.Now()
		others := s.w.hist.settledOthers(s.party, key)
		f, err := os.Open(s.path(key))
		switch {
		case errors.Is(err, syscall.ESTALE) && try < openTries:
			s.w.Counts.StaleOpens.Add(1)
			continue
		case errors.Is(err, os.ErrNotExist):
			ttl := s.w.NegativeTTL
			if ttl > 0 {
				ttl += slowListing
			}
			if s.w.hist.mustBe(key, began, ttl) {
				s.w.Violated("%s: %s is not there, and nobody took it away", partyName(s.party), name(key))
			}
			return nil, began
		case err != nil:
			s.failed("open", key, err)
			return nil, began
		}
		info, err := f.Stat()
		if err != nil {
			s.failed("stat", key, errors.Join(err, f.Close()))
			return nil, began
		}
		return &held{key: key, f: f, size: info.Size(), others: others, life: s.life.Load()}, began
	}
}

// slowListing is how long, at most, a listing that took long speaks for names
// that it did not show, beyond NegativeTTL.
const slowListing = 30 * time.Second

// readWhole opens a key, reads all of it in one go or in pieces, and closes it.
func (s *Side) readWhole(r *rand.Rand, key int) {
	s.stays[key].RLock()
	defer s.stays[key].RUnlock()
	h, began := s.open(key)
	if h == nil {
		return
	}
	piece := int64(Block) << r.IntN(9)
	for off := int64(0); off < h.size; off += piece {
		if !s.look(h, off, piece) {
			break
		}
	}
	s.judge(h, began)
	s.end(h)
}

// judge checks that what an open shows is not too old.
func (s *Side) judge(h *held, began time.Time) {
	if h.can == nil {
		return // nothing could be read
	}
	if err := s.w.hist.opened(s.party, h.key, h.can, began); err != nil {
		s.w.Violated("%s: %s shows %v", partyName(s.party), name(h.key), err)
	}
}

// look reads n bytes at off, both whole blocks, and checks them together with
// all that was read of the file before. It reports whether there were any.
func (s *Side) look(h *held, off, n int64) bool {
	n = min(n, h.size-off)
	p := make([]byte, n)
	var err error
	if h.m != nil {
		err = copyPages(p, h.m[off:off+n])
		s.w.Counts.Maps.Add(1)
	} else {
		_, err = h.f.ReadAt(p, off)
	}
	if err != nil && h.life != s.life.Load() {
		s.w.Counts.Unchecked.Add(1)
		return false
	}
	if errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.EFAULT) {
		s.w.Counts.Stale.Add(1)
		if !s.w.faulty.Load() && s.w.Versioned || !s.w.hist.changedByOthers(s.party, h.key, h.others) {
			s.failed("read", h.key, fmt.Errorf("%d bytes at %d of %v: %w", n, off, h.can, err))
		}
		return false
	}
	if errors.Is(err, io.EOF) {
		s.w.Violated("%s: %s ends before byte %d of %d", partyName(s.party), name(h.key), off+n, h.size)
		return false
	}
	if err != nil {
		s.failed("read", h.key, fmt.Errorf("%d bytes at %d: %w", n, off, err))
		return false
	}
	return s.check(h, p, off)
}

func (s *Side) check(h *held, p []byte, off int64) bool {
	s.w.Counts.Reads.Add(1)
	blocks, err := parse(p, off)
	s.w.Counts.Blocks.Add(int64(len(blocks)))
	if err == nil && h.can == nil {
		h.can, err = s.w.hist.candidates(h.key, h.size, blocks)
	} else if err == nil {
		can := slices.DeleteFunc(slices.Clone(h.can), func(v *Version) bool { return !v.matches(blocks) })
		if len(can) == 0 {
			err = fmt.Errorf("a mixture: %s, in a file that was %v", describe(blocks), h.can)
		}
		h.can = can
	}
	if err != nil {
		s.w.Violated("%s: %s, read at %d, mapped %v: %v", partyName(s.party), name(h.key), off, h.m != nil, err)
		return false
	}
	return true
}

// copyPages copies mapped pages by system calls: a page that cannot be had is
// an error (EFAULT), and nothing else of this process waits for it.
func copyPages(p, m []byte) error {
	fd, err := unix.MemfdCreate("pages", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	for done := 0; done < len(m) && err == nil; {
		var n int
		n, err = unix.Write(fd, m[done:])
		done += n
	}
	if err == nil {
		var n int
		if n, err = unix.Pread(fd, p, 0); err == nil && n < len(p) {
			err = io.ErrUnexpectedEOF
		}
	}
	return errors.Join(err, unix.Close(fd))
}

// hold opens a key, reads some of it, and keeps it open, mapped or not.
func (s *Side) hold(r *rand.Rand, key int) {
	s.stays[key].RLock()
	defer s.stays[key].RUnlock()
	h, began := s.open(key)
	if h == nil {
		return
	}
	if r.IntN(3) == 0 && h.size > 0 {
		m, err := unix.Mmap(int(h.f.Fd()), 0, int(h.size), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			s.failed("mmap", key, err)
		} else {
			h.m = m
		}
	}
	s.lookSomewhere(r, h)
	s.judge(h, began)
	s.mu.Lock()
	s.held = append(s.held, h)
	var old *held
	if len(s.held) > mostHeld {
		i := r.IntN(len(s.held))
		old = s.held[i]
		s.held = slices.Delete(s.held, i, i+1)
	}
	s.mu.Unlock()
	if old != nil {
		s.end(old)
	}
}

// end closes a file. What a dead daemon had open is closed anyhow.
func (s *Side) end(h *held) {
	if err := h.close(); h.life == s.life.Load() {
		s.failed("close", h.key, err)
	}
}

func (s *Side) lookSomewhere(r *rand.Rand, h *held) {
	if h.size == 0 {
		s.w.Violated("%s: %s is empty", partyName(s.party), name(h.key))
		return
	}
	off := r.Int64N((h.size+Block-1)/Block) * Block
	s.look(h, off, Block*int64(1+r.IntN(64)))
}

// take takes an open file out of those held, so that nobody closes it; its key
// stays as it is until give. nil: none is free.
func (s *Side) take(r *rand.Rand) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 {
		return nil
	}
	i := r.IntN(len(s.held))
	h := s.held[i]
	if !s.stays[h.key].TryRLock() { // it is being changed in place, or about to be, and then closed
		return nil
	}
	s.held = slices.Delete(s.held, i, i+1)
	return h
}

// give puts it back, unless its daemon is dead.
func (s *Side) give(h *held) {
	defer s.stays[h.key].RUnlock()
	if h.life != s.life.Load() {
		s.end(h)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, h)
}

// readHeld reads somewhere in an open file.
func (s *Side) readHeld(r *rand.Rand, _ int) {
	h := s.take(r)
	if h == nil {
		return
	}
	if s.w.hist.changedByOthers(s.party, h.key, h.others) {
		s.w.Counts.OldReads.Add(1)
	}
	s.lookSomewhere(r, h)
	s.give(h)
}

// dropPages has the kernel forget the pages of an open file.
func (s *Side) dropPages(r *rand.Rand, _ int) {
	h := s.take(r)
	if h == nil {
		return
	}
	defer s.give(h)
	if err := unix.Fadvise(int(h.f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		s.failed("fadvise", h.key, err)
	}
}

// releaseKey closes what is open of a key, all of it if key is below 0.
func (s *Side) releaseKey(key int) {
	s.mu.Lock()
	var mine []*held
	s.held = slices.DeleteFunc(s.held, func(h *held) bool {
		if key >= 0 && h.key != key {
			return false
		}
		mine = append(mine, h)
		return true
	})
	s.mu.Unlock()
	for _, h := range mine {
		s.end(h)
	}
}

func (s *Side) releaseAll() { s.releaseKey(-1) }

// list reads the root and looks for what must be there.
func (s *Side) list(_ *rand.Rand, _ int) {
	began := time.Now()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.failed("readdir", 0, err)
		return
	}
	there := map[string]bool{}
	for _, e := range entries {
		if there[e.Name()] {
			s.w.Violated("%s: %s is listed twice", partyName(s.party), e.Name())
		}
		there[e.Name()] = true
	}
	for key := range s.w.Keys {
		if !there[name(key)] && s.w.hist.mustBe(key, began, s.w.ListTTL) {
			s.w.Violated("%s: %s is not listed, and nobody took it away", partyName(s.party), name(key))
		}
	}
}
