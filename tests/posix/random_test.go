package posix

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	steps  = flag.Int("posix.steps", 1000, "calls of random scripts, for each setting")
	length = flag.Int("posix.length", 40, "calls of one random script")
)

// cutLimit bounds how long a failing script is cut down.
const cutLimit = 20 * time.Second

// A source makes random scripts. Names, users and open files are few, so that
// calls meet.
type source struct{ *rand.Rand }

func (s source) one(of string) string {
	words := strings.Fields(of)
	return words[s.IntN(len(words))]
}

func (s source) number(limit int64) int64 {
	if s.IntN(3) == 0 {
		return s.Int64N(limit) &^ 4095
	}
	return s.Int64N(limit)
}

func (s source) name() string { return s.one("a b c a b c a b d e long d/../a . a/ n%41") }

// path is up to three names deep; the middle ones are mostly directories.
func (s source) path() string {
	switch s.IntN(8) {
	case 0, 1, 2:
		return s.name()
	case 3, 4:
		return s.one("d e d/e") + "/" + s.name()
	case 5:
		return s.one("d e a b") + "/" + s.one("d e a b") + "/" + s.name()
	case 6:
		return s.one("D E") + ":" + s.name()
	}
	return s.one("a b c d e d/e d/a e/a")
}

func (s source) mode() string {
	return s.one("0 0600 0644 0666 0777 0755 0700 0666 0777 0666 0777 0755 0444 04755 02755 02644 06777 01777 02777 0000")
}

func (s source) fd() string { return s.one("x y x y x y D") }

func (s source) data() string {
	return fmt.Sprintf("<%s*%d>", s.one("ab xyz 0123456789"), 1+s.IntN(s.pick(5, 100, 3000)))
}

func (s source) pick(of ...int) int { return of[s.IntN(len(of))] }

func (s source) time() string {
	return s.one("now omit 1000 0.5 1500000000.123456789 -5.000000001 4200000000 now omit")
}

func (s source) flags() string {
	f := s.one("O_RDONLY O_WRONLY O_RDWR O_RDWR O_RDWR") + "|O_NONBLOCK"
	for s.IntN(2) == 0 {
		f += "|" + s.one("O_CREAT O_CREAT O_CREAT O_EXCL O_TRUNC O_APPEND O_DIRECTORY O_NOFOLLOW O_SYNC O_NOATIME O_PATH")
	}
	return f
}

// shapes are the calls of random scripts; those that stand more often are
// made more often.
var shapes = []func(s source) string{
	func(s source) string { return s.one("x y") + "=open " + s.path() + " " + s.flags() + " " + s.mode() },
	func(s source) string {
		return s.one("x y") + "=open " + s.path() + " " + s.flags() + "|O_CREAT " + s.mode()
	},
	func(s source) string {
		return s.one("x y") + "=open " + s.one(". d e") + " O_TMPFILE|O_RDWR " + s.mode()
	},
	func(s source) string { return s.one("D E") + "=open " + s.one(". d e d/e") + " O_RDONLY|O_DIRECTORY" },
	func(s source) string { return "close " + s.one("x y D E") },
	func(s source) string { return "write " + s.fd() + " " + s.data() },
	func(s source) string { return "write " + s.fd() + " " + s.data() },
	func(s source) string { return fmt.Sprintf("pwrite %s %s %d", s.fd(), s.data(), s.number(20000)) },
	func(s source) string { return fmt.Sprintf("read %s %d", s.fd(), s.number(9000)) },
	func(s source) string { return fmt.Sprintf("pread %s %d %d", s.fd(), s.number(9000), s.number(20000)) },
	func(s source) string {
		return fmt.Sprintf("lseek %s %d %s", s.fd(), s.number(9000), s.one("SEEK_SET SEEK_CUR SEEK_END"))
	},
	func(s source) string { return fmt.Sprintf("truncate %s %d", s.path(), s.number(20000)) },
	func(s source) string { return fmt.Sprintf("ftruncate %s %d", s.fd(), s.number(20000)) },
	func(s source) string {
		return fmt.Sprintf("fallocate %s %s %d %d", s.fd(), s.one("0 KEEP_SIZE PUNCH_HOLE|KEEP_SIZE ZERO_RANGE ZERO_RANGE|KEEP_SIZE"), s.number(20000), s.number(9000))
	},
	func(s source) string {
		return fmt.Sprintf("copy %s %s %d %d %d", s.one("x y"), s.one("x y"), s.number(9000), s.number(20000), s.number(9000))
	},
	func(s source) string { return s.one("fsync fdatasync") + " " + s.fd() },
	func(s source) string { return "mkdir " + s.one("d e d/e e/d "+s.path()) + " " + s.mode() },
	func(s source) string { return "mkdir " + s.path() + " 0777" },
	func(s source) string { return "rmdir " + s.path() },
	func(s source) string { return "unlink " + s.path() },
	func(s source) string { return "unlink " + s.path() },
	func(s source) string {
		return "rename " + s.path() + " " + s.path() + " " + s.one("0 0 0 RENAME_NOREPLACE RENAME_EXCHANGE")
	},
	func(s source) string { return "rename " + s.path() + " " + s.path() },
	func(s source) string { return "symlink " + s.one("a b d ../a d/e . e/a nowhere") + " " + s.path() },
	func(s source) string { return "readlink " + s.path() },
	func(s source) string { return "linkfd " + s.one("x y") + " " + s.path() },
	func(s source) string {
		return "mknod " + s.path() + " " + s.one("file fifo sock chr") + " " + s.mode() + " 0x103"
	},
	func(s source) string { return "chmod " + s.path() + " " + s.mode() },
	func(s source) string { return "chmod " + s.path() + " 0777" },
	func(s source) string { return "fchmod " + s.fd() + " " + s.mode() },
	func(s source) string {
		return "chown " + s.path() + " " + s.one("- - alice bob") + " " + s.one("- shared alice extra")
	},
	func(s source) string {
		return "lchown " + s.path() + " " + s.one("- alice bob") + " " + s.one("- shared")
	},
	func(s source) string { return "fchown " + s.fd() + " - " + s.one("- shared extra") },
	func(s source) string { return "utimens " + s.path() + " " + s.time() + " " + s.time() },
	func(s source) string { return "utimens " + s.path() + " 1000 2000 AT_SYMLINK_NOFOLLOW" },
	func(s source) string { return "futimens " + s.fd() + " " + s.time() + " " + s.time() },
	func(s source) string { return "access " + s.path() + " " + s.one("0 1 2 4 6 7") },
	func(s source) string { return s.one("stat lstat") + " " + s.path() },
	func(s source) string { return "fstat " + s.one("x y D E") },
	func(s source) string {
		return "setxattr " + s.one("a b d d/a") + " " + s.one("user.a user.b") + " " + s.one("v value <v*100>") + " " + s.one("0 XATTR_CREATE XATTR_REPLACE")
	},
	func(s source) string { return "removexattr " + s.one("a b d d/a") + " " + s.one("user.a user.b") },
	func(s source) string { return "fgetxattr " + s.fd() + " user.a" },
	func(s source) string { return "umask " + s.one("0 022 027 077") },
	func(s source) string { return "setfl " + s.one("x y") + " " + s.one("0 O_APPEND") },
	func(s source) string { return "flock " + s.one("x y") + " " + s.one("LOCK_SH LOCK_EX LOCK_UN") },
}

