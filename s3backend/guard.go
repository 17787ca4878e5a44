package s3backend

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// guarded returns what fn returns. A panic in it, which in a goroutine of ours
// would end the process, becomes an error; its stack is logged.
func (c *Client) guarded(cl call, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log := c.opts.Log
			if log == nil {
				log = slog.Default()
			}
			log.Error("s3: panic; the request fails", "op", cl.op, "key", cl.key, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = &Error{Op: cl.op, Key: cl.key, Kind: Other, Err: fmt.Errorf("a fault of moorfs: %v", v)}
		}
	}()
	return fn()
}
