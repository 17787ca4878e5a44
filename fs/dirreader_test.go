package fs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moorfs/moorfs/cache"
)

// TestOpenDirAnswersAgain reads as the kernel does: answers of any size, of
// which it uses a part, while the directory changes.
func TestOpenDirAnswersAgain(t *testing.T) {
	for range 50 {
		f := fakeNames(700)
		d := &openDir{stream: newDirStream(f, 9)}
		stay := slices.Clone(f.names)
		var got []string
		for at, ended := uint64(0), false; !ended; {
			var answer []dirEntry
			room := 1 + rand.IntN(100)
			err := d.answer(t.Context(), at, func(e dirEntry) bool {
				if len(answer) < room {
					answer = append(answer, e)
					return true
				}
				return false
			})
			if err != nil {
				t.Fatal(err)
			}
			ended = len(answer) == 0
			for _, e := range answer[:min(len(answer), 1+rand.IntN(100))] {
				got, at = append(got, e.Name), e.offset
			}
			f.insert(fmt.Sprintf("n%07d+%d", rand.IntN(700), f.clock))
		}
		seen := map[string]int{}
		for _, name := range got {
			if seen[name]++; seen[name] > 1 {
				t.Fatalf("%q comes twice", name)
			}
		}
		for _, name := range append(stay, ".", "..") {
			if seen[name] == 0 {
				t.Fatalf("%q is missing", name)
			}
		}
	}
}

func TestOpenDirErrorLosesNothing(t *testing.T) {
	f := fakeNames(dirBatch + 10)
	d := &openDir{stream: newDirStream(f, 9)}
	var got []string
	add := func(e dirEntry) bool {
		if got = append(got, e.Name); len(got) == 100 {
			f.err = cache.ErrStale
		}
		return true
	}
	if err := d.answer(t.Context(), 0, add); err != nil || len(got) != dirBatch+2 {
		t.Fatalf("%d names, %v", len(got), err)
	}
	if err := d.answer(t.Context(), d.at, add); err == nil {
		t.Fatal("the error is lost")
	}
	f.err = nil
	if err := d.answer(t.Context(), d.at, add); err != nil || len(got) != dirBatch+12 {
		t.Fatalf("%d names, %v", len(got), err)
	}
}
