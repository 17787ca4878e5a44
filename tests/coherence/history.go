package coherence

import (
	"fmt"
	"sync"
	"time"
)

// A history knows which versions there ever were and what is known of their
// order at each key. All its methods may be called concurrently.
type history struct {
	ttl    ttls
	faulty func() bool // what mounts show may be as old as it likes

	mu       sync.Mutex
	last     uint64
	bySource map[uint64][]*Version // by the id of a block that they have
	keys     []*keyHistory
}

// The promises of the mounts under test.
type ttls struct{ attr, list, negative time.Duration }

// A keyHistory is what is known of one key. All is guarded by history.mu.
type keyHistory struct {
	origins  map[int]bool           // keys whose versions may come here by rename
	current  *Version               // last seen in the bucket; nil: nothing, or never looked
	order    map[*Version]int       // in which versions were first seen in the bucket
	replaced map[*Version]time.Time // by when they were known to be no longer in the bucket

	present  bool // surely there, since:
	since    time.Time
	removals int // that may still take effect

	views [parties]view
}

// A view is what one mount has shown of a key.
type view struct {
	over   map[*Version]time.Time // replaced there by a local change, since then
	shown  []shownAt              // the latest
	wrote  *Version               // what the mount wrote last since all was sent
	others int                    // changes that others began
	before int                    // others when all was sent last
}

type shownAt struct {
	v  *Version
	at time.Time // when the open was over
}

// The parties.
const (
	mountA = iota
	mountB
	client // of the bucket
	parties
)

func partyName(p int) string { return [...]string{"mount a", "mount b", "the client"}[p] }

func newHistory(keys int, t ttls) *history {
	h := &history{ttl: t, bySource: map[uint64][]*Version{}}
	for k := range keys {
		kh := &keyHistory{origins: map[int]bool{k: true}, order: map[*Version]int{}, replaced: map[*Version]time.Time{}}
		for p := range kh.views {
			kh.views[p].over = map[*Version]time.Time{}
		}
		h.keys = append(h.keys, kh)
	}
	return h
}

// add registers a version before its first byte is written: all own, or base
// with other blocks.
func (h *history) add(v Version) *Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	v.ID = h.last
	p := &v
	ids := map[uint64]bool{v.ID: true}
	for i := int64(0); v.base != nil && i < v.blocks(); i++ {
		ids[p.source(i)] = true
	}
	for id := range ids {
		h.bySource[id] = append(h.bySource[id], p)
	}
	return p
}

// candidates returns the versions that what was read at key can be of.
func (h *history) candidates(key int, size int64, blocks []seen) ([]*Version, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*Version
	for _, v := range h.bySource[blocks[0].id] {
		if h.keys[key].origins[v.Key] && (size < 0 || v.Size == size) && v.matches(blocks) {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no version had this: %d bytes, %s; there are %v", size, describe(blocks), h.bySource[blocks[0].id])
	}
	return found, nil
}

// describe says which versions blocks are of, in runs.
func describe(blocks []seen) string {
	text := ""
	for n := 0; n < len(blocks); {
		to := n
		for to < len(blocks) && blocks[to].id == blocks[n].id {
			to++
		}
		text += fmt.Sprintf("blocks %d to %d of v%d; ", blocks[n].i, blocks[to-1].i, blocks[n].id)
		n = to
	}
	return text
}

// began notes that a party is about to change a key; removes says that the key
// may be empty afterwards.
func (h *history) began(party, key int, removes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.keys[key]
	for p := range k.views {
		if p != party {
			k.views[p].others++
		}
	}
	if removes {
		k.removals++
		k.present = false
	}
}

// removed notes that a removal by the client of the bucket is over.
func (h *history) removed(key int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[key].removals--
}

// observed notes that v (nil: nothing) is in the bucket. Those who look must do
// so one at a time for each key.
func (h *history) observed(key int, v *Version) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, now := h.keys[key], time.Now()
	if v == nil {
		k.present = false
	} else if k.removals == 0 && !k.present {
		k.present, k.since = true, now
	}
	if v == k.current {
		return nil
	}
	if at, was := k.replaced[v]; was && v != nil {
		return fmt.Errorf("the bucket went back to %s at key %d, which was known to be replaced %v ago", v, key, now.Sub(at))
	}
	if k.current != nil {
		k.replaced[k.current] = now
	}
	if k.current = v; v != nil {
		k.order[v] = len(k.order)
	}
	return nil
}

