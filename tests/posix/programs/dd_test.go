package programs

import "testing"

// TestDD writes and reads in odd blocks, into the middle, at the end, past the
// end, and past the page cache.
func TestDD(t *testing.T) {
	s := newSite(t, prompt())
	s.run(s.local, `head -c $((3000017 * SCALE)) /dev/urandom >in`)
	s.both("dd", `
d() { dd status=none "$@"; }
d if="$L/in" of=a bs=7919; d if=a of=b ibs=333 obs=4099; cmp a b; d if=a of=c bs=1M iflag=fullblock; cmp a c
d if="$L/in" of=a bs=13 count=100 seek=1000 skip=7 conv=notrunc; cksum a
d if="$L/in" of=a bs=65537 count=2 oflag=append conv=notrunc; cksum a
d if="$L/in" of=b bs=512 count=3 seek=9999 ; cksum b
d if="$L/in" of=far bs=1 count=1 seek=9000000; d if=far bs=1000 skip=8999 | od -c
d if=/dev/null of=c bs=1 seek=12345; cksum c; d if=c of=c bs=100 skip=1 seek=50 count=10 conv=notrunc; cksum c
d if="$L/in" of=synced bs=10000 count=10 oflag=sync,dsync conv=fsync; cksum synced
d if="$L/in" of=sparse bs=4096 conv=sparse; d if=/dev/zero of=sparse bs=4096 count=20 conv=sparse,notrunc; cmp -n 2000000 sparse "$L/in" | head -1
d if="$L/in" of=swapped bs=1001 conv=swab,sync; cksum swapped; d if=swapped bs=3 count=5 skip=100 | od -c
truncate -s 1048576 whole; d if="$L/in" of=whole bs=4096 count=100 iflag=fullblock oflag=direct conv=notrunc; cksum whole
d if=whole of=w2 bs=8192 iflag=direct; cmp whole w2; d if=whole bs=4096 skip=3 count=2 iflag=direct | cksum
d if="$L/in" of=excl bs=100 count=1 conv=excl; d if="$L/in" of=excl bs=100 count=1 conv=excl 2>/dev/null && echo wrong || cksum excl
d if=excl of=missing bs=100 conv=nocreat 2>/dev/null && echo wrong || test ! -e missing`)
	s.elsewhere(timed)
	s.flush()
	s.run(s.mount.Dir, `
dd if="$L/in" of=dd/a bs=11 seek=5000 count=3 conv=notrunc status=none
printf x | dd of=dd/far bs=1 seek=4500000 conv=notrunc status=none; dd if=/dev/zero of=dd/whole bs=4096 count=1 seek=77 oflag=direct conv=notrunc status=none`)
	s.elsewhere(timed)
}

// TestZip packs a tree on the mount, changes the archive and unpacks it.
func TestZip(t *testing.T) {
	s := newSite(t, prompt())
	s.both("zip", project+`
project tree
zip -qry all.zip tree; unzip -tq all.zip; zip -qr stored.zip -0 tree/d1; unzip -Z1 all.zip | sort
echo changed >tree/d1/sub/f3; zip -qu all.zip tree/d1/sub/f3; zip -qd all.zip 'tree/d2/*'; unzip -Z1 all.zip | wc -l
mkdir out; unzip -q all.zip -d out; diff -r --no-dereference tree/d1 out/tree/d1; test ! -e out/tree/d2
unzip -qo all.zip -d out; zip -qm moved.zip tree/d4/sub/f*; ls tree/d4/sub; zip -q - tree/d3/sub/f1 | cat >piped.zip; unzip -p piped.zip
zip -qs 64k -r split.zip tree -0; ls split.z*; zip -q -s 0 split.zip --out joined.zip; unzip -tq joined.zip
cksum tree/d1/sub/f3; rm -f *.z* # archives hold times`)
	s.elsewhere(timed)
}

// TestMedia writes as muxers do: the header is patched at the end, and moved to
// the front in place or in a copy.
func TestMedia(t *testing.T) {
	s := newSite(t, prompt())
	s.both("media", `
python3 "$DATA/media.py" write a.mp4 $((300 * SCALE)); cksum a.mp4; python3 "$DATA/media.py" check a.mp4
cp a.mp4 b.mp4; python3 "$DATA/media.py" faststart b.mp4 c.mp4; cksum c.mp4; python3 "$DATA/media.py" check c.mp4
python3 "$DATA/media.py" shift b.mp4; cksum b.mp4; cmp b.mp4 c.mp4`)
	s.settle()
	s.run(s.mount.Path("media"), `
python3 "$DATA/media.py" shift a.mp4; cmp a.mp4 c.mp4; python3 "$DATA/media.py" tag c.mp4; python3 "$DATA/media.py" check c.mp4`)
	s.elsewhere(timed)
}
