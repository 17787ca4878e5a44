package s3backend

import (
	"bytes"
	"io"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// What was replaced or deleted can be had by its ETag where the bucket keeps
// versions; where it does not, it has changed.
func TestGetOfThePast(t *testing.T) {
	for _, start := range []func(s3test.TB) *s3test.Server{s3test.Versity, s3test.MinIO} {
		s := start(t)
		for _, versioned := range []bool{true, false} {
			name := s.Name
			o := Options{}
			if versioned {
				name += ", versioned"
				o.Bucket = s.NewVersionedBucket(t)
			}
			t.Run(name, func(t *testing.T) {
				c := live(t, s, o)
				for _, key := range []string{"a b+c", "a b+c d", "deleted"} {
					old := []byte("old " + key)
					first := mustPut(t, c, key, old)
					if key == "deleted" {
						if errs := c.Delete(t.Context(), Deletion{Key: key}); errs[0] != nil {
							t.Fatal(errs[0])
						}
					} else {
						mustPut(t, c, key, []byte("newer"))
					}
					r, err := c.Get(t.Context(), Get{Key: key, At: first.ETag, Past: true, Range: Range{Len: int64(len(old))}, Size: int64(len(old))})
					if !versioned {
						if KindOf(err) != Changed {
							t.Errorf("%q: error %v", key, err)
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(r)
					if err != nil || r.Close() != nil || !bytes.Equal(got, old) {
						t.Errorf("%q is %q, error %v", key, got, err)
					}
				}
			})
		}
	}
}

func mustPut(t *testing.T, c *Client, key string, body []byte) Object {
	t.Helper()
	o, err := c.Put(t.Context(), Put{Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return o
}