// script returns a random script that begins with a few names.
func (s source) script(n int) []string {
	script := []string{"root mk dir d 0777 root shared", "root mk dir e " + s.one("0777 01777 02777 0755") + " alice shared",
		"alice mk file a 0666 alice shared", "alice mk file d/a 0666 alice alice", "bob mk dir d/e 0777 bob shared"}
	for _, user := range []string{"root", "alice", "bob"} {
		script = append(script, user+" x=open "+s.one("a d/a")+" O_RDWR", user+" y=open b O_RDWR|O_CREAT 0666", user+" D=open "+s.one(". d d/e")+" O_RDONLY")
	}
	for range n {
		script = append(script, s.one("root alice alice bob")+" "+shapes[s.IntN(len(shapes))](s))
	}
	return script
}

// mountOptions are mounts on which the same scripts must do the same: one that
// uploads nothing, one that uploads under the hands of the scripts, and one
// that also believes nothing that it has known.
var mountOptions = map[string][]string{
	"unsent": unsent,
	"busy":   append(slices.Clone(anybody), "--write-back", "5ms"),
	"strict": append(slices.Clone(anybody), "--write-back", "5ms", "--attr-ttl", "0", "--list-ttl", "0", "--negative-ttl", "0"),
}

// TestRandom makes random calls on both sides.
func TestRandom(t *testing.T) {
	for name, options := range mountOptions {
		n := *steps
		if name == "strict" {
			n /= 10 // each call waits for many requests
		}
		t.Run(name, func(t *testing.T) { randomCalls(t, options, n) })
	}
}

func randomCalls(t *testing.T, options []string, steps int) {
	t.Logf("-posix.seed %d -posix.steps %d", *seed, steps)
	p := newPair(t, options)
	defer func() { t.Logf("%d calls, of which %d failed on both sides; %d scripts", p.calls, p.failed, p.cases) }()
	s := source{rand.New(rand.NewPCG(*seed, 1))}
	for p.calls < steps {
		script := s.script(*length)
		d := p.compare(t, script)
		if d == nil {
			continue
		}
		script, d = p.cut(t, script[:d.step+1], d)
		t.Fatalf("%v\nthe script:\n%s", d, strings.Join(script, "\n"))
	}
}

// cut leaves out lines of a failing script for as long as it goes on to fail
// in the same way.
func (p *pair) cut(t *testing.T, script []string, d *discrepancy) ([]string, *discrepancy) {
	deadline := time.Now().Add(cutLimit)
	for chunk := len(script) / 2; chunk > 0; chunk /= 2 {
		for at := 0; at+chunk < len(script); {
			if time.Now().After(deadline) {
				return script, d
			}
			shorter := slices.Delete(slices.Clone(script), at, at+chunk)
			if again := p.compare(t, shorter); again != nil && again.kind() == d.kind() {
				script, d = shorter[:again.step+1], again
			} else {
				at += chunk
			}
		}
	}
	return script, d
}
