package fs

import (
	"os"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/moorfs/moorfs/cache"
)

func TestWithoutSetIDs(t *testing.T) {
	const group = 77
	member := fuse.Caller{Owner: fuse.Owner{Uid: 5, Gid: group}}
	stranger := fuse.Caller{Owner: fuse.Owner{Uid: 5, Gid: 5}} // of no process
	for _, c := range []struct {
		mode, want uint32
		who        fuse.Caller
	}{
		{0o4755, 0o755, member},
		{0o6777, 0o777, member},
		{0o2755, 0o755, member},
		{0o2644, 0o2644, member}, // no execution for the group: not set-group-ID
		{0o2644, 0o2644, fuse.Caller{}},
		{0o2644, 0o644, stranger},
		{0o1777, 0o1777, member},
		{0o644, 0o644, stranger},
	} {
		if got := withoutSetIDs(cache.Attr{Mode: c.mode, Gid: group}, c.who); got != c.want {
			t.Errorf("%o by user %d, group %d: got %o, want %o", c.mode, c.who.Uid, c.who.Gid, got, c.want)
		}
	}
}

func TestMembersOfGroups(t *testing.T) {
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	me := fuse.Caller{Owner: fuse.Owner{Uid: 5, Gid: 5}, Pid: uint32(os.Getpid())}
	for _, g := range groups {
		if !isMember(me, uint32(g)) {
			t.Errorf("not in group %d of %v", g, groups)
		}
	}
	const nobody = 1<<32 - 3
	if isMember(me, nobody) {
		t.Errorf("in group %d", uint32(nobody))
	}
}

func TestSetIDsMissNone(t *testing.T) {
	var s setIDs
	s.note(cache.Attr{Ino: 1, Mode: 0o4755})
	s.note(cache.Attr{Ino: 2, Mode: 0o2755})
	s.note(cache.Attr{Ino: 3, Mode: 0o1777})
	for ino, want := range map[cache.Ino]bool{1: true, 2: true, 3: false} {
		if s.maybe(ino) != want {
			t.Errorf("inode %d: %v", ino, !want)
		}
	}
	for ino := cache.Ino(10); ino < 10+2*maxSetIDs; ino++ {
		s.note(cache.Attr{Ino: ino, Mode: 0o4755})
	}
	if got := s.count.Load(); got != maxSetIDs {
		t.Errorf("%d inodes kept, want %d", got, maxSetIDs)
	}
	if !s.maybe(10+2*maxSetIDs-1) || !s.maybe(3) {
		t.Error("a full set must answer maybe for all")
	}
}

func TestChangeOf(t *testing.T) {
	in := &fuse.SetAttrIn{}
	in.Valid = fuse.FATTR_SIZE | fuse.FATTR_MODE | fuse.FATTR_GID | fuse.FATTR_MTIME
	in.Size, in.Mode, in.Owner.Gid, in.Mtime, in.Mtimensec = 1<<40, 0o100640, 12, 1700000000, 5
	ch, errno := changeOf(in)
	if errno != 0 || ch.Uid != nil || ch.Atime != nil {
		t.Fatalf("%+v, %v", ch, errno)
	}
	if *ch.Size != 1<<40 || *ch.Mode != 0o640 || *ch.Gid != 12 || ch.Mtime.UnixNano() != 1700000000000000005 {
		t.Errorf("size %d mode %o gid %d mtime %v", *ch.Size, *ch.Mode, *ch.Gid, *ch.Mtime)
	}
	in.Size = 1 << 63
	if _, errno := changeOf(in); errno != syscall.EFBIG {
		t.Errorf("size beyond int64: %v", errno)
	}
}
