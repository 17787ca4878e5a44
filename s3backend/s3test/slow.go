package s3test

import (
	"context"
	"net"
	"time"
)

// A slowListener makes its connections keep to the proxy's bandwidth.
type slowListener struct {
	net.Listener
	proxy *Proxy
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: c, proxy: l.proxy}, nil
}

type slowConn struct {
	net.Conn
	proxy      *Proxy
	read, sent pace
}

func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.keep(n, c.rate())
	return n, err
}

func (c *slowConn) Write(b []byte) (int, error) {
	const piece = 256 << 10 // so that a large write does not come as one burst
	total := 0
	for {
		n, err := c.Conn.Write(b[:min(len(b), piece)])
		total += n
		c.sent.keep(n, c.rate())
		if b = b[n:]; err != nil || len(b) == 0 {
			return total, err
		}
	}
}

func (c *slowConn) rate() int64 {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.proxy.bandwidth
}

// A pace is the time before which the bytes so far may not have been through.
type pace struct{ due time.Time }

func (p *pace) keep(n int, rate int64) {
	if rate <= 0 || n <= 0 {
		return
	}
	if now := time.Now(); p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(int64(n) * int64(time.Second) / rate))
	_ = pause(context.Background(), time.Until(p.due))
}