// shownBefore returns what a mount has shown of a key, or written there, by
// now: what a local change that begins now replaces.
func (h *history) shownBefore(party, key int) []*Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	view := &h.keys[key].views[party]
	var all []*Version
	for _, s := range view.shown {
		all = append(all, s.v)
	}
	if view.wrote != nil {
		all = append(all, view.wrote)
	}
	return all
}

// wrote notes that a mount has replaced what it showed before with v (nil:
// nothing).
func (h *history) wrote(party, key int, before []*Version, v *Version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	view := &h.keys[key].views[party]
	now := time.Now()
	for _, b := range before {
		if _, there := view.over[b]; !there && b != v {
			view.over[b] = now
		}
	}
	view.wrote = v
}

// opened checks that an open of key which began at `began` may show one of
// these versions.
func (h *history) opened(party, key int, found []*Version, began time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	view := &h.keys[key].views[party]
	var err error
	for _, v := range found {
		if err = h.tooOld(party, key, v, began); err == nil {
			break
		}
	}
	if len(found) == 1 {
		view.shown = append(view.shown, shownAt{found[0], time.Now()})
		view.shown = view.shown[max(0, len(view.shown)-64):]
	}
	return err
}

// tooOld says why an open that began then may not show v. The caller holds h.mu.
func (h *history) tooOld(party, key int, v *Version, began time.Time) error {
	k := h.keys[key]
	if at, was := k.replaced[v]; was && began.Sub(at) > h.ttl.attr && !h.faulty() {
		return fmt.Errorf("%s was replaced in the bucket %v before this open, by %s", v, began.Sub(at), k.current)
	}
	if at, was := k.views[party].over[v]; was && at.Before(began) {
		return fmt.Errorf("%s was replaced on this mount itself %v before this open", v, began.Sub(at))
	}
	order, known := k.order[v]
	for _, s := range k.views[party].shown {
		if later, both := k.order[s.v]; known && both && later > order && s.at.Before(began) {
			return fmt.Errorf("%s, after this mount had shown %s, which came later", v, s.v)
		}
	}
	return nil
}

// mustBe reports whether a key is surely there for one who asks at `began` and
// believes what is ttl old. Ask again when the answer is there.
func (h *history) mustBe(key int, began time.Time, ttl time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.keys[key]
	return k.present && k.since.Add(ttl).Before(began) && !h.faulty()
}

// settledOthers returns how many changes of others a mount that opens key now
// may be expected to have seen.
func (h *history) settledOthers(party, key int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[key].views[party].before
}

// changedByOthers reports whether others have changed key after so many changes.
func (h *history) changedByOthers(party, key, after int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[key].views[party].others > after
}

// mayCome allows the versions of one key at another.
func (h *history) mayCome(from, to int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[to].origins[from] = true
}

// written returns what each mount wrote last, by key, since all was sent.
func (h *history) written(party int) map[int]*Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[int]*Version{}
	for key, k := range h.keys {
		if v := k.views[party].wrote; v != nil {
			all[key] = v
		}
	}
	return all
}

// sent notes that nothing is under way any more.
func (h *history) sent() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.keys {
		k.removals = 0
		for p := range k.views {
			v := &k.views[p]
			v.wrote, v.before = nil, v.others
			v.shown = v.shown[max(0, len(v.shown)-1):]
		}
	}
}

// now returns what was last seen in the bucket.
func (h *history) now(key int) *Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[key].current
}
