package semantics

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorfs/moorfs/s3backend/s3test"
	"github.com/moorfs/moorfs/tests/harness"
)

var attributeChecks = map[string]check{
	"Format":              checkFormat,
	"Defaults":            checkDefaults,
	"Permissions":         checkPermissions,
	"Set-ID bits":         checkSetIDBits,
	"Asking":              checkAsking,
	"Inode numbers":       checkInodeNumbers,
	"Times":               checkTimes,
	"Links":               checkLinks,
	"Sizes":               checkSizes,
	"Extended attributes": checkExtendedAttributes,
	"State":               checkState,
	"What others set":     checkWhatOthersSet,
	"Another machine":     checkAnotherMachine,
}

// A spelling is how some other tool writes attributes. In each the object is
// what its key says, owned by 1001:1002, of 2023-11-14 22:13:20.
type spelling struct {
	name  string
	meta  map[string]string
	mode  uint32
	nanos int64
	owned bool
	after map[string]string // what is to be there after a chmod to 0600 here; empty: whatever
}

const when = 1_700_000_000

var spellings = []spelling{
	{"datasync", map[string]string{"file-permissions": "0100640", "file-owner": "1001", "file-group": "1002",
		"file-mtime": "1700000000123456789ns", "file-atime": "1700000001000000000ns"}, syscall.S_IFREG | 0o640, 123456789, true,
		map[string]string{"file-permissions": "0100600", "file-owner": "1001", "file-mtime": "1700000000123456789ns", "file-atime": "1700000001000000000ns"}},
	{"datasync-short", map[string]string{"file-permissions": "0640", "file-owner": "1001", "file-group": "1002", "file-mtime": "1700000000ns"},
		syscall.S_IFREG | 0o640, -1, true, map[string]string{"file-permissions": "0100600"}},
	{"s3fs", map[string]string{"mode": "33184", "uid": "1001", "gid": "1002", "mtime": "1700000000"}, syscall.S_IFREG | 0o640, 0, true,
		map[string]string{"mode": "33152", "uid": "1001", "mtime": "1700000000"}},
	{"s3fs-nanoseconds", map[string]string{"mode": "33184", "uid": "1001", "gid": "1002", "mtime": "1700000000.000000007", "ctime": "1700000000.5", "atime": "1700000001"},
		syscall.S_IFREG | 0o640, 7, true, map[string]string{"mode": "33152", "mtime": "1700000000.000000007"}},
	{"geesefs", map[string]string{"mode": "0640", "uid": "1001", "gid": "1002", "mtime": "1700000000"}, syscall.S_IFREG | 0o640, 0, true, nil},
	{"geesefs-link", map[string]string{"--symlink-target": "target", "mtime": "1700000000"}, syscall.S_IFLNK | 0o644, 0, false, nil},
	{"geesefs-tty", map[string]string{"mode": "8576", "rdev": "1281", "uid": "1001", "gid": "1002"}, syscall.S_IFCHR | 0o600, -1, true, nil},
	{"rclone", map[string]string{"mtime": "1700000000.123456789"}, syscall.S_IFREG | 0o644, 123456789, false,
		map[string]string{"mtime": "1700000000.123456789", "file-permissions": "0100600"}},
	{"s3fs-link", map[string]string{"mode": "41471", "uid": "1001", "gid": "1002", "mtime": "1700000000"}, syscall.S_IFLNK | 0o777, 0, true, nil},
	{"datasync-link", map[string]string{"file-permissions": "0120777", "file-owner": "1001", "file-group": "1002", "file-mtime": "1700000000000000000ns"},
		syscall.S_IFLNK | 0o777, 0, true, nil},
	{"s3fs-fifo", map[string]string{"mode": "4516", "uid": "1001", "gid": "1002", "mtime": "1700000000"}, syscall.S_IFIFO | 0o644, 0, true, nil},
	{"s3fs-directory/", map[string]string{"mode": "16872", "uid": "1001", "gid": "1002", "mtime": "1700000000"}, syscall.S_IFDIR | 0o750, 0, true,
		map[string]string{"mode": "16768"}},
	{"datasync-directory/", map[string]string{"file-permissions": "0040750", "file-owner": "1001", "file-group": "1002", "file-mtime": "1700000000000000000ns"},
		syscall.S_IFDIR | 0o750, 0, true, map[string]string{"file-permissions": "0040600"}},
	{"nonsense", map[string]string{"mode": "rw-r--r--", "uid": "alice", "file-owner": "-1", "file-mtime": "yesterday", "mtime": "x.y"},
		syscall.S_IFREG | 0o644, -1, false, map[string]string{"file-permissions": "0100600"}},
}

