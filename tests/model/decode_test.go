package model

import (
	"maps"
	"slices"
	"strings"
)

// opBytes is how many bytes of a decoded string make an operation.
const opBytes = 7

// decode makes a program of any bytes.
func decode(b []byte) program {
	var head [2]byte
	b = b[copy(head[:], b):]
	p := program{settings: decodeSettings(head)}
	d := decoder{settings: p.settings, kinds: map[string]string{"": dirKind}, open: map[party]*[handles]bool{}}
	for len(b) > 0 {
		var chunk [opBytes]byte
		b = b[copy(chunk[:], b):]
		p.ops = append(p.ops, d.op(chunk))
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

// baseNames are the names that programs use: few, so that operations meet.
var baseNames = []string{"a", "a", "a", "b", "b", "b", "c", "c", "d", "d", "d", "e", "e", "a", "b", "d",
	"ü b.txt", "%41", "x~", ".h", strings.Repeat("l", 255), strings.Repeat("m", 256)}

// A decoder guesses, roughly, what there will be when an operation is carried
// out, so that most operations find something to work on.
type decoder struct {
	settings settings
	kinds    map[string]string // by path
	open     map[party]*[handles]bool
}

func (d *decoder) op(b [opBytes]byte) op {
	var o op
	pick := int(b[0]) | int(b[1]&0x0f)<<8
	switch who := b[1] >> 4; {
	case who == 0:
		o.who, o.verb = everyone, worldVerbs[pick%len(worldVerbs)]
	case who <= 2:
		o.who, o.verb = foreign, foreignVerbs[pick%len(foreignVerbs)]
	case who <= 8 && d.settings.two:
		o.who, o.verb = machineB, machineVerbs[pick%len(machineVerbs)]
	default:
		o.who, o.verb = machineA, machineVerbs[pick%len(machineVerbs)]
	}
	if d.open[o.who] == nil {
		d.open[o.who] = new([handles]bool)
	}
	o.h = int(b[3]) % handles
	if verbs[o.verb].who == "m" && strings.HasPrefix(verbs[o.verb].args, "h") {
		d.handle(&o)
	}
	if strings.HasPrefix(verbs[o.verb].args, "p") {
		o.path = d.path(o.verb, b[2], b[6])
	}
	if o.verb == "rename" || o.verb == "symlink" {
		o.to = d.path("", b[3], b[5])
	}
	v := verbs[o.verb]
	o.off, o.n = size(b[4]), size(b[5])
	if len(v.flags) > 0 {
		o.flag = v.flags[int(b[4])%len(v.flags)]
	}
	d.guess(o)
	return o
}

// handle takes an open handle, or opens one.
func (d *decoder) handle(o *op) {
	for i := range handles {
		if h := (o.h + i) % handles; d.open[o.who][h] {
			o.h = h
			return
		}
	}
	o.verb = "open"
}

// path chooses one that there is, for those verbs that want it so, or one that
// there may be.
func (d *decoder) path(verb string, b, more byte) string {
	kinds := []string{fileKind, dirKind, "other"}
	switch verb {
	case "open", "readfile", "truncate", "delete":
		kinds = []string{fileKind}
	case "save", "put":
		if kinds = []string{fileKind}; b%2 == 0 {
			kinds = nil
		}
	case "rmdir", "readdir":
		kinds = []string{dirKind}
	case "create", "mkdir", "mknod", "symlink":
		kinds = nil
	case "":
		if b%3 > 0 {
			kinds = nil
		}
	}
	var there []string
	if more%16 != 0 {
		for path, kind := range d.kinds {
			if slices.Contains(kinds, kind) && (path != "" || verb == "readdir" || verb == "stat") {
				there = append(there, path)
			}
		}
	}
	if len(there) > 0 {
		slices.Sort(there)
		return there[int(b/2)%len(there)]
	}
	return d.newPath(verb, b, more)
}

// newPath chooses a name in a directory that there is, mostly.
func (d *decoder) newPath(verb string, b, more byte) string {
	var dirs []string
	for path, kind := range d.kinds {
		if (kind == dirKind || more > 250) && strings.Count(path, "/") < 2 {
			dirs = append(dirs, path)
		}
	}
	slices.Sort(dirs)
	name := baseNames[int(b/2)%len(baseNames)]
	dir := dirs[int(more)%len(dirs)]
	if dir != "" {
		name = dir + "/" + name
	}
	if verb == "put" && more%8 == 0 { // in a directory that only the key makes
		name = strings.TrimPrefix(dir+"/n/"+strings.TrimPrefix(name[len(dir):], "/"), "/")
	}
	return name
}

// guess notes what an operation will probably have done.
func (d *decoder) guess(o op) {
	switch o.verb {
	case "create", "open":
		if d.open[o.who][o.h] = true; o.verb == "create" {
			d.kinds[o.path] = fileKind
		}
	case "save", "put":
		d.kinds[o.path] = fileKind
	case "mkdir":
		d.kinds[o.path] = dirKind
	case "symlink", "mknod":
		d.kinds[o.path] = "other"
	case "unlink", "delete", "rmdir":
		if o.verb != "unlink" || d.kinds[o.path] != dirKind {
			delete(d.kinds, o.path)
		}
	case "rename":
		if kind, there := d.kinds[o.path]; there && kind != dirKind && o.flag != "noreplace" {
			if d.kinds[o.to] = kind; o.flag != "exchange" {
				delete(d.kinds, o.path)
			}
		}
	case "close":
		d.open[o.who][o.h] = false
	case "remount", "evict", "crash":
		*d.open[o.who] = [handles]bool{}
	}
	d.kinds[""] = dirKind
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
