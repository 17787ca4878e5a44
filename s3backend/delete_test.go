package s3backend

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/moorfs/moorfs/s3backend/s3test"
)

// A tree that is deleted leaves no directory at a server whose keys are paths,
// in whatever order its keys are named.
func TestDeletedTreeLeavesNoDirectory(t *testing.T) {
	c := live(t, s3test.Versity(t), Options{})
	c.Use(Capabilities{PutIf: true, CompleteIf: true, DeleteIf: true, Checksums: true, MD5ETag: true})
	for range 3 {
		var ds []Deletion
		for d := range 100 {
			top := fmt.Sprintf("d%d/", d)
			for _, key := range []string{top, top + "e/", top + "e/x"} {
				o, err := c.Put(t.Context(), Put{Key: key, Body: bytes.NewReader(nil)})
				if err != nil {
					t.Fatal(err)
				}
				ds = append(ds, Deletion{Key: key, If: Condition{Match: o.ETag}})
			}
		}
		for i, err := range c.Delete(t.Context(), ds...) {
			if err != nil {
				t.Errorf("%s: %v", ds[i].Key, err)
			}
		}
		for e, err := range c.List(t.Context(), "", "") {
			t.Errorf("left: %q (%v)", e.Key, err)
		}
	}
}
