package cache

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"strings"

	"github.com/moorfs/moorfs/cache/journal"
)

// metaS3fsXattr is where s3fs keeps extended attributes: percent-encoded JSON
// of names and values in base64
// (https://github.com/s3fs-fuse/s3fs-fuse/blob/master/src/s3fs_xattr.cpp).
const metaS3fsXattr = "xattr"

// decodeS3fsXattrs returns the attributes that s3fs wrote, whatever their
// namespace; nil if value is none of it.
func decodeS3fsXattrs(value string) map[string][]byte {
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil
	}
	var coded map[string]string
	if json.Unmarshal([]byte(text), &coded) != nil {
		return nil
	}
	xattrs := make(map[string][]byte, len(coded))
	for name, c := range coded {
		v, err := base64.StdEncoding.DecodeString(c)
		if err != nil {
			return nil
		}
		xattrs[name] = v
	}
	return xattrs
}

// encodeS3fsXattrs is old, which s3fs wrote, with the attributes of rec in
// place of those that it had of their namespace.
func encodeS3fsXattrs(old string, rec *journal.Inode) string {
	all := decodeS3fsXattrs(old)
	if all == nil {
		return old
	}
	maps.DeleteFunc(all, func(name string, _ []byte) bool { return strings.HasPrefix(name, "user.") })
	maps.Copy(all, rec.Xattrs)
	coded := make(map[string]string, len(all))
	for name, v := range all {
		coded[name] = base64.StdEncoding.EncodeToString(v)
	}
	text, err := json.Marshal(coded)
	if err != nil {
		return old
	}
	return url.PathEscape(string(text))
}
