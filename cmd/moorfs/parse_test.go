package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseDashO(t *testing.T) {
	for _, c := range []struct {
		arg    string
		sloppy bool
		layer  layer
		flags  mountFlags
	}{
		{"", false, layer{}, mountFlags{}},
		{"rw,_netdev,nofail,x-systemd.automount,defaults,user,noauto,comment=x", false, layer{}, mountFlags{}},
		{"ro,allow_other,sse_kms_key_id=alias/data", false,
			layer{"read-only": {"true"}, "allow-other": {"true"}, "sse-kms-key-id": {"alias/data"}}, mountFlags{}},
		{"ro,rw", false, layer{}, mountFlags{}},
		{"rw,ro", false, layer{"read-only": {"true"}}, mountFlags{}},
		{`sse-kms-context={"a":"b"\,"c":"d"},region=eu-west-1`, false,
			layer{"sse-kms-context": {`{"a":"b","c":"d"}`}, "region": {"eu-west-1"}}, mountFlags{}},
		{"sse", false, layer{"sse": {"AES256"}}, mountFlags{}},
		{"sse_c_key_file=/a,sse_c_key_file=/b", false, layer{"sse-c-key-file": {"/a", "/b"}}, mountFlags{}},
		{"remount,ro", false, layer{"read-only": {"true"}}, mountFlags{remount: true}},
		{"noexec,nosuid,nodev,noatime,exec,nonempty", false, layer{}, mountFlags{nonempty: true, words: []string{"noatime"}}},
		{"dev,suid", false, layer{}, mountFlags{suid: true, dev: true}},
		{"color=green,region=x", true, layer{"region": {"x"}}, mountFlags{}},
	} {
		d, err := parseDashO(c.arg, c.sloppy)
		if err != nil {
			t.Errorf("%s: %v", c.arg, err)
			continue
		}
		if len(d.flags.words) == 0 {
			d.flags.words = nil
		}
		if !reflect.DeepEqual(d.layer, c.layer) || !reflect.DeepEqual(d.flags, c.flags) {
			t.Errorf("%s: %v %+v, want %v %+v", c.arg, d.layer, d.flags, c.layer, c.flags)
		}
	}
}

func TestDashORefuses(t *testing.T) {
	for arg, says := range map[string]string{
		"color=green":                          "color",
		"region":                               "needs a value",
		"=x":                                   "needs a name",
		"cache_size=much":                      "cache-size",
		"sse_c_key=c2VjcmV0IHNlY3JldCBzZWM=":   "sse-c-key-file",
		"secret-access-key=c2VjcmV0IHNlY3JldA": "credentials",
	} {
		_, err := parseDashO(arg, false)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; does not say %q", arg, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if _, err := parseDashO("sse_c_key=c2VjcmV0", true); err == nil {
		t.Error("sloppy lets a secret pass")
	}
}

