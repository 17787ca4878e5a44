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
