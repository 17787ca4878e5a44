package programs

import "testing"

// TestCopyWithXattrs copies a tree that lies on the mount, extended attributes
// and all: those that moorfs makes up are no obstacle.
func TestCopyWithXattrs(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, `
mkdir -p a/sub; echo one >a/one; echo two >a/sub/two; ln -s one a/link
setfattr -n user.colour -v blue a/one; setfattr -n user.where -v here a/sub`)
	want := s.settle()
	for name, script := range map[string]string{
		"cp":    `cp -a a cp; cp -R --preserve=all a cp-all`,
		"rsync": `rsync -aX a/ rsync/; test -z "$(rsync -aXi a/ rsync/)"`,
		"tar":   `tar --xattrs --xattrs-include='user.*' -C a -cf "$L/a.tar" .; mkdir tar; tar --xattrs --xattrs-include='user.*' -C tar -xf "$L/a.tar"`,
		"local": `cp -a a "$L/local"; rsync -aX a/ "$L/rsync/"; rsync -aX "$L/rsync/" local`,
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t, s3: s.s3, mount: s.mount, local: s.local}
			if out := s.run(s.mount.Dir, script); out != "" {
				t.Errorf("%s says: %s", script, out)
			}
			got := s.manifest(s.mount.Path(name))
			for path, e := range got {
				if w := want["a/"+path]; e.xattrs != w.xattrs || e.sum != w.sum {
					t.Errorf("%s: %s, want %s", path, e, w)
				}
			}
			if len(got) != 4 {
				t.Errorf("%d names, want 4", len(got))
			}
		})
	}
	s.elsewhere(timed)
}