func checkFormat(t *testing.T, s *stage) {
	dir, _, key := s.dir(t)
	for _, sp := range spellings {
		body := ""
		if kind := sp.mode & syscall.S_IFMT; kind == syscall.S_IFREG || kind == syscall.S_IFLNK && sp.meta["--symlink-target"] == "" {
			body = "target"
		}
		s.put(t, key+sp.name, body, sp.meta)
	}
	m := s.mount(t, "--write-back", "1h")
	for _, sp := range spellings {
		path := m.Path(key + sp.name)
		st := stat(t, path)
		equal(t, "the mode of "+sp.name, st.Mode, sp.mode)
		if sp.owned {
			equal(t, "the owner of "+sp.name, [2]uint32{st.Uid, st.Gid}, [2]uint32{1001, 1002})
		}
		if sp.nanos >= 0 {
			equal(t, "the time of "+sp.name, st.Mtim, syscall.Timespec{Sec: when, Nsec: sp.nanos})
		}
		if sp.mode&syscall.S_IFMT == syscall.S_IFLNK {
			target, err := os.Readlink(path)
			ok(t, err)
			equal(t, "the target of "+sp.name, target, "target")
			continue
		}
		ok(t, os.Chmod(path, 0o600))
	}
	flush(t, m)
	for _, sp := range spellings {
		got := s.head(t, key+sp.name).Meta
		for name, want := range sp.after {
			equal(t, "after chmod, "+name+" of "+sp.name, got[name], want)
		}
	}
	write(t, filepath.Join(dir, "ours"), "x")
	ok(t, os.Chown(filepath.Join(dir, "ours"), 1001, 1002))
	ok(t, os.Chtimes(filepath.Join(dir, "ours"), time.Unix(when, 1), time.Unix(when, 2)))
	flush(t, s.here, base(dir))
	got := s.head(t, key+"ours").Meta
	for name, want := range map[string]string{"file-permissions": "0100644", "file-owner": "1001", "file-group": "1002",
		"file-mtime": "1700000000000000002ns", "file-atime": "1700000000000000001ns"} {
		equal(t, name, got[name], want)
	}
}

func checkDefaults(t *testing.T, s *stage) {
	_, _, key := s.dir(t)
	s.put(t, key+"sub/file", "x", nil)
	changed, err := http.ParseTime(s.head(t, key+"sub/file").Header.Get("Last-Modified"))
	ok(t, err)
	m := s.mount(t, "--file-mode", "0604", "--dir-mode", "0711", "--uid", "4001", "--gid", "4002")
	st, dir := stat(t, m.Path(key, "sub", "file")), stat(t, m.Path(key, "sub"))
	equal(t, "the file's mode", st.Mode, syscall.S_IFREG|0o604)
	equal(t, "the directory's mode", dir.Mode, syscall.S_IFDIR|0o711)
	equal(t, "the file's owner", [2]uint32{st.Uid, st.Gid}, [2]uint32{4001, 4002})
	equal(t, "the directory's owner", [2]uint32{dir.Uid, dir.Gid}, [2]uint32{4001, 4002})
	equal(t, "the file's time", st.Mtim.Sec, changed.Unix())
}

func checkPermissions(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	open, group := filepath.Join(dir, "open"), filepath.Join(dir, "group")
	ok(t, os.Mkdir(open, 0o755))
	ok(t, syscall.Chmod(open, 0o1777))
	ok(t, os.Mkdir(group, 0o755))
	ok(t, os.Chown(group, alice, bob))
	ok(t, syscall.Chmod(group, 0o2775))
	_, err := as(alice, "sh", "-c", "umask 077; echo secret > "+open+"/a; mkdir "+open+"/d; touch "+group+"/f; mkdir "+group+"/sub")
	ok(t, err)
	st := stat(t, open+"/a")
	equal(t, "the owner of a new file", [2]uint32{st.Uid, st.Gid}, [2]uint32{alice, alice})
	equal(t, "its mode", st.Mode&0o7777, 0o600)
	equal(t, "the mode of a new directory", stat(t, open+"/d").Mode&0o7777, 0o700)
	equal(t, "the group in a set-group-ID directory", stat(t, group+"/f").Gid, bob)
	equal(t, "the mode of a directory in it", stat(t, group+"/sub").Mode&0o7777, 0o2700)
	for _, command := range []string{"cat " + open + "/a", "ls " + open + "/d", "rm -f " + open + "/a", "touch " + dir + "/new", "chmod 777 " + open + "/a",
		"mv " + open + "/a " + open + "/b"} {
		if out, err := as(bob, "sh", "-c", command); err == nil {
			t.Errorf("another user may %s: %s", command, out)
		}
	}
	if _, err := as(alice, "cat", open+"/a"); err != nil {
		t.Error(err)
	}
}

