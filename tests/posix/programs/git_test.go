package programs

import "testing"

// gitSetup keeps git from what this machine's users have set.
const gitSetup = `
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@host.example
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@host.example GIT_EDITOR=true GIT_CONFIG_COUNT=3
export GIT_CONFIG_KEY_0=gc.auto GIT_CONFIG_VALUE_0=0 GIT_CONFIG_KEY_1=advice.detachedHead GIT_CONFIG_VALUE_1=false
export GIT_CONFIG_KEY_2=safe.directory GIT_CONFIG_VALUE_2='*'
`

// history makes a repository at $1 whose branch main has 100 commits to files in
// directories: 2,300 objects.
const history = gitSetup + `
history() {
	git init -q -b main "$1"
	awk -v commits=$((100 * SCALE)) 'BEGIN {
		for (c = 1; c <= commits; c++) {
			text = sprintf("commit %d", c)
			printf "commit refs/heads/main\ncommitter C <c@host.example> %d +0000\ndata %d\n%s\n", 1600000000 + c, length(text), text
			for (f = 0; f < 16; f++) {
				body = ""
				for (i = 0; i <= f * 3; i++) body = body sprintf("line %d of file %d in commit %d\n", i, f, c * f % 7 + c)
				printf "M 100644 inline dir%d/sub%d/file%d.txt\ndata %d\n%s\n", c % 10, f % 4, f, length(body), body
			}
		}
	}' | git -C "$1" fast-import --quiet
	git -C "$1" reset -q --hard
}
`

// TestGit works in a clone on the mount: thousands of loose objects, branches,
// rebases, stashes, packs.
func TestGit(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, history+`
history source; git -C source branch early main~$((30 * SCALE)); git clone -q --no-local -b early --single-branch source "$M/clone"; cd "$M/clone"
git -c fetch.unpackLimit=1000000 fetch -q origin main:main; git checkout -q main
test $(git count-objects | cut -d' ' -f1) -gt $((500 * SCALE)); git fsck --strict --full
git checkout -q -b topic HEAD~5
for i in $(seq 10); do echo "topic $i" >>topic.txt; git add topic.txt; git commit -q -m "topic $i"; done
git rebase -q main; test "$(git log --oneline main..topic | wc -l)" = 10; git rebase -q -i --exec 'test -f topic.txt' main
git checkout -q -b side main~3; git rm -q -r dir3; git commit -q -m 'without dir3'; git tag -a -m v1 v1
git merge -q -m merged topic; git checkout -q main; git merge -q --ff-only topic
echo wip >>dir1/sub1/file1.txt; echo new >untracked; git stash push -q -u; test -z "$(git status --porcelain)"
git stash pop -q; test "$(git status --porcelain | wc -l)" = 2; git checkout -q .; rm untracked
git mv dir1/sub1/file1.txt dir1/moved.txt; git commit -q -a -m moved; git revert --no-edit HEAD >/dev/null
git worktree add -q ../tree side; git -C ../tree status --porcelain; git worktree remove ../tree
git reflog expire --expire=now --all; git gc -q --prune=now; git fsck --strict --full; git status --porcelain
test $(git count-objects | cut -d' ' -f1) = 0; git archive --format=tar HEAD | tar -tf - >/dev/null`)
	m := s.elsewhere(timed)
	s.run(m.Path("clone"), gitSetup+`
git fsck --strict --full; test -z "$(git status --porcelain)"; git log --stat | wc -l
git clone -q . "$L/back"; test "$(git -C "$L/back" rev-parse HEAD)" = "$(git rev-parse HEAD)"`)
}

// TestGitServer pushes to and fetches from a bare repository on the mount.
func TestGitServer(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, history+`
history source; git init -q -b main --bare "$M/bare.git"; cd source
git remote add origin "$M/bare.git"; git push -q -u origin main
for i in $(seq 8); do
	git checkout -q -b b$i main~$i; echo $i >mine; git add mine; git commit -q -m $i; git push -q origin b$i
done
git push -q origin --delete b1; git push -q -f origin b2:b3; git tag t1; git push -q --tags
git clone -q "$M/bare.git" "$M/one" & one=$!; git clone -q "$M/bare.git" "$L/two"; wait $one
work() { cd "$1"; echo "$2" >"mine.$2"; git add .; git commit -q -m "$2"; until git push -q 2>/dev/null; do git pull -q --rebase; done; }
(work "$M/one" 1) & one=$!; (work "$L/two" 2); wait $one
git -C "$M/bare.git" fsck --full --strict; test "$(git -C "$M/bare.git" log --oneline main | head -2 | wc -l)" = 2
git -C "$M/bare.git" repack -q -a -d; git -C "$M/bare.git" pack-refs --all; git -C "$M/one" pull -q --rebase; git -C "$M/one" fsck --full`)
	s.elsewhere(timed)
}

// TestGitMovesDirectories renames directories that have been uploaded, as git
// mv does, by rename(2) alone.
func TestGitMovesDirectories(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, history+`history source; git clone -q source "$M/clone"`)
	s.flush()
	s.run(s.mount.Path("clone"), gitSetup+`
git mv dir1 moved; git mv dir2/sub1 moved/inner; git commit -q -m moved; test -z "$(git status --porcelain)"
git mv moved dir1; git mv dir1/inner dir2/sub1; git commit -q -m back; git diff --quiet HEAD HEAD~2; git fsck --full`)
	s.elsewhere(timed)
}
