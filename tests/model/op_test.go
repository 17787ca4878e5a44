package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A party is who does an operation: two machines, each with a cache or mount
// of its own, another client of the bucket, or nobody in particular.
type party byte

const (
	machineA party = 'A'
	machineB party = 'B'
	foreign  party = 'F'
	everyone party = '*'
)

// An op is one line of a program. Which fields count, the verb says.
type op struct {
	who  party
	verb string
	path string
	to   string
	h    int // one of the party's handles
	off  int64
	n    int64
	flag string
}

// handles is how many handles a machine has.
const handles = 3

// A verb is a kind of operation. args are the letters of its fields in their
// order: p path, q to, h handle, o off, n n, f flag.
type verb struct {
	args   string
	weight int
	who    string   // the kinds of party that do it: m machines, f the foreign client, * nobody in particular
	flags  []string // what flag can be
}

var modes = []string{"0644", "0600", "0755", "0400", "0000", "0777"}

// verbs are all operations. The weight says how often a random program has one.
var verbs = map[string]verb{
	"create":   {"phf", 40, "m", modes},
	"open":     {"phf", 40, "m", []string{"r", "rw", "rw", "a", "t"}},
	"read":     {"hon", 25, "m", nil},
	"write":    {"hon", 80, "m", nil},
	"resize":   {"hn", 12, "m", nil},
	"allocate": {"honf", 16, "m", []string{"punch", "zero", "zerokeep", "grow", "keep"}},
	"close":    {"h", 40, "m", nil},
	"fsync":    {"h", 12, "m", nil},
	"save":     {"pn", 110, "m", nil},
	"readfile": {"p", 40, "m", nil},
	"truncate": {"pn", 16, "m", nil},
	"rename":   {"pqf", 100, "m", []string{"-", "-", "-", "noreplace", "exchange"}},
	"unlink":   {"p", 50, "m", nil},
	"rmdir":    {"p", 25, "m", nil},
	"mkdir":    {"pf", 50, "m", modes},
	"symlink":  {"pq", 15, "m", nil},
	"mknod":    {"pf", 12, "m", []string{"fifo", "socket", "chr"}},
	"chmod":    {"pf", 25, "m", modes},
	"chown":    {"pn", 15, "m", nil},
	"utimens":  {"pn", 20, "m", nil},
	"setxattr": {"pnf", 20, "m", []string{"either", "create", "replace"}},
	"rmxattr":  {"p", 10, "m", nil},
	"stat":     {"p", 40, "m", nil},
	"fstat":    {"h", 15, "m", nil},
	"readdir":  {"p", 30, "m", nil},
	"flush":    {"", 45, "m", nil},
	"remount":  {"", 10, "m", nil},
	"evict":    {"", 14, "m", nil},
	"crash":    {"", 16, "m", nil},
	"offline":  {"", 8, "m", nil},
	"online":   {"", 16, "m", nil},
	"fault":    {"f", 30, "m", faults},
	"heal":     {"", 10, "m", nil},
	"put":      {"pn", 80, "f", nil},
	"delete":   {"p", 40, "f", nil},
	"settle":   {"", 22, "*", nil},
	"sleep":    {"n", 16, "*", nil},
}

// faults are what can become of the next request of a kind: it fails before,
// half-way or after it took effect; or it stalls until the daemon dies, having
// taken effect, never taking effect, or taking effect a little later.
var faults = []string{
	"put before", "put midway", "put after", "put stall", "put stall-done", "put stall-late",
	"copy before", "copy after", "copy stall", "copy stall-done", "copy stall-late",
	"delete before", "delete midway", "delete after", "delete stall", "delete stall-done", "delete stall-late",
}

func (o op) String() string {
	s := string(o.who) + " " + o.verb
	for _, arg := range verbs[o.verb].args {
		switch arg {
		case 'p':
			s += fmt.Sprintf(" %q", o.path)
		case 'q':
			s += fmt.Sprintf(" %q", o.to)
		case 'h':
			s += fmt.Sprintf(" h%d", o.h)
		case 'o':
			s += fmt.Sprintf(" at %d", o.off)
		case 'n':
			s += fmt.Sprintf(" %d", o.n)
		case 'f':
			s += " " + o.flag
		}
	}
	return s
}

// parseOp reads what String wrote.
func parseOp(line string) (o op, err error) {
	who, rest, _ := strings.Cut(line, " ")
	o.verb, rest, _ = strings.Cut(rest, " ")
	v, known := verbs[o.verb]
	if len(who) != 1 || !known {
		return o, fmt.Errorf("%q is no operation", line)
	}
	o.who = party(who[0])
	for _, arg := range v.args {
		if rest, err = o.parseArg(arg, strings.TrimPrefix(rest, " ")); err != nil {
			return o, fmt.Errorf("%q: %w", line, err)
		}
	}
	if rest != "" || v.flags != nil && !slices.Contains(v.flags, o.flag) || o.h < 0 || o.h >= handles {
		return o, fmt.Errorf("%q: arguments that %s does not have", line, o.verb)
	}
	return o, nil
}

func (o *op) parseArg(arg rune, rest string) (string, error) {
	if arg == 'f' {
		o.flag = rest
		return "", nil
	}
	if arg == 'p' || arg == 'q' {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", err
		}
		to := &o.path
		if arg == 'q' {
			to = &o.to
		}
		*to, err = strconv.Unquote(quoted)
		return rest[len(quoted):], err
	}
	word, after, _ := strings.Cut(strings.TrimPrefix(rest, "at "), " ")
	n, err := strconv.ParseInt(strings.TrimPrefix(word, "h"), 10, 64)
	switch arg {
	case 'h':
		o.h = int(n)
	case 'o':
		o.off = n
	case 'n':
		o.n = n
	}
	return after, err
}
