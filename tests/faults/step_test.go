package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// A step is one fault in a directory of its own.
type step struct {
	*lane
	dir string
	f   *fault // nil: none

	mu   sync.Mutex
	want map[string][]byte // what the bucket must hold below dir, by name
}

// text returns n bytes that belong to a name alone.
func text(name string, n int) []byte {
	r := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", name))))
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

const (
	small = 40_000
	big   = 6 << 20 // two parts
)

// run has files used while the fault is there, and checks what has become of
// them afterwards.
func (s *step) run() {
	l, f := s.lane, s.f
	if err := s.know(); err != nil {
		s.wrong("%v", err)
		return
	}
	began, before := time.Now(), l.s3.Proxy.Injected()
	if f != nil {
		rule := s3test.Fault{Effect: f.effect, Times: f.times}
		if len(f.on) > 0 {
			rule.Match = s3test.On(f.on...)
		}
		l.s3.Proxy.Fault(rule)
	}
	s.use()
	hits := func() bool { return l.s3.Proxy.Injected() > before }
	if f != nil {
		if err := harness.Until(prompt, "the fault to hit", hits); err != nil {
			s.wrong("%v", err)
		}
	}
	l.s3.Proxy.Heal()
	healed, hit := time.Now(), l.s3.Proxy.Injected()-before
	l.sum.injected.Add(int64(hit))
	s.check()
	l.t.Logf("lane %d: %s: %d requests hit; used for %v, settled after %v", l.n, s.title(), hit,
		healed.Sub(began).Round(100*time.Millisecond), time.Since(healed).Round(100*time.Millisecond))
}

func (s *step) title() string {
	if s.f == nil {
		return "no fault"
	}
	return s.f.name
}

func (s *step) wrong(format string, args ...any) {
	s.t.Helper()
	s.violation("%s (%s): %s", s.title(), s.dir, fmt.Sprintf(format, args...))
}

// prepare puts the files into the bucket.
func (s *step) prepare() error {
	s.want = map[string][]byte{}
	ctx := context.Background()
	for _, name := range []string{"read", "cached", "over", "old", "gone", "list/a", "list/b", "list/c"} {
		body := text(s.dir+"/"+name, small)
		s.want[name] = body
		if err := s.s3.Raw.Put(ctx, s.dir+"/"+name, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// know has the mount know the names of the files, and one content.
func (s *step) know() error {
	known := func() error {
		if _, err := os.Stat(s.m.Path(s.dir)); err != nil {
			return err
		}
		entries, err := os.ReadDir(s.m.Path(s.dir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if _, err := e.Info(); err != nil {
				return err
			}
		}
		_, err = os.ReadFile(s.m.Path(s.dir, "cached"))
		return err
	}
	var err error
	if late := harness.Until(settled, "the directory", func() bool { err = known(); return err == nil }); late != nil {
		return errors.Join(late, err)
	}
	return nil
}

// use does everything at once.
func (s *step) use() {
	var all sync.WaitGroup
	for name, do := range map[string]func() error{
		"read a cached file": func() error { return s.holds("cached") },
		"read":               func() error { return s.allowed(s.holds("read")) },
		"list":               func() error { return s.allowed(s.lists("list", "a", "b", "c")) },
		"write":              func() error { return s.write("new", small) },
		"write a large file": func() error { return s.write("large", big) },
		"overwrite":          func() error { return s.write("over", small+1) },
		"rename": func() error {
			return s.acknowledge(os.Rename(s.m.Path(s.dir, "old"), s.m.Path(s.dir, "renamed")), func() {
				s.want["renamed"] = s.want["old"]
				delete(s.want, "old")
			})
		},
		"delete": func() error {
			return s.acknowledge(os.Remove(s.m.Path(s.dir, "gone")), func() { delete(s.want, "gone") })
		},
	} {
		all.Go(func() {
			s.sum.operations.Add(1)
			began := time.Now()
			err := s.m.Within(4*prompt, name, do)
			if err != nil {
				s.wrong("%s: %v", name, err)
			}
			if took := time.Since(began); took > prompt {
				s.wrong("%s took %v", name, took)
			}
		})
	}
	all.Wait()
}

// holds compares a file with what it must hold. errOther marks other bytes.
func (s *step) holds(name string) error {
	got, err := os.ReadFile(s.m.Path(s.dir, name))
	s.mu.Lock()
	want := s.want[name]
	s.mu.Unlock()
	if err != nil {
		if !bytes.HasPrefix(want, got) {
			return fmt.Errorf("%d wrong bytes before %w", len(got), errOther)
		}
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes instead of %d: %w", len(got), len(want), errOther)
	}
	return nil
}

var errOther = errors.New("other bytes than the object's")

func (s *step) lists(name string, want ...string) error {
	entries, err := os.ReadDir(s.m.Path(s.dir, name))
	if err != nil {
		return err
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%q instead of %q", got, want)
	}
	return nil
}

// allowed forgives the errors that the fault may show as.
func (s *step) allowed(err error) error {
	var errno syscall.Errno
	if s.f != nil && errors.As(err, &errno) && slices.Contains(s.f.sees, errno) {
		return nil
	}
	return err
}

func (s *step) write(name string, n int) error {
	body := text(s.dir+"/"+name+" anew", n)
	return s.acknowledge(os.WriteFile(s.m.Path(s.dir, name), body, 0o644), func() { s.want[name] = body })
}

// acknowledge notes what a change that succeeded has to become.
func (s *step) acknowledge(err error, change func()) error {
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		change()
	}
	return err
}

// check waits until everything is in the bucket and looks there, and at the
// mount.
func (s *step) check() {
	flush := func() error {
		if status, out := s.m.Run(settled, "flush", s.m.Dir); status != 0 {
			return fmt.Errorf("flush: status %d: %s", status, out)
		}
		return nil
	}
	if err := flush(); err != nil {
		s.wrong("after the fault: %v", err)
		return
	}
	ctx := context.Background()
	got, err := s.s3.Objects(ctx, s.dir+"/")
	if err != nil {
		s.wrong("%v", err)
		return
	}
	have := map[string][]byte{}
	for key, body := range got {
		have[strings.TrimPrefix(key, s.dir+"/")] = body
	}
	if !maps.EqualFunc(have, s.want, bytes.Equal) {
		s.wrong("the bucket has %q, want %q, or other bytes", slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(s.want)))
	}
	if left, err := s.s3.Uploads(ctx); err != nil || len(left) > 0 {
		s.wrong("uploads left: %q, %v", left, err)
	}
	for name := range s.want {
		var err error
		late := harness.Until(settled, name, func() bool { // a slow machine may take its time
			err = s.m.Within(4*prompt, name, func() error { return s.holds(name) })
			return !errors.Is(err, syscall.ETIMEDOUT)
		})
		if err != nil {
			s.wrong("afterwards: %v", errors.Join(err, late))
		}
	}
	if err := s.lists("", "cached", "large", "list", "new", "over", "read", "renamed"); err != nil {
		s.wrong("afterwards the directory has %v", err)
	}
}
