package posix

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// args are the words of a call that are not used up yet. Its methods panic
// where the script is wrong.
type args struct {
	w     *agent
	words []string
	slot  string // where an open file goes
}

// split cuts a line into words. A word in quotes is a Go string; <text*n> is
// text n times.
func split(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				panic(fmt.Sprintf("%v: %s", err, line))
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				panic(err)
			}
			words, line = append(words, repeat(word)), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, repeat(word)), rest
	}
	return words
}

var repeated = regexp.MustCompile(`<([^<>*]*)\*(\d+)>`)

func repeat(word string) string {
	return repeated.ReplaceAllStringFunc(word, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			panic(err)
		}
		return strings.Repeat(m[1], n)
	})
}

func (a *args) more() bool { return len(a.words) > 0 }

func (a *args) word() string {
	if len(a.words) == 0 {
		panic("an argument is missing")
	}
	w := a.words[0]
	a.words = a.words[1:]
	return w
}

// path returns a path and what it is relative to: "x:name" is below the
// directory open as x.
func (a *args) path() (int, string) {
	word := a.word()
	if slot, rest, ok := strings.Cut(word, ":"); ok {
		if fd, open := a.w.slots[slot]; open {
			return fd, rest
		}
	}
	return unix.AT_FDCWD, word
}

// fd returns an open file; -1 is no file.
func (a *args) fd() int {
	slot := a.word()
	fd, open := a.w.slots[slot]
	if !open {
		return -1
	}
	return fd
}

// keep gives an open file its name.
func (a *args) keep(fd int, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if a.slot == "" {
		return "", unix.Close(fd)
	}
	if old, open := a.w.slots[a.slot]; open {
		_ = unix.Close(old)
	}
	a.w.slots[a.slot] = fd
	return "", nil
}

func (a *args) int() int64 {
	word := a.word()
	n, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (a *args) mode() uint32 { return uint32(a.int()) }

// id returns a user's or group's number by name; - is -1: as it was.
func (a *args) id() int {
	word := a.word()
	if u, ok := users[word]; ok {
		return u.id
	}
	switch word {
	case "-":
		return -1
	case "shared":
		return shared
	case "extra":
		return extra
	}
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

// bits returns the flags named in a word as A|B; 0 is none.
func (a *args) bits(table map[string]int) int {
	bits := 0
	for name := range strings.SplitSeq(a.word(), "|") {
		bit, ok := table[name]
		if n, err := strconv.ParseInt(name, 0, 64); err == nil {
			bit, ok = int(n), true
		}
		if !ok {
			panic("no flag " + name)
		}
		bits |= bit
	}
	return bits
}

// optionalBits is bits of a word that may be left out.
func (a *args) optionalBits(table map[string]int) int {
	if !a.more() {
		return 0
	}
	return a.bits(table)
}

var openFlags = map[string]int{
	"O_RDONLY": unix.O_RDONLY, "O_WRONLY": unix.O_WRONLY, "O_RDWR": unix.O_RDWR, "O_ACCMODE": unix.O_ACCMODE,
	"O_CREAT": unix.O_CREAT, "O_EXCL": unix.O_EXCL, "O_TRUNC": unix.O_TRUNC, "O_APPEND": unix.O_APPEND,
	"O_DIRECTORY": unix.O_DIRECTORY, "O_NOFOLLOW": unix.O_NOFOLLOW, "O_PATH": unix.O_PATH, "O_TMPFILE": unix.O_TMPFILE,
	"O_DIRECT": unix.O_DIRECT, "O_SYNC": unix.O_SYNC, "O_DSYNC": unix.O_DSYNC, "O_NOATIME": unix.O_NOATIME,
	"O_NONBLOCK": unix.O_NONBLOCK, "O_NOCTTY": unix.O_NOCTTY,
}

var atFlags = map[string]int{
	"AT_SYMLINK_NOFOLLOW": unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_FOLLOW": unix.AT_SYMLINK_FOLLOW,
	"AT_EMPTY_PATH": unix.AT_EMPTY_PATH, "AT_EACCESS": unix.AT_EACCESS, "AT_REMOVEDIR": unix.AT_REMOVEDIR,
}