func TestSecretFlagIsRefusedWithAHint(t *testing.T) {
	root := newRootCommand()
	root.SetArgs([]string{"mount", "--sse-c-key=c2VjcmV0", "s3://b", "/mnt"})
	err := root.Execute()
	e := new(exitError)
	if !errors.As(err, &e) || e.code != exitUsage || !strings.Contains(err.Error(), "--sse-c-key-file") && !strings.Contains(err.Error(), "sse-c-key-file=") {
		t.Errorf("got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("the error repeats the secret: %v", err)
	}
}

// TestUnknownFlagHints: a slip of a letter is answered with the flag that was
// meant, anything else with where the flags are listed.
func TestUnknownFlagHints(t *testing.T) {
	for flag, says := range map[string]string{
		"--cach-dir=x": "did you mean --cache-dir?", "--endpoint_url=x": "did you mean --endpoint-url?", "--readonly": "did you mean --read-only?",
		"--color": "see moorfs mount --help",
	} {
		root := newRootCommand()
		root.SetArgs([]string{"mount", flag, "s3://b", "/mnt"})
		err := root.Execute()
		if e := new(exitError); !errors.As(err, &e) || e.code != exitUsage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestParseHelper(t *testing.T) {
	for _, c := range []struct {
		args string
		want helperCall
	}{
		{"s3://b /mnt -o rw,allow_other", helperCall{args: []string{"s3://b", "/mnt"}, options: []string{"rw,allow_other"}}},
		{"-sfnv s3://b /mnt -o rw -t moorfs", helperCall{args: []string{"s3://b", "/mnt"}, options: []string{"rw"}, fake: true, sloppy: true}},
		{"s3://b /mnt -orw -vnoro", helperCall{args: []string{"s3://b", "/mnt"}, options: []string{"rw", "ro"}}},
		{"/mnt -l -n -r -t fuse.moorfs", helperCall{args: []string{"/mnt"}, lazy: true}},
	} {
		got, err := parseHelper(strings.Fields(c.args))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.args, got, err, c.want)
		}
	}
	for _, args := range []string{"s3://b /mnt -o", "-Q"} {
		if _, err := parseHelper(strings.Fields(args)); err == nil {
			t.Errorf("%s: accepted", args)
		}
	}
}

func TestMountHelperExitStatus(t *testing.T) {
	for _, args := range []string{"", "s3://b", "nfs:/x /mnt", "s3://b /mnt -o color=green"} {
		e := new(exitError)
		if err := mountHelper(strings.Fields(args)); !errors.As(err, &e) || e.code != exitHelper {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := mountHelper(strings.Fields("s3://b /does/not/exist -f -o rw")); err != nil {
		t.Errorf("-f must do nothing and succeed: %v", err)
	}
}

func TestParseSource(t *testing.T) {
	for _, c := range []struct {
		in     string
		want   source
		string string
	}{
		{"s3://photos", source{"photos", ""}, "s3://photos"},
		{"s3://photos/", source{"photos", ""}, "s3://photos"},
		{"s3://photos/2026/may", source{"photos", "2026/may/"}, "s3://photos/2026/may"},
		{"s3://photos/2026/", source{"photos", "2026/"}, "s3://photos/2026"},
		{"moorfs#s3://photos/x", source{"photos", "x/"}, "s3://photos/x"},
		{"s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/x", source{"arn:aws:s3:eu-west-1:123456789012:accesspoint/mine", "x/"},
			"s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/x"},
	} {
		got, err := parseSource(c.in)
		if err != nil || got != c.want || got.String() != c.string {
			t.Errorf("%s: %+v (%s), %v", c.in, got, got, err)
		}
	}
	for _, in := range []string{"", "photos", "s3:photos", "s3://", "s3:///x", "s3://a b", "https://host/b"} {
		if got, err := parseSource(in); err == nil {
			t.Errorf("%q: accepted as %+v", in, got)
		}
	}
}

func TestIDTellsCachesApart(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct{ bucket, prefix, endpoint string }{
		{"b", "", ""}, {"b", "x/", ""}, {"b", "", "http://localhost"}, {"bx/", "", ""}, {"b", "x/y/", ""}, {"..", "", ""},
	} {
		src := source{c.bucket, c.prefix}
		id := src.id(c.endpoint)
		if id != src.id(c.endpoint) {
			t.Errorf("%v: the id changes", c)
		}
		if other, dup := seen[id]; dup {
			t.Errorf("%v and %s share the id %s", c, other, id)
		}
		seen[id] = src.String()
		if strings.ContainsAny(id, "/ ") || strings.HasPrefix(id, ".") {
			t.Errorf("%v: id %q is no safe name", c, id)
		}
	}
	if id := (source{"photos", ""}).id(""); !strings.HasPrefix(id, "photos-") {
		t.Errorf("id %q does not name the bucket", id)
	}
}

func TestReportIsOneLineWithTheRightStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		out  string
	}{
		{nil, 0, ""},
		{errors.Join(errors.New("a"), errors.New("b")), 1, "moorfs: a; b\n"},
		{usage(errors.New("a")), 2, "moorfs: a\n"},
		{unfinished(&leftover{CacheDir: "/c", Source: "s3://b"}), 3, "moorfs: 0 files, 0 B still queued: safe in /c, will be sent by the next mount of s3://b\n"},
		{unfinished(errors.Join(&leftover{CacheDir: "/c", Source: "s3://b"}, nil)), 3, "moorfs: 0 files, 0 B still queued: safe in /c, will be sent by the next mount of s3://b\n"},
		{asHelper(usage(errors.New("a"))), 32, "moorfs: a\n"},
		{&exitError{code: 1}, 1, ""},
	} {
		var out strings.Builder
		if code := report(&out, c.err); code != c.code || out.String() != c.out {
			t.Errorf("%v: status %d, %q", c.err, code, out.String())
		}
	}
}
