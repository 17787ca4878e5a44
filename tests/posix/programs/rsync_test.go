package programs

import (
	"strings"
	"testing"
)

// project makes a tree of files, directories and links in the directory $1,
// with times of its own.
const project = `
project() {
	mkdir -p "$1"; cd "$1"
	mkdir -m 2750 empty; mkdir -p $(seq -f 'd%g/sub/deep' $((8 * SCALE)))
	awk -v dirs=$((8 * SCALE)) 'BEGIN {
		for (d = 1; d <= dirs; d++) {
			for (f = 1; f <= 12; f++) {
				name = "d" d "/sub/f" f
				for (i = 0; i < d * f * 9; i++) printf "line %d of %s\n", i, name >name
				close(name)
			}
			name = "d" d "/notes with spaces.txt"; printf "notes of %d\n", d >name; close(name)
			name = "d" d "/empty"; printf "" >name; close(name)
		}
	}'
	chmod 640 d*/sub/f1; chmod 755 d*/sub/f2
	for d in d*; do ln -s ../d1/sub/f3 "$d/link"; ln -s nowhere "$d/sub/dangling"; done
	find . -depth -print0 | xargs -0 touch -h -d '2021-03-04 05:06:07.123456789'
	cd "$OLDPWD"
}
`

// TestRsync copies a tree again and again: what has been copied is not copied
// again, here or on another machine.
func TestRsync(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, project+`project src; rsync -a src/ "$M/tree/"`)
	s.same(s.manifest(s.mount.Path("tree")), s.manifest(s.local+"/src"), exact)
	s.nothing(`rsync -ai --delete src/ "$M/tree/"`)
	s.run(s.local, `
echo more >>src/d1/sub/f3; rm src/d2/sub/f4; mkdir src/new; echo new >src/new/file
chmod 600 src/d3/sub/f5; touch -d 2022-02-02 src/d4/sub/f6; ln -sfn elsewhere src/d5/link
find src -depth -newermt 2023-01-01 -print0 | xargs -0 touch -h -d '2023-04-05 06:07:08.9'
rsync -a --delete --delay-updates --backup-dir="$M/old" --backup src/ "$M/tree/"
test "$(head -1 "$M/old/d2/sub/f4")" = "line 0 of d2/sub/f4"`)
	s.same(s.manifest(s.mount.Path("tree")), s.manifest(s.local+"/src"), exact)
	second := s.elsewhere(timed)
	s.nothing(`rsync -ai --delete src/ ` + second.Dir + `/tree/`)
	s.nothing(`rsync -aic --delete src/ ` + second.Dir + `/tree/`)
	s.run(s.local, `rsync -a `+second.Dir+`/tree/ back/`)
	s.same(s.manifest(s.local+"/back"), s.manifest(s.local+"/src"), exact)
}

// nothing runs an rsync that has nothing to transfer.
func (s *site) nothing(script string) {
	s.t.Helper()
	if out := strings.TrimSpace(s.run(s.local, script)); out != "" {
		s.t.Errorf("%s transfers:\n%s", script, out)
	}
}

// TestRsyncInPlace lets rsync write into the middle and at the end of files.
func TestRsyncInPlace(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, `
head -c $((9000000 * SCALE + 123)) /dev/urandom >image
cp image log; rsync -a image log "$M/"`)
	s.flush()
	s.run(s.local, `
printf 'changed here' | dd of=image bs=1 seek=4000001 conv=notrunc status=none
head -c 70001 /dev/urandom >>log; touch -d 2024-01-01 image log
rsync -a --inplace --no-whole-file image "$M/"
rsync -a --append log "$M/"
cmp image "$M/image"; cmp log "$M/log"`)
	s.flush()
	s.run(s.local, `
truncate -s 5000000 image; head -c 1 /dev/urandom >>log; touch -d 2024-02-02 image log
rsync -a --inplace --no-whole-file image "$M/"
rsync -a --append-verify log "$M/"
rsync -a --partial --partial-dir=.partial image "$M/again"`)
	s.same(tree{"image": s.manifest(s.mount.Dir)["image"], "log": s.manifest(s.mount.Dir)["log"]}, s.manifest(s.local), timed)
	s.nothing(`rsync -ai image log "$M/"`)
	s.elsewhere(timed)
}
