package remotetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/moorfs/moorfs/s3backend"
)

var listChecks = []check{
	{"list/levels", listLevels},
	{"list/object and prefix of one name", listBoth},
	{"list/marker", listMarker},
	{"list/after", listAfter},
	{"list/page", listPage},
}

var manyChecks = []check{{"many/list and delete", listMany}}

// listLevels shows one level in byte order: objects with their attributes,
// common prefixes once, and the object at the prefix itself.
func listLevels(c *contract) {
	keys := []string{"d/", "d/a", "d/a-b", "d/a0/x", "d/a0/y/z", "d/b/c", "d/é", "e", "d.x", "d/B"}
	for i, key := range keys {
		body := content(uint64(i), int64(i))
		if strings.HasSuffix(key, "/") {
			body = nil
		}
		c.put(c.root+key, body)
	}
	want := []string{"d/", "d/B", "d/a", "d/a-b", "d/a0/", "d/b/", "d/é"}
	got := c.list(c.root+"d/", "")
	for i := range want {
		want[i] = c.root + want[i]
	}
	if !slices.Equal(keysOf(got), want) {
		c.failf("listed %q, want %q", keysOf(got), want)
	}
	for i, e := range got {
		if wantPrefix := i == 4 || i == 5; e.Prefix != wantPrefix {
			c.failf("entry %+v", e)
		}
		if !strings.HasSuffix(e.Key, "/") {
			c.agree(e)
		}
	}
	if got := c.list(c.root+"none/", ""); len(got) != 0 {
		c.failf("listed %q under a prefix that is not there", keysOf(got))
	}
	if got := keysOf(c.list(c.root, "")); !slices.Equal(got, []string{c.root + "d.x", c.root + "d/", c.root + "e"}) {
		c.failf("listed %q at the top", got)
	}
}

// agree ends the check unless Head says of an object what its entry does.
func (c *contract) agree(e s3backend.Entry) {
	o, err := c.Head(c.ctx, e.Key)
	c.ok(err, "head")
	if e.Prefix || e.Size != o.Size || e.ETag != o.ETag || e.Modified.Unix() != o.Modified.Unix() || e.Modified.IsZero() {
		c.failf("entry %+v, object %+v", e, o)
	}
}

// listMarker shows the marker of a directory as the object it is.
func listMarker(c *contract) {
	c.put(c.root, nil)
	got := c.list(c.root, "")
	if len(got) != 1 || got[0].Key != c.root {
		c.failf("listed %q", keysOf(got))
	}
	c.agree(got[0])
}

// listBoth shows an object and the prefix of its name, which need not be
// neighbours.
func listBoth(c *contract) {
	for _, key := range []string{"x", "x-y", "x/y"} {
		c.put(c.root+key, []byte("1"))
	}
	if got := keysOf(c.list(c.root, "")); !slices.Equal(got, []string{c.root + "x", c.root + "x-y", c.root + "x/"}) {
		c.failf("listed %q", got)
	}
}

// listAfter lists what comes after a key, which need not exist, and after a
// common prefix.
func listAfter(c *contract) {
	for _, key := range []string{"a", "b/1", "b/2", "c", "d"} {
		c.put(c.root+key, nil)
	}
	for after, want := range map[string]string{"": "a b/ c d", "a": "b/ c d", "a0": "b/ c d", "b/": "c d", "c": "d", "d": ""} {
		if after != "" {
			after = c.root + after
		}
		got := strings.ReplaceAll(strings.Join(keysOf(c.list(c.root, after)), " "), c.root, "")
		if got != want {
			c.failf("after %q: %q, want %q", after, got, want)
		}
	}
}

// listPage lists so many entries and says whether there are more.
func listPage(c *contract) {
	for _, key := range []string{"a", "b/1", "b/2", "c"} {
		c.put(c.root+key, nil)
	}
	for _, page := range []struct {
		after, want string
		limit       int
		more        bool
	}{
		{"", "a", 1, true},
		{"", "a b/", 2, true},
		{"", "a b/ c", 3, false},
		{"", "a b/ c", 1000, false},
		{"a", "b/", 1, true},
		{"c", "", 1, false},
	} {
		after := page.after
		if after != "" {
			after = c.root + after
		}
		entries, more, err := c.ListPage(c.ctx, c.root, after, page.limit)
		c.ok(err, "list page")
		got := strings.ReplaceAll(strings.Join(keysOf(entries), " "), c.root, "")
		if got != page.want || more != page.more {
			c.failf("%d after %q: %q, more %v; want %+v", page.limit, page.after, got, more, page)
		}
	}
}

// listMany lists more entries than come in two pages, all and from the middle,
// and deletes more than fit in a batch.
func listMany(c *contract) {
	const total, batch = 2500, 1500
	keys := make([]string, total)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%04d", c.root, i)
	}
	c.fill(keys)
	if got := keysOf(c.list(c.root, "")); !slices.Equal(got, keys) {
		c.failf("listed %d of %d keys, or out of order", len(got), total)
	}
	if got := keysOf(c.list(c.root, keys[1200])); !slices.Equal(got, keys[1201:]) {
		c.failf("listed %d of %d keys from the middle", len(got), total-1201)
	}
	seen := 0
	for _, err := range c.List(c.ctx, c.root, "") {
		c.ok(err, "list")
		if seen++; seen == 3 {
			break
		}
	}
	ds := []s3backend.Deletion{}
	for _, key := range keys[:batch] {
		ds = append(ds, s3backend.Deletion{Key: key})
	}
	for _, err := range c.Delete(c.ctx, ds...) {
		c.ok(err, "delete")
	}
	if got := keysOf(c.list(c.root, "")); !slices.Equal(got, keys[batch:]) {
		c.failf("%d keys are left, want %d", len(got), total-batch)
	}
}

// fill puts empty objects, several at a time.
func (c *contract) fill(keys []string) {
	const workers = 8
	errs := make(chan error, workers)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for j := i; j < len(keys); j += workers {
				if _, err := c.Put(c.ctx, s3backend.Put{Key: keys[j], Body: strings.NewReader("")}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		c.ok(err, "put")
	}
}
