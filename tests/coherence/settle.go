package coherence

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// sendLimit bounds what a mount may take to send everything.
const sendLimit = 2 * time.Minute

// registerLimit bounds what goes by between a mount and its being known.
const registerLimit = 10 * time.Second

// sweepLimit bounds what may go by until uploads that were given up are gone.
const sweepLimit = 30 * time.Second

// Settle brings everything to the bucket and compares. Nobody works meanwhile,
// and the network is good.
func (w *World) Settle() {
	for _, s := range w.Sides {
		var status int
		var out string
		_ = harness.Until(registerLimit, "a new mount that clients know", func() bool {
			status, out = s.M.Run(sendLimit, "flush", s.dir)
			return !strings.Contains(out, "lies in no mount")
		})
		if status != 0 {
			w.Violated("%s: moorfs flush: status %d: %s", partyName(s.party), status, out)
			return
		}
	}
	contents, err := w.compareBucket()
	if err != nil {
		w.Violated("all is sent: %v", err)
		return
	}
	w.faulty.Store(false)
	w.account(contents)
	w.hist.sent()
	if err := w.decide(); err != nil {
		w.Violated("conflicts: %v", err)
		return
	}
	began := time.Now()
	for key := range w.Keys {
		w.bucketMu[key].Lock()
		if err := w.observe(key); err != nil {
			w.Violated("the bucket, at %s: %v", name(key), err)
		}
		w.bucketMu[key].Unlock()
	}
	ttl := max(w.AttrTTL, w.ListTTL)
	if err := harness.Until(ttl+time.Minute, "the end of what mounts may believe", func() bool { return time.Since(began) > ttl }); err != nil {
		w.Violated("%v", err)
	}
	w.converged()
	w.Counts.Settled.Add(1)
}

// compareBucket looks at all objects: each is one version, at a key where it
// may be. It returns the versions that are, or were, in the bucket.
func (w *World) compareBucket() (map[*Version]bool, error) {
	ctx := context.Background()
	contents := map[*Version]bool{}
	objects, err := w.S3.Objects(ctx, "")
	if err != nil {
		return nil, err
	}
	for key, body := range objects {
		k, _, known := w.keyOf(key)
		if !known {
			if !strings.HasPrefix(key, temporary) {
				w.Violated("the bucket has %q", key)
			}
			continue
		}
		found, err := w.identify(k, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		for _, v := range found {
			contents[v] = true
		}
	}
	var uploads []string
	if wait := harness.Until(sweepLimit, "the end of all uploads", func() bool {
		uploads, err = w.S3.Uploads(ctx)
		return err != nil || len(uploads) == 0
	}); wait != nil {
		err = fmt.Errorf("uploads are left over: %q", uploads)
	}
	if err != nil {
		return nil, err
	}
	if w.Versioned {
		err = w.addOldVersions(ctx, contents)
	}
	return contents, err
}

// addOldVersions adds those versions that were replaced, if they are of
// interest and can only be found there.
func (w *World) addOldVersions(ctx context.Context, contents map[*Version]bool) error {
	missing := map[int64]bool{} // sizes
	for _, s := range w.Sides {
		for _, v := range w.hist.written(s.party) {
			if !contents[v] {
				missing[v.Size] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	versions, err := w.S3.Raw.Versions(ctx, "")
	if err != nil {
		return err
	}
	for _, o := range versions {
		k, _, known := w.keyOf(o.Key)
		if !known || o.Deleted || !missing[o.Size] {
			continue
		}
		_, body, err := w.S3.Raw.GetVersion(ctx, o.Key, o.Version)
		if err != nil {
			return err
		}
		found, err := w.identify(k, body)
		if err != nil {
			return fmt.Errorf("version %s of %s: %w", o.Version, o.Key, err)
		}
		for _, v := range found {
			contents[v] = true
		}
	}
	return nil
}

// account looks for the content that each mount wrote last to each key. In a
// bucket without versions it may be gone if others wrote there after it.
func (w *World) account(contents map[*Version]bool) {
	for _, s := range w.Sides {
		for key, v := range w.hist.written(s.party) {
			if !contents[v] && (w.Versioned || !w.hist.changedByOthers(s.party, key, w.hist.settledOthers(s.party, key))) {
				w.Violated("%s closed %s at %s, and it is nowhere", partyName(s.party), v, name(key))
			}
		}
	}
}

// decide ends all conflicts: the copies have been seen.
func (w *World) decide() error {
	for _, s := range w.Sides {
		status, out := s.M.Run(sendLimit, "conflicts", "list", "--json", s.dir)
		if status != 0 {
			return fmt.Errorf("list: status %d: %s", status, out)
		}
		var all []struct {
			ID, Original, Ours string
		}
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return fmt.Errorf("list: %w: %s", err, out)
		}
		w.Counts.Conflicts.Add(int64(len(all)))
		for _, x := range all {
			if strings.Count(x.Ours, "(conflict") != 1 || !strings.HasSuffix(x.Ours, ").dat") {
				return fmt.Errorf("a copy is called %q", x.Ours)
			}
			if status, out := s.M.Run(sendLimit, "conflicts", "keep-theirs", x.Ours); status != 0 {
				return fmt.Errorf("keep-theirs %+v: status %d: %s", x, status, out)
			}
		}
		if status, out := s.M.Run(sendLimit, "flush", s.dir); status != 0 {
			return fmt.Errorf("flush: status %d: %s", status, out)
		}
	}
	return nil
}

// converged looks whether both mounts show what is in the bucket.
func (w *World) converged() {
	for _, s := range w.Sides {
		for key := range w.Keys {
			want := w.hist.now(key)
			h, _ := s.open(key)
			if h == nil && want != nil && w.NegativeTTL > 0 { // a slow listing is believed longer
				_ = harness.Until(slowListing, name(key), func() bool { h, _ = s.open(key); return h != nil })
			}
			if h == nil {
				if want != nil {
					w.Violated("%s: %s is not there, the bucket has %s", partyName(s.party), name(key), want)
				}
				continue
			}
			for off := int64(0); off < h.size; off += 4 << 20 {
				s.look(h, off, 4<<20)
			}
			if len(h.can) != 1 || h.can[0] != want {
				w.Violated("%s: %s is %v, the bucket has %s", partyName(s.party), name(key), h.can, want)
			}
			s.end(h)
		}
		s.list(nil, 0)
	}
}
