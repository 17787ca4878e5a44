package model

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// A program is what is run: settings and operations.
type program struct {
	settings settings
	ops      []op
}

// settings are how the caches of a program are configured. They decide how
// things are done, never what is seen.
type settings struct {
	two       bool          // machine B takes part
	small     bool          // caches hold little: files are evicted while others are written
	one       bool          // one upload at a time
	list      bool          // attributes are never asked for (one machine only)
	bucket    bool          // close and fsync wait for the bucket
	eager     bool          // no write-back delay
	versioned bool          // the bucket keeps old versions
	sealed    bool          // every write has an ETag of its own
	ttl       time.Duration // of listings and attributes; 0: always ask

	mounts bool // real ones; not a part of a program
}

// owner is who makes files on the machines.
func (s settings) owner() attr {
	if s.mounts {
		return attr{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	}
	return attr{uid: 7, gid: 8}
}

// isolation is the lifetime of what machines know when two take part: until
// then each sees its own changes alone.
const isolation = time.Minute

// settingFlags are the settings by name.
func (s *settings) flags() map[string]*bool {
	return map[string]*bool{"two": &s.two, "small": &s.small, "one": &s.one, "list": &s.list, "bucket": &s.bucket,
		"eager": &s.eager, "versioned": &s.versioned, "sealed": &s.sealed}
}

func (s settings) String() string {
	words := []string{"settings"}
	flags := s.flags()
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if *flags[name] {
			words = append(words, name)
		}
	}
	if s.ttl == 0 {
		words = append(words, "ask")
	}
	return strings.Join(words, " ")
}

func parseSettings(line string) (settings, error) {
	s := settings{ttl: isolation}
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "settings" {
		return s, fmt.Errorf("%q: a program begins with its settings", line)
	}
	flags := s.flags()
	for _, word := range words[1:] {
		switch flag := flags[word]; {
		case word == "ask":
			s.ttl = 0
		case flag == nil:
			return s, fmt.Errorf("%q is no setting", word)
		default:
			*flag = true
		}
	}
	return s, nil
}

func (p program) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, p.settings)
	for _, o := range p.ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// parseProgram reads what String wrote; empty lines and those that begin with
// # do not count.
func parseProgram(text string) (p program, err error) {
	first := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if first {
			first = false
			if p.settings, err = parseSettings(line); err != nil {
				return p, err
			}
			continue
		}
		o, err := parseOp(line)
		if err != nil {
			return p, err
		}
		p.ops = append(p.ops, o)
	}
	if first {
		return p, fmt.Errorf("an empty program")
	}
	return p, nil
}

// opBytes is how many bytes of a decoded string make an operation.
const opBytes = 6

// decode makes a program of any bytes.
func decode(b []byte) program {
	var head [2]byte
	b = b[copy(head[:], b):]
	p := program{settings: decodeSettings(head)}
	for len(b) > 0 {
		var chunk [opBytes]byte
		b = b[copy(chunk[:], b):]
		p.ops = append(p.ops, decodeOp(p.settings, chunk))
	}
	return p
}

func decodeSettings(b [2]byte) settings {
	bit := func(i int) bool { return b[0]>>i&1 == 1 }
	s := settings{two: bit(0), small: bit(1), one: bit(2), eager: bit(3), versioned: bit(4), sealed: bit(5) && bit(6),
		bucket: b[1]%8 == 0, ttl: isolation}
	s.list = b[1]%4 == 1 && !s.two
	if b[1]%4 == 2 {
		s.ttl = 0
	}
	return s
}

// verbTable holds each verb as often as its weight says, for one kind of party.
func verbTable(kind string) []string {
	var table []string
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		if verbs[name].who == kind {
			table = append(table, slices.Repeat([]string{name}, verbs[name].weight)...)
		}
	}
	return table
}

var (
	machineVerbs = verbTable("m")
	foreignVerbs = verbTable("f")
	worldVerbs   = verbTable("*")
)

// paths are those that programs use: few, so that operations meet.
var paths = []string{
	"a", "a", "b", "b", "c", "d", "d", "e", "d/a", "d/a", "d/b", "d/c", "e/a", "e/b", "d/e", "d/e/a", "d/e/b", "e/d", "e/d/a",
	"a/b", "d/a/c", "n/x", "n/m/y", "ü b.txt", "d/%41", "e/x~", "",
	strings.Repeat("l", 255), "d/" + strings.Repeat("m", 256),
}

func decodeOp(s settings, b [opBytes]byte) op {
	o := op{path: paths[int(b[2])%len(paths)], to: paths[int(b[3])%len(paths)], h: int(b[3]) % handles}
	pick := int(b[0]) | int(b[1]&0x0f)<<8
	switch who := b[1] >> 4; {
	case who == 0:
		o.who, o.verb = everyone, worldVerbs[pick%len(worldVerbs)]
	case who <= 2:
		o.who, o.verb = foreign, foreignVerbs[pick%len(foreignVerbs)]
	case who <= 8 && s.two:
		o.who, o.verb = machineB, machineVerbs[pick%len(machineVerbs)]
	default:
		o.who, o.verb = machineA, machineVerbs[pick%len(machineVerbs)]
	}
	v := verbs[o.verb]
	o.off, o.n = size(b[4]), size(b[5])
	if len(v.flags) > 0 {
		o.flag = v.flags[int(b[4])%len(v.flags)]
	}
	return o
}

// size spreads a byte over sizes up to 260 KiB, mostly small.
func size(b byte) int64 {
	switch {
	case b < 128:
		return int64(b) * 7
	case b < 224:
		return int64(b-128) * 517
	}
	return int64(b-224) * 8600
}
