package cache

import (
	"fmt"
	"mime"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/moorfs/moorfs/cache/journal"
	"github.com/moorfs/moorfs/s3backend"
)

// Names of user metadata. The file-* ones are those that AWS DataSync, FSx for
// Lustre and File Gateway share
// (https://docs.aws.amazon.com/fsx/latest/LustreGuide/posix-metadata-support.html).
const (
	metaPermissions = "file-permissions"
	metaOwner       = "file-owner"
	metaGroup       = "file-group"
	metaMtime       = "file-mtime"
	metaAtime       = "file-atime"
	metaNonce       = "moorfs-nonce"
	metaXattr       = "xattr-" // percent-encoded name and value follow

	metaLinkTarget = "--symlink-target" // geesefs: a symlink's target, percent-encoded; the body is empty
)

// metaLimit is what S3 takes of user metadata, names and values together
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
const metaLimit = 2048

// typeBits are the file type bits of st_mode (inode(7)).
var typeBits = map[Kind]uint32{
	Fifo: 0o010000, CharDevice: 0o020000, Dir: 0o040000, BlockDevice: 0o060000, File: 0o100000, Symlink: 0o120000, Socket: 0o140000,
}

func kindOfMode(mode uint32) Kind {
	for k, bits := range typeBits {
		if mode&0o170000 == bits {
			return k
		}
	}
	return File
}

// encodeMeta returns the user metadata that carries rec's attributes, and
// whatever others had set on the object.
func encodeMeta(rec *journal.Inode) map[string]string {
	m := make(map[string]string, len(rec.Meta)+6+len(rec.Xattrs))
	for k, v := range rec.Meta {
		m[k] = v
	}
	updateForeign(m, rec)
	m[metaPermissions] = fmt.Sprintf("%07o", typeBits[rec.Kind]|rec.Mode)
	m[metaOwner] = strconv.FormatUint(uint64(rec.Uid), 10)
	m[metaGroup] = strconv.FormatUint(uint64(rec.Gid), 10)
	m[metaMtime] = strconv.FormatInt(rec.Mtime, 10) + "ns"
	m[metaAtime] = strconv.FormatInt(rec.Atime, 10) + "ns"
	if rec.Rdev != 0 {
		m["file-rdev"] = strconv.FormatUint(uint64(rec.Rdev), 10)
	}
	if old, s3fs := m[metaS3fsXattr]; s3fs && decodeS3fsXattrs(old) != nil {
		m[metaS3fsXattr] = encodeS3fsXattrs(old, rec)
		return m
	}
	for k, v := range rec.Xattrs {
		m[metaXattr+percentEncode(strings.TrimPrefix(k, "user."))] = percentEncode(string(v))
	}
	return m
}

// updateForeign keeps what s3fs and rclone wrote true: they would go on
// reading their own spelling.
func updateForeign(m map[string]string, rec *journal.Inode) {
	if old, ok := m["mtime"]; ok {
		m["mtime"] = strconv.FormatInt(rec.Mtime/1e9, 10)
		if strings.Contains(old, ".") {
			m["mtime"] = fmt.Sprintf("%d.%09d", rec.Mtime/1e9, rec.Mtime%1e9)
		}
	}
	for k, v := range map[string]uint32{"mode": typeBits[rec.Kind] | rec.Mode, "uid": rec.Uid, "gid": rec.Gid, "rdev": rec.Rdev} {
		if _, ok := m[k]; ok {
			m[k] = strconv.FormatUint(uint64(v), 10)
		}
	}
}

// metaSize is what S3 counts against metaLimit.
func metaSize(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}

// decodeMeta sets rec's attributes from an object's metadata, and keeps what
// it does not own in rec.Meta. Values it cannot read are left as they are.
func decodeMeta(rec *journal.Inode, o s3backend.Object) {
	rec.Meta, rec.Xattrs = nil, nil
	rec.Headers, rec.StorageClass, rec.Tags = o.Headers, o.StorageClass, o.Tags
	rec.Mtime = o.Modified.UnixNano()
	decodeForeign(rec, o.Meta)
	for k, v := range o.Meta {
		switch {
		case k == metaNonce:
		case k == metaPermissions:
			if mode, err := strconv.ParseUint(v, 8, 32); err == nil {
				setMode(rec, uint32(mode))
			}
		case k == metaOwner:
			decodeID(&rec.Uid, v)
		case k == metaGroup:
			decodeID(&rec.Gid, v)
		case k == metaMtime:
			decodeTime(&rec.Mtime, v)
		case k == metaAtime:
		case k == "file-rdev":
			decodeID(&rec.Rdev, v)
		case strings.HasPrefix(k, metaXattr):
			if rec.Xattrs == nil {
				rec.Xattrs = map[string][]byte{}
			}
			rec.Xattrs["user."+percentDecode(k[len(metaXattr):])] = []byte(percentDecode(v))
		default:
			if rec.Meta == nil {
				rec.Meta = map[string]string{}
			}
			rec.Meta[k] = v
		}
	}
	rec.Atime, rec.Ctime, rec.Btime = rec.Mtime, max(rec.Mtime, o.Modified.UnixNano()), rec.Mtime
	decodeTime(&rec.Atime, o.Meta[metaAtime])
}

// decodeForeign understands s3fs and geesefs (mode uid gid rdev mtime, a mode
// with a zero in front being octal) and rclone (mtime in decimal seconds).
func decodeForeign(rec *journal.Inode, m map[string]string) {
	if mode, err := strconv.ParseUint(m["mode"], 0, 32); err == nil {
		setMode(rec, uint32(mode))
	}
	if m[metaLinkTarget] != "" && rec.Kind != Dir {
		rec.Kind = Symlink
	}
	for name, v := range decodeS3fsXattrs(m[metaS3fsXattr]) {
		if strings.HasPrefix(name, "user.") {
			if rec.Xattrs == nil {
				rec.Xattrs = map[string][]byte{}
			}
			rec.Xattrs[name] = v
		}
	}
	decodeID(&rec.Uid, m["uid"])
	decodeID(&rec.Gid, m["gid"])
	decodeID(&rec.Rdev, m["rdev"])
	if s, frac, _ := strings.Cut(m["mtime"], "."); s != "" {
		if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
			ns, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
			rec.Mtime = sec*1e9 + ns
		}
	}
}

func setMode(rec *journal.Inode, mode uint32) {
	rec.Mode = mode & 0o7777
	if mode&0o170000 != 0 && rec.Kind != Dir {
		if k := kindOfMode(mode); k != Dir {
			rec.Kind = k
		}
	}
}

func decodeID(to *uint32, s string) {
	if v, err := strconv.ParseUint(s, 10, 32); err == nil {
		*to = uint32(v)
	}
}

// decodeTime reads nanoseconds followed by "ns", or seconds without a suffix.
func decodeTime(to *int64, s string) {
	digits, isNs := strings.CutSuffix(s, "ns")
	v, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
	case isNs:
		*to = v
	default:
		*to = v * int64(time.Second)
	}
}

// percentEncode spells any bytes as lower-case letters, digits, '-', '.', '_'
// and %XX: header names do not keep their case.
func percentEncode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func percentDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// headersFor returns the headers to send with rec at key: those it has, and
// the Content-Type that the AWS CLI would guess.
func headersFor(rec *journal.Inode, key string) s3backend.Headers {
	h := rec.Headers
	if h.ContentType != "" {
		return h
	}
	switch rec.Kind {
	case Dir:
		h.ContentType = "application/x-directory"
	case File:
		t, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(key)), ";")
		h.ContentType = t
	}
	return h
}