func checkSetIDBits(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	ok(t, syscall.Chmod(dir, 0o777))
	for name, command := range map[string]string{"written": "echo more >> ", "truncated": "truncate -s 1 "} {
		path := filepath.Join(dir, name)
		write(t, path, "content")
		ok(t, os.Chown(path, alice, alice))
		ok(t, syscall.Chmod(path, 0o6755))
		_, err := as(alice, "sh", "-c", command+path)
		ok(t, err)
		equal(t, "the mode of what was "+name, stat(t, path).Mode&0o7777, 0o755)
	}
	path := filepath.Join(dir, "given")
	write(t, path, "content")
	ok(t, syscall.Chmod(path, 0o6755))
	ok(t, os.Chown(path, bob, bob))
	equal(t, "the mode of what was given away", stat(t, path).Mode&0o7777, 0o755)
	mounts, err := os.ReadFile("/proc/self/mounts")
	ok(t, err)
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[1] == s.here.Dir && (!strings.Contains(f[3], "nosuid") || !strings.Contains(f[3], "nodev")) {
			t.Errorf("mounted with %s", f[3])
		}
	}
}

func checkAsking(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	for _, name := range []string{"a", "b", "c"} {
		s.put(t, name, "x", map[string]string{"file-permissions": "0100600"})
	}
	walk := func(m *harness.Mount, mode uint32) int {
		s.Proxy.Reset()
		for _, name := range listed(t, m.Dir) {
			equal(t, "the mode of "+name, stat(t, m.Path(name)).Mode&0o7777, mode)
		}
		return s.Proxy.Counts()["HeadObject"]
	}
	m := s.mount(t, "--attrs", "exact")
	equal(t, "HEADs of the first walk", walk(m, 0o600), 3)
	equal(t, "HEADs of the second walk", walk(m, 0o600), 0)
	ok(t, m.Unmount())
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache, Options: []string{"--attrs", "exact"}})
	equal(t, "HEADs of the next mount", walk(m, 0o600), 0)
	equal(t, "HEADs with --attrs list", walk(s.mount(t, "--attrs", "list"), 0o644), 0)
}

func checkInodeNumbers(t *testing.T, _ *stage) {
	s := &stage{S3: harness.Versity(t)}
	s.put(t, "theirs/file", "x", nil)
	m := s.mount(t)
	write(t, m.Path("ours"), "x")
	ok(t, os.Mkdir(m.Path("dir"), 0o755))
	names := []string{"ours", "dir", "theirs", "theirs/file"}
	var before []uint64
	for _, name := range names {
		before = append(before, stat(t, m.Path(name)).Ino)
	}
	ok(t, m.Unmount())
	m = mountOf(t, s.S3, harness.Spec{Cache: m.Cache})
	for i, name := range names {
		equal(t, "the inode of "+name, stat(t, m.Path(name)).Ino, before[i])
	}
}

func checkTimes(t *testing.T, s *stage) {
	dir, there, _ := s.dir(t)
	want := []syscall.Timespec{{Sec: when, Nsec: 123456789}, {Sec: when + 1, Nsec: 987654321}}
	path := filepath.Join(dir, "file")
	write(t, path, "x")
	born := stat(t, path)
	if born.Mtim.Nsec == 0 && born.Ctim.Nsec == 0 {
		t.Errorf("made at %+v", born.Mtim)
	}
	ok(t, syscall.UtimesNano(path, want))
	flush(t, s.here, base(dir))
	for _, p := range []string{path, filepath.Join(there, "file")} {
		st := stat(t, p)
		equal(t, "the access time of "+p, st.Atim, want[0])
		equal(t, "the modification time of "+p, st.Mtim, want[1])
	}
	holds(t, path, "x")
	if read := stat(t, path).Atim; read == want[0] {
		t.Errorf("reading left the access time")
	}
	holds(t, path, "x")
	flush(t, s.here)
	equal(t, "the access time elsewhere", stat(t, filepath.Join(there, "file")).Atim, want[0])
	ok(t, syscall.UtimesNano(path, []syscall.Timespec{{Sec: 1 << 34}, {Sec: -1 << 34}}))
	st := stat(t, path)
	equal(t, "the last time", time.Unix(st.Atim.Unix()).UTC().Year(), 2262)
	equal(t, "the first time", time.Unix(st.Mtim.Unix()).UTC().Year(), 1677)
}

