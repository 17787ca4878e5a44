package main

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/moorfs/moorfs/s3backend"
)

var update = flag.Bool("update", false, "write the options table of the README")

func TestDefaultsAreValidAndComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range mountOptions {
		if seen[o.name] {
			t.Errorf("option %s is there twice", o.name)
		}
		seen[o.name] = true
		for _, v := range []string{o.def, o.bare} {
			if v == "" {
				continue
			}
			if _, err := o.normal(v); err != nil {
				t.Error(err)
			}
		}
		if o.group == "" || o.help == "" {
			t.Errorf("option %s has no group or help", o.name)
		}
		if o.kind == choice && len(o.choices) == 0 {
			t.Errorf("option %s has no choices", o.name)
		}
	}
	s := newSettings()
	if err := checkSettings(s); err != nil {
		t.Error(err)
	}
	if _, err := clientOptions(source{bucket: "b"}, s, nil); err != nil { // panics if it asks for an unknown option
		t.Error(err)
	}
	if _, err := cacheConfig(source{bucket: "b"}, s, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestLaterDashOCountsMore(t *testing.T) {
	req, err := newMountRequest([]string{"s3://b", "/mnt"}, []string{"ro,suid,region=a", "rw,dev", "region=b"}, layer{})
	if err != nil {
		t.Fatal(err)
	}
	if req.set.on("read-only") || req.set.text("region") != "b" || !req.flags.suid || !req.flags.dev {
		t.Errorf("read-only %v, region %q, flags %+v", req.set.on("read-only"), req.set.text("region"), req.flags)
	}
}

func TestOptionValues(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, in, want string }{
		{"read-only", "yes", "true"},
		{"read-only", "0", "false"},
		{"read_only", "true", "true"},
		{"xattrs", "no", "off"},
		{"path-style", "auto", "auto"},
		{"sse", "aws:kms", "aws:kms"},
		{"ca-bundle", "ca.pem", filepath.Join(here, "ca.pem")},
		{"ca-bundle", "/etc/ca.pem", "/etc/ca.pem"},
		{"read-only", "perhaps", ""},
		{"sse", "rot13", ""},
		{"cache-size", "much", ""},
		{"cache-size", "-1", ""},
		{"attr-ttl", "soon", ""},
		{"attr-ttl", "-5s", ""},
		{"file-mode", "0888", ""},
		{"file-mode", "100644", ""},
		{"uid", "-1", ""},
	} {
		o, ok := findOption(c.name)
		if !ok {
			t.Fatalf("no option %s", c.name)
		}
		got, err := o.normal(c.in)
		if (err != nil) != (c.want == "") || err == nil && got != c.want {
			t.Errorf("%s=%s: got %q, %v; want %q", c.name, c.in, got, err, c.want)
		}
	}
}

