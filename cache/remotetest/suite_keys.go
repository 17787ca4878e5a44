package remotetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/moorfs/moorfs/s3backend"
)

// oddKeys are keys that something on the way could take for something else.
var oddKeys = []struct{ name, key string }{
	{"control characters", "a\x01b\x1fc\x7f"},
	{"line ends", "a\nb\rc\td"},
	{"spaces", " a  b "},
	{"percent", "a%41%2F%zz%"},
	{"plus", "a+b c"},
	{"unicode", "grün/✓ 😀/日本"},
	{"decomposed unicode", "gru\u0308n"},
	{"markup", `<a href="x">&amp;'`},
	{"query", "a?b=c&d#e"},
	{"punctuation", "!*'();:@=$,[]{}|^`~\\"},
	{"double slash", "a//b"},
	{"dots", "a/../b/./c"},
	{"long", ""}, // 1024 bytes; see keyChecks
	{"leading slash", ""},
}

// keyChecks has a check for every odd key: it can be written, read, listed,
// copied and deleted.
func keyChecks() []check {
	checks := []check{}
	for _, odd := range oddKeys {
		checks = append(checks, check{"key/" + odd.name, func(c *contract) {
			key := c.root + odd.key
			switch odd.name {
			case "long":
				key += strings.Repeat(strings.Repeat("l", 200)+"/", 6)
				key = key[:1024]
			case "leading slash":
				key = "/" + c.root + "x"
			}
			useKey(c, key)
		}})
	}
	return checks
}

func useKey(c *contract, key string) {
	body := []byte("x")
	o := c.put(key, body)
	c.holds(key, body)
	got := c.list(key[:strings.LastIndexByte(key, '/')+1], "")
	if len(got) != 1 || got[0].Key != key {
		c.failf("listed %q", keysOf(got))
	}
	c.agree(got[0])
	_, err := c.Copy(c.ctx, s3backend.Copy{From: o, To: key, Meta: map[string]string{"copied": "yes"}})
	c.ok(err, "copy onto itself")
	if h := c.holds(key, body); !maps.Equal(h.Meta, map[string]string{"copied": "yes"}) {
		c.failf("metadata of the copy: %v", h.Meta)
	}
	second := c.root + "second"
	c.put(second, nil)
	for _, err := range c.Delete(c.ctx, s3backend.Deletion{Key: key}, s3backend.Deletion{Key: second}) {
		c.ok(err, "delete in a batch")
	}
	c.missing(key)
	c.put(key, body)
	c.ok(c.remove(key, ""), "delete alone")
	c.missing(key)
}

var togetherChecks = []check{
	{"together/different keys", togetherKeys},
	{"together/one creates", func(c *contract) { togetherCreate(c, small) }},
	{"together/one creates in parts", func(c *contract) { togetherCreate(c, c.part+10) }},
}

// rivals is how many calls run at a time in the checks of concurrency.
const rivals = 4

// togetherKeys lets several write, read and delete at once.
func togetherKeys(c *contract) {
	c.put(c.root+"anchor", nil) // versitygw races with itself where directories become empty
	var all sync.WaitGroup
	errs := make([]error, rivals)
	for i := range rivals {
		all.Go(func() {
			own := *c
			own.root = fmt.Sprintf("%s%d/", c.root, i)
			errs[i] = check{run: func(c *contract) {
				for n := range 5 {
					key, body := fmt.Sprintf("%s%d", c.root, n), content(uint64(n), int64(1000*i+n))
					c.put(key, body)
					o := c.holds(key, body)
					if got := len(c.list(c.root, "")); got != 1 {
						c.failf("listed %d keys", got)
					}
					c.ok(c.remove(key, o.ETag), "delete")
				}
			}}.try(&own)
		})
	}
	all.Wait()
	for _, err := range errs {
		c.ok(err, "several at once")
	}
}

// togetherCreate lets exactly one of several create a key.
func togetherCreate(c *contract, n int64) {
	key := c.root + "k"
	var all sync.WaitGroup
	var ready sync.WaitGroup // all have sent what they have before one may finish
	ready.Add(rivals)
	var winner atomic.Uint64
	errs := make([]error, rivals)
	for i := range rivals {
		all.Go(func() {
			arrive := sync.OnceFunc(ready.Done)
			defer arrive() // also if it fails before
			_, errs[i] = c.Put(c.ctx, s3backend.Put{
				Key: key, Body: bytes.NewReader(content(uint64(i), n)), Size: n, If: s3backend.Condition{Absent: true},
				Ready: func() error { arrive(); ready.Wait(); return nil },
			})
			if errs[i] == nil {
				winner.Add(uint64(i) + 1)
			}
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		c.kind(err, "put that came too late", s3backend.Changed)
	}
	if won != 1 {
		c.failf("%d of %d created the same key", won, rivals)
	}
	c.holds(key, content(winner.Load()-1, n))
	if left := slices.DeleteFunc(c.list(c.root, ""), func(e s3backend.Entry) bool { return e.Key == key }); len(left) > 0 {
		c.failf("left behind: %v", keysOf(left))
	}
	c.settled()
}
