package harness

import "testing"

func TestParseMount(t *testing.T) {
	line := `107 27 0:52 / /mnt/a\040b rw,nosuid,nodev,relatime shared:3 - fuse.moorfs s3://bucket/p\043q rw,user_id=0,group_id=0`
	got, ok := parseMount(line)
	want := mountLine{dir: "/mnt/a b", source: "s3://bucket/p#q", fstype: "fuse.moorfs",
		options: "rw,nosuid,nodev,relatime", connection: 52}
	if !ok || got != want {
		t.Errorf("parseMount: %+v, %v, want %+v", got, ok, want)
	}
	for _, bad := range []string{"", "1 2 0:3 / /mnt rw", "1 2 x / /mnt rw - fuse.moorfs s3://b rw"} {
		if m, ok := parseMount(bad); ok {
			t.Errorf("parseMount(%q) = %+v", bad, m)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		root, dir string
		want      bool
	}{{"/a", "/a", true}, {"/a", "/a/b", true}, {"/a", "/ab", false}, {"/", "/x", true}, {"/a/b", "/a", false}} {
		if got := below(test.root, test.dir); got != test.want {
			t.Errorf("below(%q, %q) = %v", test.root, test.dir, got)
		}
	}
}
