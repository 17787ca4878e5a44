package remotetest

import (
	"bytes"
	"context"
	"testing"

	"github.com/moorfs/moorfs/s3backend"
	"github.com/moorfs/moorfs/s3backend/s3test"
)

// TestClientMendsWhatTheNetworkBreaks lets one request of each operation go
// wrong in every way that another try can mend.
func TestClientMendsWhatTheNetworkBreaks(t *testing.T) {
	s := versity.Server(t)
	body := content(1, 200_000)
	use := func(c *contract) {
		c.put("k", body)
		o := c.holds("k", body)
		if got := len(c.list("", "")); got != 1 {
			c.failf("listed %d keys", got)
		}
		_, err := c.Copy(c.ctx, s3backend.Copy{From: o, To: "k", Meta: map[string]string{"a": "b"}})
		c.ok(err, "copy")
		c.ok(c.remove("k", ""), "delete")
		c.missing("k")
	}
	all := []string{"PutObject", "HeadObject", "GetObject", "ListObjectsV2", "CopyObject", "DeleteObject"}
	for name, fault := range map[string]struct {
		effect     s3test.Effect
		operations []string
	}{
		"slow down":      {s3test.SlowDown(), all},
		"internal error": {s3test.InternalError(), all},
		"refused":        {s3test.Refuse(), all},
		"answer lost":    {s3test.LoseAnswer(), all},
		"broken off":     {s3test.BreakAfter(100_000), []string{"GetObject"}},
		"cut short":      {s3test.Truncate(100_000), []string{"GetObject"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait before trying again
			proxy, client := behindProxy(t, s, s.NewBucket(t))
			for _, op := range fault.operations {
				proxy.Fault(s3test.Fault{Match: s3test.On(op), Times: 1, Effect: fault.effect})
			}
			if err := (check{run: use}).try(&contract{Remote: client, ctx: context.Background()}); err != nil {
				t.Error(err)
			}
			for _, op := range fault.operations {
				if n := proxy.Counts()[op]; n < 2 {
					t.Errorf("%s was asked for %d times", op, n)
				}
			}
		})
	}
}

// behindProxy returns a client of a bucket that reaches the server through a
// proxy.
func behindProxy(t *testing.T, s *s3test.Server, bucket string) (*s3test.Proxy, *s3backend.Client) {
	t.Helper()
	proxy, front := s.Proxy(t), *s
	front.URL = proxy.URL
	return proxy, connect(t, &front, s3backend.Options{Bucket: bucket})
}

// TestClientSeesWhatTheNetworkBreaks says what went wrong where no other try
// helps.
func TestClientSeesWhatTheNetworkBreaks(t *testing.T) {
	ctx, s := context.Background(), versity.Server(t)
	bucket := s.NewBucket(t)
	proxy, client := behindProxy(t, s, bucket)
	c := &contract{Remote: client, ctx: ctx}
	body := content(1, 200_000)
	if err := s.Raw(t, bucket).Put(ctx, "k", body, nil); err != nil {
		t.Fatal(err)
	}
	get := s3backend.Get{Key: "k", Range: s3backend.Range{Len: int64(len(body))}, Size: int64(len(body))}
	for name, want := range map[string]struct {
		effect s3test.Effect
		kind   s3backend.Kind
	}{
		"denied":       {s3test.Denied(), s3backend.Denied},
		"flipped byte": {s3test.FlipByte(70_000), s3backend.Corrupt},
	} {
		proxy.Heal()
		proxy.Fault(s3test.Fault{Match: s3test.On("GetObject"), Effect: want.effect})
		if _, err := c.read(get); s3backend.KindOf(err) != want.kind {
			t.Errorf("%s: get: %v", name, err)
		}
	}
	proxy.Heal()
	proxy.Fault(s3test.Fault{Effect: s3test.HTML()})
	if _, err := client.Put(ctx, s3backend.Put{Key: "k", Body: bytes.NewReader(nil)}); err == nil {
		t.Error("a page of HTML passes for a put")
	}
	if _, err := c.read(get); err == nil {
		t.Error("a page of HTML passes for content")
	}
	for e, err := range client.List(ctx, "", "") {
		if err == nil {
			t.Errorf("a page of HTML passes for a listing: %+v", e)
		}
	}
}
