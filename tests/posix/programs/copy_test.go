package programs

import "testing"

// TestCopyAndMove copies, moves, finds and deletes with coreutils and
// findutils.
func TestCopyAndMove(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, project+`
project src; cp -a src "$M/a"; cp -a "$M/a" "$M/b"; diff -r --no-dereference src "$M/b"`)
	want := s.manifest(s.local + "/src")
	s.same(s.manifest(s.mount.Path("a")), want, exact)
	s.same(s.manifest(s.mount.Path("b")), want, exact)
	s.flush()
	s.run(s.mount.Dir, `
mkdir files; mv a/d1/sub/f* files/; mv b/d2 moved; mv -T moved/sub moved/inner; cp -a --reflink=auto b/d3 c
cp --sparse=always b/d4/sub/f9 sparse; mv -n files/f1 files/f2; mv -f files/f3 files/f4; mv files b/`)
	s.settle()
	s.run(s.mount.Dir, `rm -r a; mv b/files/f4 .; rm -rf b/d*; rmdir b/empty; mv b b2; mv b2 b; rm -r moved`)
	s.elsewhere(timed)
}

// TestFind asks for files by their times, sizes and kinds.
func TestFind(t *testing.T) {
	s := newSite(t, prompt())
	s.both("find", project+`
project .
find . -newer d1/sub/f1 | sort
echo later >stamp; touch -d '2021-03-04 05:06:07.2' d2/sub/f3 d3/sub/f4; touch -d '2021-03-04 05:06:07.15' stamp
find . -newer stamp -type f | sort; find . -type f ! -newer stamp | sort | wc -l
find . -newermt 2021-03-05 -type f | sort
find . -type l -xtype l | sort; find . -size +3k -name 'f*' | sort; find . -empty | sort; find . -perm 640 | sort
find . -name 'f1*' -delete; find . -type d -name deep -exec rmdir {} +; find . -printf '%p %y %l %m\n' | sort; find . -type f -printf '%p %s %TF %TT\n' | grep -v stamp | sort
find d1 -type f -print0 | du -c -b --files0-from=- | sort -k2; grep -rl 'notes of' . | sort`)
	s.elsewhere(timed)
}

// TestFileTools runs tools that rewrite, shrink, split and lock files.
func TestFileTools(t *testing.T) {
	s := newSite(t, prompt())
	s.both("tools", `
seq 20000 >n; sort -rn -o n n; head -3 n; split -l 3000 n part.; cat part.* | cmp - n; shuf -o n --random-source=n n; sort -n n | md5sum
tac n >>n.2; wc n.2; truncate -s 1000 n; truncate -s +5000 n; cksum n; tail -c 10 n | od -c
install -D -m 711 n sub/dir/installed; cp -p n copy; cp -b n copy; cp --backup=numbered n copy; ls
fallocate -l 40000 space; fallocate -p -o 4096 -l 8192 space; fallocate -z -o 100 -l 10 space; stat -c %s space
shred -u part.aa; shred -n 1 -z -x part.ab; ls; cksum part.ab; mkdir x; touch x/{1..50}; rm x/{10..40}; ls x
t=$(mktemp -d -p .); date >"$t/now"; rm -r "$t"; mkdir -p p/q/r; rmdir -p p/q/r; chmod -R u=rwX,go= sub; rm n.2
(flock 9; echo locked; flock -n n true && echo no || echo busy) 9<n; ln -s n l; cp -P l l2; cp -L l l3; readlink -f l2 | xargs basename
exec 5<>n; printf X >&5; rm n; printf Y >&5; head -c 3 /proc/self/fd/5 | od -c; exec 5>&-; test ! -e n`)
	s.elsewhere(timed)
}
