package coherence

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorfs/moorfs/tests/harness"
)

// With --exclusive-create bucket exactly one of two mounts makes a file with
// O_EXCL, or a directory: of a hundred each, all raced for.
func TestExclusiveCreate(t *testing.T) {
	for _, s3 := range []*harness.S3{harness.Versity(t), harness.MinIO(t)} {
		t.Run(s3.Server.Name, func(t *testing.T) {
			w := New(t, Settings{S3: s3, AttrTTL: time.Minute, ListTTL: time.Minute, NegativeTTL: time.Minute, Keys: 2,
				Options: []string{"--exclusive-create", "bucket", "--write-back", "1h"}})
			var won [2]atomic.Int64
			race := func(what string, make func(path string) error) {
				var racers sync.WaitGroup
				names := rand.Perm(100)
				winners := [100]atomic.Int32{}
				for side := range w.Sides {
					for part := range 4 {
						racers.Go(func() {
							for i := part; i < len(names); i += 4 {
								n := names[i]
								err := make(w.Sides[side].M.Path(fmt.Sprintf("%s%d", what, n)))
								if err == nil {
									winners[n].Add(1)
									won[side].Add(1)
								} else if !errors.Is(err, os.ErrExist) {
									t.Errorf("%s%d: %v", what, n, err)
								}
							}
						})
					}
				}
				racers.Wait()
				for n := range winners {
					if got := winners[n].Load(); got != 1 {
						t.Errorf("%s%d was made %d times", what, n, got)
					}
				}
			}
			race("file", func(path string) error {
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
				if err != nil {
					return err
				}
				return f.Close()
			})
			race("dir", func(path string) error { return os.Mkdir(path, 0o755) })
			t.Logf("200 names, of which mount a made %d and mount b %d", won[0].Load(), won[1].Load())
			for _, s := range w.Sides {
				if err := s.M.Unmount(); err != nil {
					t.Fatal(err)
				}
			}
			if keys, err := s3.Raw.Keys(t.Context(), ""); err != nil || len(keys) != 200 {
				t.Errorf("the bucket has %d keys: %v", len(keys), err)
			}
		})
	}
}
