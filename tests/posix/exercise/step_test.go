package exercise

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// An action is what a step does: a system call, several that belong together,
// or something that happens to the mount.
type action string

const (
	open      action = "open"     // File into slot H, How as in openModes
	closing   action = "close"    // slot H
	read      action = "read"     // N bytes at Off
	write     action = "write"    // N bytes of Fill at Off; at the end if the slot appends
	resize    action = "resize"   // ftruncate slot H to N
	truncate  action = "truncate" // File to N
	punch     action = "punch"    // a hole of N bytes at Off
	zero      action = "zero"     // N zeros at Off; How "keep": the size stays
	allocate  action = "allocate" // N bytes at Off; How "keep": the size stays
	duplicate action = "copy"     // copy_file_range from H at Off to To at Into, N bytes
	holes     action = "holes"    // SEEK_DATA and SEEK_HOLE through all of slot H
	fsync     action = "fsync"    // How "data": fdatasync
	mmap      action = "mmap"     // N bytes at Off of slot H into map M, How as in mapKinds
	load      action = "load"     // read N bytes at Off of map M
	store     action = "store"    // write N bytes of Fill at Off of map M
	msync     action = "msync"
	munmap    action = "munmap"
	rename    action = "rename"   // File to Name
	exchange  action = "exchange" // File with Name
	unlink    action = "unlink"
	stat      action = "stat"
	whole     action = "whole" // read File from beginning to end, N bytes at a time

	flush   action = "flush"   // moorfs flush, and the bucket is compared
	sending action = "sending" // begin a flush, go on meanwhile
	peek    action = "peek"    // look at File's object, whatever is going on
	evict   action = "evict"   // read other files until these are not cached
	remount action = "remount" // unmount, mount
	fresh   action = "fresh"   // unmount, mount with an empty cache
	crash   action = "crash"   // kill -9, mount
	foreign action = "foreign" // another client puts N bytes of Fill at File
)

// A step is one line of a program. Fields that its action does not name are
// zero.
type step struct {
	Do     action
	File   string
	Name   string
	H, To  int
	M      int
	Off, N int64
	Into   int64
	Fill   uint64
	How    string
}

// openModes gives the flags of each letter of an open step's How.
var openModes = map[rune]int{
	'r': os.O_RDONLY, 'w': os.O_WRONLY, 'b': os.O_RDWR, // b: both
	'c': os.O_CREATE, 'x': os.O_EXCL, 't': os.O_TRUNC, 'a': os.O_APPEND, 's': os.O_SYNC, 'd': oDirect,
}

// String returns the step as a line that parseStep reads.
func (s step) String() string {
	var b strings.Builder
	b.WriteString(string(s.Do))
	for _, f := range s.fields() {
		if v := f.get(); v != "" && v != "0" {
			fmt.Fprintf(&b, " %s=%s", f.name, v)
		}
	}
	return b.String()
}

// A field is one name=value of a line.
type field struct {
	name string
	text *string
	slot *int
	long *int64
	fill *uint64
}

func (s *step) fields() []field {
	return []field{{name: "file", text: &s.File}, {name: "name", text: &s.Name}, {name: "h", slot: &s.H}, {name: "to", slot: &s.To},
		{name: "m", slot: &s.M}, {name: "off", long: &s.Off}, {name: "n", long: &s.N}, {name: "into", long: &s.Into},
		{name: "fill", fill: &s.Fill}, {name: "how", text: &s.How}}
}

func (f field) get() string {
	switch {
	case f.text != nil:
		return *f.text
	case f.slot != nil:
		return strconv.Itoa(*f.slot)
	case f.long != nil:
		return strconv.FormatInt(*f.long, 10)
	}
	return strconv.FormatUint(*f.fill, 10)
}

func (f field) set(v string) (err error) {
	switch {
	case f.text != nil:
		*f.text = v
	case f.slot != nil:
		*f.slot, err = strconv.Atoi(v)
	case f.long != nil:
		*f.long, err = strconv.ParseInt(v, 10, 64)
	default:
		*f.fill, err = strconv.ParseUint(v, 10, 64)
	}
	return err
}

func parseStep(line string) (step, error) {
	words := strings.Fields(line)
	s := step{Do: action(words[0])}
	fields := s.fields()
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		known := false
		for _, f := range fields {
			if f.name != name {
				continue
			}
			known = true
			if err := f.set(value); err != nil {
				return s, fmt.Errorf("%q: %w", line, err)
			}
		}
		if !known {
			return s, fmt.Errorf("%q: no step has a %q", line, name)
		}
	}
	return s, nil
}

// parseProgram reads one step a line; empty lines and what follows a # are not
// read.
func parseProgram(text string) ([]step, error) {
	var program []step
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, err
		}
		program = append(program, s)
	}
	return program, nil
}

func printProgram(program []step) string {
	var b strings.Builder
	for _, s := range program {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// filling returns n bytes that depend on fill; of 0 they are zeros.
func filling(fill uint64, n int64) []byte {
	data := make([]byte, (n+7)/8*8)
	if fill != 0 {
		x := fill * 0x9e3779b97f4a7c15
		for at := 0; at < len(data); at += 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.LittleEndian.PutUint64(data[at:], x)
		}
	}
	return data[:n]
}