func TestConversions(t *testing.T) {
	l := layer{}
	for name, value := range map[string]string{"cache-size": "20GiB", "part-size": "10MB", "attr-ttl": "90", "list-ttl": "1m30s",
		"write-back": "0.5", "umask": "022", "uid": "0"} {
		o, _ := findOption(name)
		if err := l.set(o, value); err != nil {
			t.Fatal(err)
		}
	}
	s := newSettings(l)
	if got := s.bytes("cache-size"); got != 20<<30 {
		t.Errorf("cache-size: %d", got)
	}
	if got := s.bytes("part-size"); got != 10_000_000 {
		t.Errorf("part-size: %d", got)
	}
	if s.wait("attr-ttl") != 90*time.Second || s.wait("list-ttl") != 90*time.Second || s.wait("write-back") != 500*time.Millisecond {
		t.Errorf("durations: %v %v %v", s.wait("attr-ttl"), s.wait("list-ttl"), s.wait("write-back"))
	}
	if s.number("uid", 7) != 0 || s.number("gid", 7) != 7 {
		t.Errorf("uid %d, gid %d", s.number("uid", 7), s.number("gid", 7))
	}
	cfg, err := cacheConfig(source{bucket: "b"}, s, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.FileMode != 0o644 || cfg.DirMode != 0o755 || cfg.Uid != 0 {
		t.Errorf("modes %o %o, uid %d", cfg.FileMode, cfg.DirMode, cfg.Uid)
	}
	if s = newSettings(l, layer{"umask": {"077"}}); s.mode("file-mode")&^s.mode("umask") != 0o600 {
		t.Errorf("umask 077 leaves %o", s.mode("file-mode")&^s.mode("umask"))
	}
}

func TestPrecedence(t *testing.T) {
	t.Setenv("MOORFS_REGION", "from-env")
	t.Setenv("MOORFS_PROFILE", "from-env")
	t.Setenv("MOORFS_ACL", "private")
	cmd := newMountCommand()
	flags := addMountFlags(&cobra.Command{})
	region, _ := findOption("region")
	if err := flags.set(region, "from-flag"); err != nil {
		t.Fatal(err)
	}
	if cmd.Flags().Lookup("region") == nil {
		t.Fatal("mount has no --region")
	}
	req, err := newMountRequest([]string{"s3://b", "/mnt"}, []string{"region=from-o,profile=from-o"}, flags)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"region": "from-flag", "profile": "from-o", "acl": "private", "durability": "local", "role-arn": ""} {
		if got := req.set.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEnvironmentErrorsNameTheVariable(t *testing.T) {
	_, err := fromEnvironment([]string{"PATH=/bin", "MOORFS_CACHE_SIZE=much"})
	if err == nil || !strings.Contains(err.Error(), "MOORFS_CACHE_SIZE") {
		t.Errorf("got %v", err)
	}
	l, err := fromEnvironment([]string{"MOORFS_SSE_C_KEY_FILE=/a:/b", "MOORFS_SSE_C_KEY=c2VjcmV0"})
	if err != nil || !reflect.DeepEqual(l, layer{"sse-c-key-file": {"/a", "/b"}}) {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestFlagsTakeOptionalValues(t *testing.T) {
	for _, c := range []struct {
		args string
		want layer
	}{
		{"--sse s3://b /mnt", layer{"sse": {"AES256"}}},
		{"--sse aws:kms s3://b /mnt", layer{"sse": {"aws:kms"}}},
		{"--sse=aws:kms:dsse s3://b /mnt", layer{"sse": {"aws:kms:dsse"}}},
		{"s3://b /mnt --path-style off --read-only", layer{"path-style": {"off"}, "read-only": {"true"}}},
		{"--sse-c-key-file /a --sse-c-key-file /b s3://b /mnt -f", layer{"sse-c-key-file": {"/a", "/b"}, "foreground": {"true"}}},
	} {
		cmd := &cobra.Command{}
		l := addMountFlags(cmd)
		if err := cmd.ParseFlags(joinValues(strings.Fields(c.args))); err != nil {
			t.Errorf("%s: %v", c.args, err)
		}
		if got := cmd.Flags().Args(); !reflect.DeepEqual(l, c.want) || !reflect.DeepEqual(got, []string{"s3://b", "/mnt"}) {
			t.Errorf("%s: options %v, arguments %v", c.args, l, got)
		}
	}
}

func TestCombinationsThatAreRefused(t *testing.T) {
	for _, options := range []string{"part_size=1MiB", "max_uploads=0", "sse_kms_key_id=k", "sse=AES256,sse_kms_key_id=k", "sse,sse_c_key_file=/k"} {
		d, err := parseDashO(options, false)
		if err != nil {
			t.Fatal(err)
		}
		if checkSettings(newSettings(d.layer)) == nil {
			t.Errorf("%s: accepted", options)
		}
	}
}

const (
	tableBegin = "<!-- options: written by go test ./cmd/moorfs -run README -update -->\n"
	tableEnd   = "<!-- end of options -->\n"
)

func TestREADMEShowsEveryOption(t *testing.T) {
	file := "../../README.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), tableBegin)
	have, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the table of options")
	}
	want := optionsTable()
	if have == want {
		return
	}
	if !*update {
		t.Fatal("the table of options in README.md is not that of the program; run: go test ./cmd/moorfs -run README -update")
	}
	if err := os.WriteFile(file, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// optionsTable renders mountOptions in Markdown.
func optionsTable() string {
	var b strings.Builder
	b.WriteString("| option | default | |\n|---|---|---|\n")
	group := ""
	for _, o := range mountOptions {
		if o.group != group {
			group = o.group
			b.WriteString("| **" + group + "** | | |\n")
		}
		name := "--" + o.name
		if v := o.values(); v != "" {
			name += " " + v
		}
		def := o.def
		if o.bare == "true" { // a flag is off unless it is named
			def = ""
		}
		b.WriteString("| `" + strings.ReplaceAll(name, "|", `\|`) + "` | " + def + " | " + o.help + " |\n")
	}
	return b.String()
}

func TestExclusiveCreateNeedsAServerThatDecides(t *testing.T) {
	for _, c := range []struct {
		who     string
		decides bool
		odd     bool // it sees deleted objects
		ok      bool
	}{{"local", false, true, true}, {"local", true, false, true}, {"bucket", true, false, true}, {"bucket", false, false, false}, {"bucket", true, true, false}} {
		err := checkCapabilities(newSettings(layer{"exclusive-create": {c.who}}), s3backend.Capabilities{PutIf: c.decides, OddAbsence: c.odd})
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
