package cache

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/moorfs/moorfs/cache/remotetest"
)

// What happens here to x.txt, as old says with or without "base" in it.
var localChanges = map[string]struct {
	old bool
	do  func(b *bench)
}{
	"change": {true, func(b *bench) { b.write(Root, "x.txt", []byte("ours")) }},
	"delete": {true, func(b *bench) { b.ok(b.Unlink(b.t.Context(), Root, "x.txt")) }},
	"rename over": {true, func(b *bench) {
		b.ok(b.Rename(b.t.Context(), Rename{OldParent: Root, OldName: "src", NewParent: Root, NewName: "x.txt"}))
	}},
	"rename into": {false, func(b *bench) {
		b.ok(b.Rename(b.t.Context(), Rename{OldParent: Root, OldName: "src", NewParent: Root, NewName: "x.txt"}))
	}},
	"new file": {false, func(b *bench) { b.write(Root, "x.txt", []byte("ours")) }},
	"directory": {false, func(b *bench) {
		d, err := b.Make(b.t.Context(), Root, "x.txt", New{Kind: Dir, Mode: 0o755})
		b.ok(err)
		b.write(d.Ino, "in", []byte("ours"))
	}},
}

// What others do to p/x.txt.
var foreignChanges = map[string]func(m *remotetest.Memory){
	"object": func(m *remotetest.Memory) { m.Set("p/x.txt", []byte("theirs"), nil) },
	"delete": func(m *remotetest.Memory) { m.Remove("p/x.txt") },
	"directory": func(m *remotetest.Memory) {
		m.Remove("p/x.txt")
		m.Set("p/x.txt/other", []byte("theirs"), nil)
	},
	"directory beside": func(m *remotetest.Memory) { m.Set("p/x.txt/other", []byte("theirs"), nil) },
}

// outcomes says what is there in the end, "local/foreign" → keys; "conflict"
// stands for both sides at one key, as the policy decides.
var outcomes = map[string]map[string]string{
	"change/object":                {"p/x.txt": "conflict"},
	"change/delete":                {"p/x.txt": "ours"},
	"change/directory":             {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"change/directory beside":      {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"delete/object":                {"p/x.txt": "theirs"},
	"delete/delete":                {},
	"delete/directory":             {"p/x.txt/other": "theirs"},
	"delete/directory beside":      {"p/x.txt/other": "theirs"},
	"rename over/object":           {"p/x.txt": "conflict"},
	"rename over/delete":           {"p/x.txt": "ours"},
	"rename over/directory":        {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"rename over/directory beside": {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"rename into/object":           {"p/x.txt": "conflict"},
	"rename into/directory beside": {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"new file/object":              {"p/x.txt": "conflict"},
	"new file/directory beside":    {"p/x.txt": "ours", "p/x.txt/other": "theirs"},
	"directory/object":             {"p/x.txt": "theirs", "p/x.txt/": "", "p/x.txt/in": "ours"},
	"directory/directory beside":   {"p/x.txt/": "", "p/x.txt/in": "ours", "p/x.txt/other": "theirs"},
}

// Whatever is done here and there to one name, both sides' content is there
// afterwards, as the policy says, in the bucket, on this mount and on another.
func TestConflictTable(t *testing.T) {
	t.Parallel()
	for local, l := range localChanges {
		for foreign, f := range foreignChanges {
			want, listed := outcomes[local+"/"+foreign]
			if l.old != listed && foreign != "object" && foreign != "directory beside" {
				t.Errorf("%s/%s has no outcome", local, foreign)
			}
			if !listed {
				continue
			}
			for _, p := range []ConflictPolicy{KeepBoth, MineWins, TheirsWins} {
				t.Run(local+"/"+foreign+"/"+string(p), func(t *testing.T) {
					t.Parallel()
					mem := remotetest.NewMemory(remotetest.Settings{Versioned: true})
					b := newBench(t, always, policy(p), func(c *Config) { c.Remote = mem }).on(mem)
					mem.Set("p/src", []byte("ours"), nil)
					if l.old {
						mem.Set("p/x.txt", []byte("base"), nil)
					}
					b.names(Root)
					l.do(b)
					f(mem)
					b.ok(b.drainSoon())
					if !strings.HasPrefix(local, "rename") {
						mem.Remove("p/src")
					}
					b.tableRow(p, maps.Clone(want))
				})
			}
		}
	}
}

// tableRow checks the outcome of one row.
func (b *bench) tableRow(p ConflictPolicy, want map[string]string) {
	b.t.Helper()
	if want["p/x.txt"] != "conflict" {
		b.noConflicts()
		b.everywhere(want)
		return
	}
	if p == MineWins {
		b.noConflicts()
		b.everywhere(map[string]string{"p/x.txt": "ours"})
		if old := b.mem.Bodies("p/x.txt"); !slices.Contains(old, "theirs") {
			b.t.Errorf("theirs is no version: %q", old)
		}
		return
	}
	x := b.oneConflict()
	want["p/x.txt"] = "theirs"
	if p == KeepBoth {
		if !strings.HasPrefix(x.Parked, "p/x (conflict ") || !strings.HasSuffix(x.Parked, ").txt") {
			b.t.Errorf("ours is %q", x.Parked)
		}
		want[x.Parked] = "ours"
	}
	b.everywhere(want)
	b.reopen()
	b.ok(b.KeepMine(b.t.Context(), b.oneConflict().ID))
	b.ok(b.drainSoon())
	b.noConflicts()
	b.everywhere(map[string]string{"p/x.txt": "ours"})
}

// everywhere checks the contents in the bucket, here, and on another mount.
func (b *bench) everywhere(want map[string]string) {
	b.t.Helper()
	b.bucket(want)
	files := maps.Clone(want)
	maps.DeleteFunc(files, func(key, _ string) bool { return strings.HasSuffix(key, "/") })
	contents := slices.Sorted(maps.Values(files))
	other := newBench(b.t, func(c *Config) { c.Remote = b.mem })
	for _, m := range []*bench{b, other} {
		if got := slices.Sorted(maps.Values(m.files(Root, ""))); !slices.Equal(got, contents) {
			b.t.Errorf("shows %q, want %q", m.files(Root, ""), want)
		}
	}
}

// The name beside a file is one that every server takes, of at most 255 bytes,
// with the extension, whatever the file is called.
func TestNamesOfConflictCopies(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("l", 255), strings.Repeat("l", 251) + ".txt", strings.Repeat("ä", 125) + ".txt",
		"x" + strings.Repeat("ä", 125) + ".tar", strings.Repeat("日", 85), ".hidden", "no extension", "a.b c?*\"'\\", "\xff\xfe.bin", "%41"} {
		b := changedBoth(t, KeepBoth, name)
		x := b.oneConflict()
		ext := name[max(0, strings.LastIndexByte(name, '.')):]
		if !strings.Contains(name, ".") || name[0] == '.' {
			ext = ""
		}
		if len(x.File) > 255 || strings.Count(x.File, " (conflict ") != 1 || !strings.HasSuffix(x.File, ")"+ext) {
			t.Errorf("%q is put beside as %q", name, x.File)
		}
		if utf8.ValidString(name) && !utf8.ValidString(x.File) {
			t.Errorf("%q is put beside as %q, which is no UTF-8", name, x.File)
		}
		b.bucket(map[string]string{"p/" + name: "theirs", x.Parked: "ours"})
		if got := b.read(Root, x.File); string(got) != "ours" {
			t.Errorf("%q reads %q", x.File, got)
		}
	}
}
