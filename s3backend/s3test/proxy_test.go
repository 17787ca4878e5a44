package s3test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"
)

// through returns a client of a new bucket behind a new proxy, and one that
// goes straight to the server.
func through(t *testing.T) (proxy *Proxy, via, direct *Raw) {
	t.Helper()
	s := versity.Server(t)
	proxy, bucket := s.Proxy(t), s.NewBucket(t)
	via, direct = s.Raw(t, bucket), s.Raw(t, bucket)
	via.url = proxy.URL
	return proxy, via, direct
}

func TestProxyPassesOnAndCounts(t *testing.T) {
	for _, shared := range []*Shared{versity, minioTLS} {
		ctx, s := context.Background(), shared.Server(t)
		proxy, raw := s.Proxy(t), s.Raw(t, s.NewBucket(t))
		raw.url = proxy.URL
		body := bytes.Repeat([]byte("0123456789"), 100_000)
		if err := raw.Put(ctx, "a +%/ü", body, nil); err != nil {
			t.Fatal(err)
		}
		if _, got, err := raw.Get(ctx, "a +%/ü"); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if _, err := raw.Keys(ctx, ""); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"PutObject": 1, "GetObject": 1, "ListObjectsV2": 1}
		if got := proxy.Counts(); !maps.Equal(got, want) {
			t.Errorf("counts %v, want %v", got, want)
		}
		proxy.Reset()
		if got := proxy.Counts(); len(got) != 0 {
			t.Errorf("counts after Reset: %v", got)
		}
	}
}

func TestFaults(t *testing.T) {
	ctx := context.Background()
	proxy, via, direct := through(t)
	if err := direct.Put(ctx, "k", []byte("0123456789"), nil); err != nil {
		t.Fatal(err)
	}
	status := func(want int) func([]byte, error) bool {
		return func(_ []byte, err error) bool {
			var e *RawError
			return errors.As(err, &e) && e.Status == want
		}
	}
	body := func(want string) func([]byte, error) bool {
		return func(b []byte, err error) bool { return err == nil && string(b) == want }
	}
	broken := func(_ []byte, err error) bool { return err != nil && !errors.As(err, new(*RawError)) }
	for name, c := range map[string]struct {
		effect Effect
		holds  func([]byte, error) bool
	}{
		"refuse":         {Refuse(), broken},
		"lose answer":    {LoseAnswer(), broken},
		"break":          {BreakAfter(4), func(_ []byte, err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"truncate":       {Truncate(4), body("0123")},
		"flip":           {FlipByte(2), body("01g3456789")},
		"slow down":      {SlowDown(), status(http.StatusServiceUnavailable)},
		"internal error": {InternalError(), status(http.StatusInternalServerError)},
		"denied":         {Denied(), status(http.StatusForbidden)},
		"html":           {HTML(), func(b []byte, err error) bool { return err == nil && bytes.HasPrefix(b, []byte("<html>")) }},
		"delay":          {Delay(time.Millisecond), body("0123456789")},
		"drip":           {Drip(time.Millisecond), body("0123456789")},
		"shorter":        {Length(-4), body("012345")},
		"longer":         {Length(4), func(_ []byte, err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
	} {
		proxy.Heal()
		proxy.Fault(Fault{Match: On("GetObject"), Skip: 1, Times: 1, Effect: c.effect})
		for i := range 3 {
			holds := body("0123456789")
			if i == 1 {
				holds = c.holds
			}
			// net/http tries again by itself when a connection that it reuses is reset.
			via.client.CloseIdleConnections()
			if _, got, err := via.Get(ctx, "k"); !holds(got, err) {
				t.Errorf("%s: get %d: %q, %v", name, i, got, err)
			}
		}
	}
}

func TestLostAnswersAreOfAppliedRequests(t *testing.T) {
	ctx := context.Background()
	proxy, via, direct := through(t)
	proxy.Fault(Fault{Match: On("PutObject"), Effect: LoseAnswer()})
	if err := via.Put(ctx, "lost", []byte("x"), nil); err == nil {
		t.Error("the answer was not lost")
	}
	if _, err := direct.Head(ctx, "lost"); err != nil {
		t.Errorf("the request was not applied: %v", err)
	}
	proxy.Heal()
	proxy.Fault(Fault{Match: On("PutObject"), Effect: Refuse()})
	if err := via.Put(ctx, "refused", []byte("x"), nil); err == nil {
		t.Error("the request was not refused")
	}
	if _, err := direct.Head(ctx, "refused"); !IsNotFound(err) {
		t.Errorf("the request was applied: %v", err)
	}
}

func TestOffline(t *testing.T) {
	ctx := context.Background()
	proxy, via, _ := through(t)
	for _, offline := range []bool{false, true, false} {
		proxy.Offline(offline)
		_, err := via.Head(ctx, "none")
		if IsNotFound(err) == offline {
			t.Errorf("offline %v: %v", offline, err)
		}
	}
}

func TestSlow(t *testing.T) {
	ctx := context.Background()
	proxy, via, _ := through(t)
	proxy.Slow(20*time.Millisecond, 10_000_000)
	took := func(f func() error) time.Duration {
		t.Helper()
		begin := time.Now()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		return time.Since(begin)
	}
	body := make([]byte, 1_000_000)
	// 20 ms of latency and 100 ms for the body.
	if d := took(func() error { return via.Put(ctx, "k", body, nil) }); d < 120*time.Millisecond {
		t.Errorf("put took %v", d)
	}
	if d := took(func() error { _, _, err := via.Get(ctx, "k"); return err }); d < 120*time.Millisecond {
		t.Errorf("get took %v", d)
	}
	proxy.Slow(0, 0)
}
