package programs

import (
	"os"
	"testing"
)

// curiosities makes one of each kind of file in the working directory. Owners
// other than oneself, and devices, are for root.
const curiosities = `
mkdir -p dir/"with spaces" empty closed; chmod 500 closed; chmod 1777 dir; chmod 2755 empty
echo text >plain; chmod 604 plain
echo run >setuid; chmod 4755 setuid
echo tags >tagged; setfattr -n user.colour -v 'deep blue' tagged; setfattr -n user.bytes -v 0x00ff0a25 tagged
setfattr -n user.where -v here dir
truncate -s 3000000 sparse; printf mid | dd of=sparse bs=1 seek=1500001 conv=notrunc status=none
ln -s plain link; ln -s /no/such/place absolute; ln -s "$(printf 'x%.0s' $(seq 1000))" long
mkfifo -m 620 pipe
: >"$(printf 'n%.0s' $(seq 255))"; : >$'odd\nname\t\\ "quoted"'; : >'ünïcode – ☃'; : >-dash; : >.hidden
d=dir; for i in $(seq 10); do d=$d/level-$i-abcdefghijklmnopqrstuvwxyz; done; mkdir -p "$d"; echo deep >"$d/file"
if [ "$(id -u)" = 0 ]; then
	mknod block b 7 130; mknod char c 5 1; chown 1234:2345 plain; chown -h 77:88 link; chown 4000000000:4000000001 pipe
fi
touch -d '1969-12-31 23:59:58.5' plain; touch -d '2038-01-19 03:14:08.000000001' tagged
touch -h -d '2001-02-03 04:05:06.7' link; touch -d '2100-01-01' pipe
find . -depth -type d -print0 | xargs -0 touch -d '1999-12-31 23:59:59.999999999'
`

// TestTar moves every kind of file through tar, onto the mount and off it
// again.
func TestTar(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, `
mkdir src; cd src
`+curiosities+`
cd ..; tar --format=posix --xattrs --acls -S -p --numeric-owner -C src -cf in.tar .
mkdir "$M/tree"; tar --xattrs --acls -S -p --numeric-owner -C "$M/tree" -xf in.tar
tar -C "$M/tree" -df in.tar`)
	want := s.manifest(s.local + "/src")
	s.same(s.manifest(s.mount.Path("tree")), want, exact)
	second := s.elsewhere(exact)
	s.run(s.local, `
tar --format=posix --xattrs --xattrs-include='user.*' -S -p --numeric-owner -C `+second.Dir+`/tree -cf "$M/out.tar" .
mkdir out; tar --xattrs --xattrs-include='user.*' -p --numeric-owner -C out -xf "$M/out.tar"`)
	s.same(s.manifest(s.local+"/out"), want, exact)
	s.settle()
}

// TestTarOfManyFiles unpacks a source tree, flat and compressed, twice.
func TestTarOfManyFiles(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, project+`
project src; tar --format=posix -czf "$M/src.tar.gz" src
tar -xzf "$M/src.tar.gz" -C "$M"; tar -dzf "$M/src.tar.gz" -C "$M"
tar -xzf "$M/src.tar.gz" -C "$M" --overwrite; tar -xzf "$M/src.tar.gz" -C "$M" --recursive-unlink
tar -cf "$M/grows.tar" -C src d1; tar -rf "$M/grows.tar" -C src d2; tar -uf "$M/grows.tar" -C src d2 d3
tar --delete -f "$M/grows.tar" d1/empty
tar -cf grows.tar -C src d1; tar -rf grows.tar -C src d2; tar -uf grows.tar -C src d2 d3
tar --delete -f grows.tar d1/empty; cmp grows.tar "$M/grows.tar"`)
	s.same(s.manifest(s.mount.Path("src")), s.manifest(s.local+"/src"), exact)
	s.elsewhere(timed)
}

// TestMetadata changes the attributes of all kinds of files, uploaded and not,
// and looks at them on another machine.
func TestMetadata(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.mount.Dir, curiosities)
	first := s.elsewhere(exact)
	if err := first.Unmount(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		s.run(s.mount.Dir, `chown 5:6 setuid dir; chown -h 7:8 absolute; chown 9 block; mv char dir/terminal`)
	}
	s.run(s.mount.Dir, `
chmod 7 plain; chmod 711 dir; chmod 000 empty; chmod g-s,o+w pipe
setfattr -n user.colour -v red tagged; setfattr -x user.bytes tagged; setfattr -n user.new -v '' tagged; setfattr -x user.where dir
touch -h -d '2002-02-02 02:02:02.02' link long pipe; touch -m -d '2003-03-03' setuid; truncate -s 4000000 sparse
ln -sfn tagged absolute; mv pipe dir/pipe; mv long dir/longer; mv 'ünïcode – ☃' dir/
find . -depth -type d -print0 | xargs -0 touch -d '2012-12-12 12:12:12.121212121'`)
	s.elsewhere(exact)
}
