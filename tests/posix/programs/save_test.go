package programs

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSave changes a file as editors do. Whatever they do beside it, the
// bucket sees one PUT of the file and nothing else.
func TestSave(t *testing.T) {
	const vim = `vim.tiny -u NONE -i NONE -N -X -n -es -c 'set OPTIONS' -c '%s/old/new/' -c 'wq' text </dev/null`
	saves := map[string]string{
		"vim-rename":  strings.Replace(vim, "OPTIONS", "writebackup backupcopy=no", 1),
		"vim-copy":    strings.Replace(vim, "OPTIONS", "writebackup backupcopy=yes", 1),
		"vim-auto":    strings.Replace(vim, "OPTIONS", "writebackup backupcopy=auto", 1),
		"vim-plain":   strings.Replace(vim, "OPTIONS", "nowritebackup", 1),
		"vim-swap":    strings.Replace(strings.Replace(vim, " -n ", " ", 1), "OPTIONS", "directory=. updatecount=1 fsync", 1),
		"sed":         `sed -i s/old/new/ text`,
		"perl":        `perl -pi -e s/old/new/ text`,
		"append":      `sed -i /old/d text; echo new >>text; sed -i 's/^/a /' text`,
		"shell":       `sed s/old/new/ text >text.tmp && mv text.tmp text`,
		"twice":       `echo new >text; sleep 0.01; echo newer >text`,
		"python":      `python3 "$DATA/save.py" text`,
		"rsync":       `sed s/old/new/ text >"$L/text"; rsync -t "$L/text" text`,
		"cp":          `sed s/old/new/ text >"$L/text"; cp "$L/text" text`,
		"install":     `sed s/old/new/ text >"$L/text"; install -m 600 "$L/text" text`,
		"git-config":  `printf '[a]\n\tb = old\n' >text; git config -f text a.b new; git config -f text c.d new`,
		"tee":         `sed s/old/new/ text | python3 -c 'import sys; d = sys.stdin.read(); open("text", "w").write(d)'`,
		"lock-beside": `: >.~lock.text#; sed s/old/new/ text >lu1.tmp; mv lu1.tmp text; rm .~lock.text#`,
	}
	s := newSite(t, patient())
	for name := range saves {
		s.run(s.mount.Dir, `mkdir `+name+`; cd `+name+`; seq -f 'line %g, old' 300 >text; chmod 640 text; touch -d 2020-01-01 text`)
	}
	s.settle()
	for name, script := range saves {
		t.Run(name, func(t *testing.T) {
			s := &site{t: t, s3: s.s3, mount: s.mount, local: s.local}
			before := s.manifest(s.mount.Path(name))["text"]
			s.flush() // what an earlier save may have left
			s.s3.Proxy.Reset()
			s.run(s.mount.Path(name), script)
			s.flush()
			if got := s.writes(); got != "PutObject 1" {
				t.Errorf("the save takes %s, want one PutObject", got)
			}
			after := s.manifest(s.mount.Path(name))
			if len(after) != 1 || after["text"].sum == before.sum || after["text"].mtime == before.mtime {
				t.Errorf("after the save: %v, before: %v", after, before)
			}
			if !strings.HasPrefix(name, "vim") {
				return
			}
			if after["text"].mode != before.mode {
				t.Errorf("vim leaves mode %o, found %o", after["text"].mode, before.mode)
			}
		})
	}
	s.elsewhere(timed)
}

// TestBackup keeps the old version beside the new, as editors can: that is one
// PUT, and one copy at the server.
func TestBackup(t *testing.T) {
	s := newSite(t, patient())
	s.run(s.mount.Dir, `seq -f 'line %g, old' 300 >text`)
	old := s.settle()["text"]
	for backup, script := range map[string]string{
		"text~":    `vim.tiny -u NONE -i NONE -N -X -n -es -c 'set backup backupcopy=no' -c '%s/^/new /' -c wq text </dev/null`,
		"text.bak": `sed -i.bak 's/^/newer /' text`,
	} {
		before := s.manifest(s.mount.Dir)["text"]
		s.s3.Proxy.Reset()
		s.run(s.mount.Dir, script)
		after := s.settle()
		if got := s.writes(); got != "CopyObject 1, PutObject 1" {
			t.Errorf("the save with %s takes %s", backup, got)
		}
		if after[backup].sum != before.sum || after["text"].sum == before.sum {
			t.Errorf("after a save with a backup: %v, before: %v", after, before)
		}
	}
	if s.manifest(s.mount.Dir)["text"].sum == old.sum {
		t.Error(filepath.Join(s.mount.Dir, "text") + " has not changed")
	}
	s.elsewhere(timed)
}