func checkLinks(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	for _, name := range []string{"a", "b"} {
		ok(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	write(t, filepath.Join(dir, "file"), "x")
	equal(t, "the links of a directory made here", stat(t, dir).Nlink, 4)
	s.put(t, key+"c/deep/file", "x", nil)
	flush(t, s.here)
	equal(t, "the links of a directory not listed", stat(t, filepath.Join(there, "c")).Nlink, 1)
}

func checkSizes(t *testing.T, s *stage) {
	dir, _, _ := s.dir(t)
	path := filepath.Join(dir, "sparse")
	f, err := os.Create(path)
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("end"), 1<<20)
	ok(t, err)
	st := stat(t, path)
	equal(t, "the size", st.Size, 1<<20+3)
	if st.Blocks == 0 || st.Blocks > 128 {
		t.Errorf("%d blocks for three bytes behind a hole", st.Blocks)
	}
	write(t, filepath.Join(dir, "full"), strings.Repeat("x", 1<<20))
	if n := stat(t, filepath.Join(dir, "full")).Blocks; n < 2048 || n > 2100 {
		t.Errorf("%d blocks for a mebibyte", n)
	}
	var fs syscall.Statfs_t
	ok(t, syscall.Statfs(dir, &fs))
	if free := fs.Bavail * uint64(fs.Bsize); free < 1<<40 || fs.Ffree < 1<<20 || fs.Namelen != 255 {
		t.Errorf("statfs shows %+v", fs)
	}
}

func checkExtendedAttributes(t *testing.T, s *stage) {
	dir, there, key := s.dir(t)
	path, value := filepath.Join(dir, "file"), []byte("ä\x00\xff = %")
	write(t, path, "x")
	ok(t, syscall.Setxattr(path, "user.Colour key", value, 0))
	fails(t, syscall.Setxattr(path, "user.Colour key", nil, 1), syscall.EEXIST)
	fails(t, syscall.Setxattr(path, "user.none", nil, 2), syscall.ENODATA)
	fails(t, syscall.Setxattr(path, "trusted.x", value, 0), syscall.ENOTSUP)
	fails(t, syscall.Setxattr(path, "user.big", bytes.Repeat([]byte("x"), 2048), 0), syscall.ENOSPC)
	flush(t, s.here, base(dir))
	found := false
	for name := range s.head(t, key+"file").Meta {
		found = found || strings.Contains(strings.ToLower(name), "xattr")
	}
	equal(t, "that the object has it", found, true)
	equal(t, "the value there", xattr(t, filepath.Join(there, "file"), "user.Colour key"), string(value))
	ok(t, syscall.Removexattr(path, "user.Colour key"))
	flush(t, s.here, base(dir))
	other := s.mount(t)
	equal(t, "the value after its removal", xattr(t, other.Path(key, "file"), "user.Colour key"), "")
}

func checkState(t *testing.T, s *stage) {
	dir, _, key := s.dir(t)
	path := filepath.Join(dir, "file")
	write(t, path, "x")
	equal(t, "the ETag of what is not in the bucket", xattr(t, path, "user.s3.etag"), "")
	if state := xattr(t, path, "user.moorfs.state"); !strings.HasPrefix(state, "dirty") && !strings.HasPrefix(state, "uploading") {
		t.Errorf("the state is %q", state)
	}
	flush(t, s.here, base(dir))
	equal(t, "the ETag", xattr(t, path, "user.s3.etag"), s.head(t, key+"file").ETag)
	equal(t, "the version", xattr(t, path, "user.s3.version-id"), "null")
	equal(t, "the state", xattr(t, path, "user.moorfs.state"), "synced")
	buf := make([]byte, 1024)
	n, err := syscall.Listxattr(path, buf)
	ok(t, err)
	names := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
	for _, name := range []string{"user.s3.etag", "user.s3.version-id", "user.moorfs.state"} {
		equal(t, "that "+name+" is listed", slices.Contains(names, name), false)
		fails(t, syscall.Setxattr(path, name, []byte("x"), 0), syscall.ENOTSUP)
	}
}

func checkWhatOthersSet(t *testing.T, _ *stage) {
	s := &stage{S3: harness.MinIO(t)}
	raw, err := s3test.NewRaw(s.Server, s.Bucket)
	ok(t, err)
	raw.Header = http.Header{"Content-Type": {"text/x-special"}, "Cache-Control": {"max-age=77"}, "Content-Language": {"fr"},
		"X-Amz-Meta-Project": {"moor"}, "X-Amz-Tagging": {"colour=blue"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}}
	for _, key := range []string{"edited", "before", "mode"} {
		ok(t, raw.Put(t.Context(), key, []byte("x"), nil))
	}
	m := s.mount(t, "--write-back", "1h")
	f, err := os.OpenFile(m.Path("edited"), os.O_WRONLY|os.O_APPEND, 0)
	ok(t, err)
	_, err = f.WriteString("y")
	ok(t, err)
	ok(t, f.Close())
	ok(t, os.Rename(m.Path("before"), m.Path("renamed")))
	ok(t, os.Chmod(m.Path("mode"), 0o600))
	flush(t, m)
	for _, key := range []string{"edited", "renamed", "mode"} {
		o := s.head(t, key)
		for name, want := range map[string]string{"Content-Type": "text/x-special", "Cache-Control": "max-age=77", "Content-Language": "fr",
			"X-Amz-Meta-Project": "moor", "X-Amz-Tagging-Count": "1", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"} {
			equal(t, name+" of what was "+key, o.Header.Get(name), want)
		}
	}
}

func checkAnotherMachine(t *testing.T, s *stage) {
	dir, there, _ := s.dir(t)
	write(t, filepath.Join(dir, "file"), "content")
	write(t, filepath.Join(dir, "run"), "content")
	write(t, filepath.Join(dir, "empty"), "")
	ok(t, syscall.Chmod(filepath.Join(dir, "run"), 0o4751))
	ok(t, os.Symlink("file", filepath.Join(dir, "link")))
	ok(t, os.Symlink(strings.Repeat("../long/", 511)+"x", filepath.Join(dir, "far")))
	ok(t, os.Symlink("\xff\n ü", filepath.Join(dir, "bytes")))
	ok(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o620))
	ok(t, syscall.Mknod(filepath.Join(dir, "socket"), syscall.S_IFSOCK|0o755, 0))
	ok(t, syscall.Mknod(filepath.Join(dir, "tty"), syscall.S_IFCHR|0o660, 5<<8|1))
	ok(t, syscall.Mknod(filepath.Join(dir, "disk"), syscall.S_IFBLK|0o640, 259<<8|0x45))
	ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	ok(t, syscall.Chmod(filepath.Join(dir, "sub"), 0o3775))
	names := listed(t, dir)
	for i, name := range names {
		path := filepath.Join(dir, name)
		mode := stat(t, path).Mode
		ok(t, os.Lchown(path, 1000+i, 2000+i))
		if f := mode & syscall.S_IFMT; f != syscall.S_IFLNK {
			ok(t, syscall.Chmod(path, mode&0o7777)) // which the change of owner took bits from
		}
		if f := mode & syscall.S_IFMT; f == syscall.S_IFREG || f == syscall.S_IFDIR {
			ok(t, syscall.Setxattr(path, "user.mark", []byte(name), 0))
			ok(t, syscall.UtimesNano(path, []syscall.Timespec{{Sec: when, Nsec: int64(i)}, {Sec: when - 1, Nsec: 999_999_999}}))
		}
	}
	flush(t, s.here, base(dir))
	equal(t, "the names there", strings.Join(listed(t, there), " "), strings.Join(names, " "))
	for _, name := range names {
		sameInode(t, filepath.Join(dir, name), filepath.Join(there, name))
	}
}

