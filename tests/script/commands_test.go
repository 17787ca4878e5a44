package script

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

// waitLimit is how long a script waits for what must come by itself.
const waitLimit = 20 * time.Second

// current is the bucket that a script works with.
type current struct {
	t  *testing.T
	s3 *harness.S3
}

func now(ts *testscript.TestScript) *current { return ts.Value(s3Key{}).(*current) }

// exits STATUS PROGRAM ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// bucket VERB ...
func bucket(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg && args[0] != "has" {
		ts.Fatalf("usage: [!] bucket ls|get|meta|put|rm|uploads|has ...")
	}
	raw, ctx := now(ts).s3.Raw, context.Background()
	arg := func(i int) string {
		if i >= len(args) {
			if args[0] == "ls" {
				return ""
			}
			ts.Fatalf("bucket %s: too few arguments", args[0])
		}
		return args[i]
	}
	switch args[0] {
	case "ls":
		keys, err := raw.Keys(ctx, arg(1))
		ts.Check(err)
		write(ts, lines(keys))
	case "get":
		_, body, err := raw.Get(ctx, arg(1))
		ts.Check(err)
		write(ts, string(body))
	case "meta":
		o, err := raw.Head(ctx, arg(1))
		ts.Check(err)
		write(ts, describe(o))
	case "put":
		put(ts, arg(1), arg(2), args[3:])
	case "rm":
		ts.Check(raw.Delete(ctx, arg(1)))
	case "uploads":
		keys, err := raw.Uploads(ctx, "")
		ts.Check(err)
		write(ts, lines(keys))
	case "has":
		has(ts, neg, arg(1))
	default:
		ts.Fatalf("bucket %s: unknown", args[0])
	}
}

// put writes an object with headers, user metadata as x-amz-meta-*.
func put(ts *testscript.TestScript, key, file string, headers []string) {
	s3 := now(ts).s3
	raw, err := s3test.NewRaw(s3.Server, s3.Bucket)
	ts.Check(err)
	raw.Header = http.Header{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, "=")
		raw.Header.Set(name, value)
	}
	ts.Check(raw.Put(context.Background(), key, []byte(ts.ReadFile(file)), nil))
}

func has(ts *testscript.TestScript, neg bool, key string) {
	raw := now(ts).s3.Raw
	var last error
	err := harness.Until(waitLimit, "bucket has "+key, func() bool {
		_, last = raw.Head(context.Background(), key)
		if last != nil && !s3test.IsNotFound(last) {
			return false
		}
		return (last == nil) != neg
	})
	if err != nil {
		ts.Fatalf("%v (wanted %v): %v", err, !neg, last)
	}
}

// describe prints an object's metadata and headers, one a line, sorted.
func describe(o s3test.RawObject) string {
	var all []string
	for name, v := range o.Meta {
		all = append(all, "meta "+name+"="+v)
	}
	for name, v := range o.Header {
		if !strings.HasPrefix(strings.ToLower(name), "x-amz-meta-") {
			all = append(all, strings.ToLower(name)+"="+strings.Join(v, ","))
		}
	}
	slices.Sort(all)
	return lines(all)
}

// mounted DIR [SOURCE]
func mounted(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] mounted DIR [SOURCE]")
	}
	dir := ts.MkAbs(args[0])
	var source string
	err := harness.Until(waitLimit, "mounted "+dir, func() bool {
		var ok bool
		source, ok = harness.Mounted(dir)
		return ok != neg
	})
	ts.Check(err)
	if len(args) > 1 && source != args[1] {
		ts.Fatalf("%s has the source %q, want %q", dir, source, args[1])
	}
}

// requests [reset]
func requests(ts *testscript.TestScript, _ bool, args []string) {
	proxy := now(ts).s3.Proxy
	if len(args) == 1 && args[0] == "reset" {
		proxy.Reset()
		return
	}
	counts := proxy.Counts()
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		write(ts, fmt.Sprintf("%s %d\n", name, counts[name]))
	}
}

// server NAME
func server(ts *testscript.TestScript, _ bool, args []string) {
	c := now(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: server minio|minio-tls")
	}
	switch args[0] {
	case "minio":
		c.s3 = harness.MinIO(c.t)
	case "minio-tls":
		c.s3 = harness.MinIOTLS(c.t)
	default:
		ts.Fatalf("server %s: unknown", args[0])
	}
	ts.Setenv("BUCKET", c.s3.Bucket)
	ts.Setenv("ENDPOINT", c.s3.Endpoint)
	ts.Setenv("MOORFS_ENDPOINT_URL", c.s3.Endpoint)
	for _, kv := range c.s3.Env() {
		name, value, _ := strings.Cut(kv, "=")
		ts.Setenv(name, value)
	}
}

// daemon SIGNAL DIR
func daemon(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	if len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: daemon KILL|TERM|INT DIR")
	}
	ts.Check(ts.Exec("moorfs", "status", args[1], "--json"))
	found := daemonPid.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("moorfs status names no pid")
	}
	pid, err := strconv.Atoi(found[1])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[0]]))
	ts.Check(harness.Until(waitLimit, "end of daemon "+found[1], func() bool {
		return !harness.Running(pid)
	}))
}

var daemonPid = regexp.MustCompile(`"pid":\s*(\d+)`)

// network off|on|slow
func network(ts *testscript.TestScript, _ bool, args []string) {
	s3 := now(ts).s3
	switch strings.Join(args, " ") {
	case "off":
		s3.Proxy.Offline(true)
	case "on":
		s3.Fair()
	case "slow":
		s3.Proxy.Slow(50*time.Millisecond, 1<<20)
	default:
		ts.Fatalf("usage: network off|on|slow")
	}
}

// deny METHOD
func deny(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: deny METHOD")
	}
	now(ts).s3.Proxy.Fault(s3test.Fault{
		Match:  func(r *http.Request) bool { return r.Method == args[0] },
		Effect: s3test.Denied(),
	})
}

func lines(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return strings.Join(s, "\n") + "\n"
}

func write(ts *testscript.TestScript, s string) {
	if _, err := ts.Stdout().Write([]byte(s)); err != nil {
		ts.Fatalf("%v", err)
	}
}
