package fs

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	fsType = "moorfs"

	maxWrite      = 1 << 20    // bytes of one READ or WRITE
	maxBackground = 128        // read-ahead requests under way
	maxInflight   = 64 << 20   // bytes of requests under way
	maxName       = 255        // bytes of a name
	readAheadKiB  = 1 << 10    // of the mount's bdi
	msMgcVal      = 0xC0ED0000 // mount(2): no flags, and that on purpose
)

// Options say how a cache is mounted.
type Options struct {
	Mountpoint string // a directory; made absolute
	Source     string // s3://bucket/prefix: what mount(8) and df(1) show

	AllowOther bool // users other than the mounting one may enter
	AllowRoot  bool // only root besides the mounting user may enter
	ReadOnly   bool
	Dev, Suid  bool // device files and set-ID bits work; only root may ask for that
	Nonempty   bool // the mountpoint may have files in it, which the mount hides
	Xattrs     bool

	EntryTTL    time.Duration // how long the kernel believes a name
	AttrTTL     time.Duration // and attributes
	NegativeTTL time.Duration // and that there is no such name

	Debug       bool     // log every request
	FuseOptions []string // as mount(8) names them: "noexec", "noatime", …
	Log         *slog.Logger
}

// mountFlags are the options that mount(2) wants as bits. Those with 0 say
// what is so anyway.
var mountFlags = map[string]uintptr{
	"noexec":      syscall.MS_NOEXEC,
	"noatime":     syscall.MS_NOATIME,
	"nodiratime":  syscall.MS_NODIRATIME,
	"sync":        syscall.MS_SYNCHRONOUS,
	"dirsync":     syscall.MS_DIRSYNC,
	"ro":          syscall.MS_RDONLY,
	"nosuid":      syscall.MS_NOSUID,
	"nodev":       syscall.MS_NODEV,
	"rw":          0,
	"exec":        0,
	"atime":       0,
	"diratime":    0,
	"relatime":    0,
	"strictatime": 0,
	"async":       0,
}

// asRoot reports whether mount(2) is called directly rather than by
// fusermount3.
func asRoot() bool { return os.Geteuid() == 0 }

// flags returns the flags of mount(2), or an error naming an option that is
// not known.
func (o Options) flags() (uintptr, error) {
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV)
	if o.Dev {
		flags &^= syscall.MS_NODEV
	}
	if o.Suid {
		flags &^= syscall.MS_NOSUID
	}
	if o.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	for _, name := range o.FuseOptions {
		f, known := mountFlags[name]
		if !known {
			return 0, fmt.Errorf("mount option %q is not known", name)
		}
		flags |= f
	}
	if (o.Dev || o.Suid) && !asRoot() {
		return 0, fmt.Errorf("mount options dev and suid are for root")
	}
	if flags == 0 {
		flags = msMgcVal
	}
	return flags, nil
}

// words returns the same for fusermount3, which takes them by name; nosuid and
// nodev it sets by itself.
func (o Options) words() []string {
	words := []string{"default_permissions"}
	if o.ReadOnly {
		words = append(words, "ro")
	}
	for _, name := range o.FuseOptions {
		if f := mountFlags[name]; f != 0 && !(o.ReadOnly && name == "ro") {
			words = append(words, name)
		}
	}
	return words
}

// fuse translates the options into go-fuse's.
func (o Options) fuse() (*gofuse.Options, error) {
	flags, err := o.flags()
	if err != nil {
		return nil, err
	}
	level := slog.LevelWarn
	if o.Debug {
		level = slog.LevelInfo
	}
	logger := slog.NewLogLogger(o.Log.With("part", "fuse").Handler(), level)
	out := &gofuse.Options{
		NullPermissions: true,
		ExternalNodeID:  true,
		Logger:          logger,
		MountOptions: fuse.MountOptions{
			FsName:                  o.Source,
			Name:                    fsType,
			AllowOther:              o.AllowOther || o.AllowRoot && !asRoot(),
			Options:                 []string{"default_permissions"},
			MaxWrite:                maxWrite,
			MaxReadAhead:            maxWrite,
			MaxBackground:           maxBackground,
			MaxInflightRequestBytes: maxInflight,
			DisableXAttrs:           !o.Xattrs,
			DisableSplice:           true, // answers come from memory
			Debug:                   o.Debug,
			Logger:                  logger,
			ExtraCapabilities:       fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ASYNC_DIO,
			DisabledCapabilities:    fuse.CAP_PASSTHROUGH,
			PanicHandler:            o.panicked,
		},
	}
	if asRoot() {
		out.DirectMountStrict, out.DirectMountFlags = true, flags
	} else {
		out.MountOptions.Options = o.words()
	}
	if o.NegativeTTL > 0 {
		out.NegativeTimeout = &o.NegativeTTL
	}
	return out, nil
}