// sameInode fails the test unless two paths show the same but for the numbers
// of inode and device, and the times of changes.
func sameInode(t *testing.T, a, b string) {
	t.Helper()
	sa, sb := stat(t, a), stat(t, b)
	if sa.Mode != sb.Mode || sa.Uid != sb.Uid || sa.Gid != sb.Gid || sa.Rdev != sb.Rdev || sa.Mtim != sb.Mtim || sa.Atim != sb.Atim {
		t.Errorf("%s is %+v\nthere %+v", base(a), sa, sb)
	}
	switch sa.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		equal(t, "the size of "+base(a), sb.Size, sa.Size)
		content, err := os.ReadFile(a)
		ok(t, err)
		holds(t, b, string(content))
		equal(t, "the attribute of "+base(a), xattr(t, b, "user.mark"), xattr(t, a, "user.mark"))
	case syscall.S_IFDIR:
		equal(t, "the attribute of "+base(a), xattr(t, b, "user.mark"), xattr(t, a, "user.mark"))
	case syscall.S_IFLNK:
		ta, err := os.Readlink(a)
		ok(t, err)
		tb, err := os.Readlink(b)
		ok(t, err)
		equal(t, "the target of "+base(a), tb, ta)
		equal(t, "the size of "+base(a), sb.Size, sa.Size)
	}
}
