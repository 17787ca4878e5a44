package cache

import (
	"context"
	"testing"
	"time"
)

// A key that changes while a worker finds that it has to wait is looked at
// again: what it would wait for may by now wait for it.
func TestWaitThatIsNoLongerTrue(t *testing.T) {
	t.Parallel()
	for _, told := range []map[string]poke{{"a": {}}, {"b": {passed: true}}} {
		looks := 0 // at a
		ctx, cancel := context.WithCancel(t.Context())
		var q *queue
		q = newQueue(ctx, func(_ context.Context, tasks []task) map[string]outcome {
			out := map[string]outcome{}
			for _, task := range tasks {
				switch {
				case task.key == "a" && looks == 0:
					looks++
					q.tell(told)
					out["a"] = outcome{after: "b"}
				case task.key == "a":
					looks++
					out["a"] = outcome{settled: true}
				case looks < 2:
					out["b"] = outcome{after: "a"}
				default:
					out["b"] = outcome{settled: true}
				}
			}
			return out
		}, 1)
		go q.run()
		q.tell(map[string]poke{"a": {}, "b": {}})
		select {
		case <-q.waitFor(nil).done:
		case <-time.After(10 * time.Second):
			t.Errorf("told of %v: both wait", told)
		}
		cancel()
		q.wait()
	}
}
