package s3backend

import (
	"encoding/base64"
	"mime"
	"strings"
)

const (
	headerMeta         = "X-Amz-Meta-"
	headerACL          = "X-Amz-Acl"
	headerStorageClass = "X-Amz-Storage-Class"
	headerTagging      = "X-Amz-Tagging"
)

// attributes are all that a request that creates an object says of it beside
// its bytes.
type attributes struct {
	meta         map[string]string
	stored       Headers
	storageClass string
	tagging      string // url-encoded; empty: none
}

// create returns the headers of PutObject, CreateMultipartUpload and
// CopyObject: attributes, ACL, storage class, encryption.
func (c *Client) create(a attributes) headers {
	h := c.enc.create()
	set := func(name, value string) {
		if value != "" {
			h[name] = value
		}
	}
	set(headerACL, c.opts.ACL)
	set(headerStorageClass, c.storageClass(a))
	set(headerTagging, a.tagging)
	set("Cache-Control", a.stored.CacheControl)
	set("Content-Disposition", a.stored.ContentDisposition)
	set("Content-Encoding", a.stored.ContentEncoding)
	set("Content-Language", a.stored.ContentLanguage)
	set("Content-Type", a.stored.ContentType)
	set("Expires", a.stored.Expires)
	set("X-Amz-Website-Redirect-Location", a.stored.WebsiteRedirect)
	for k, v := range a.meta {
		h[headerMeta+k] = encodeWord(v)
	}
	return h
}

func (c *Client) storageClass(a attributes) string {
	if a.storageClass != "" {
		return a.storageClass
	}
	return c.opts.StorageClass
}

// object returns what is known of an object just written with a.
func (c *Client) object(key string, a attributes) Object {
	return Object{Key: key, Meta: a.meta, Headers: a.stored, StorageClass: c.storageClass(a)}
}

// encodeWord makes a metadata value fit for an HTTP header. S3 decodes RFC
// 2047 words when it stores metadata, and encodes what is not ASCII when it
// answers; other servers keep what they are given. Text that survives the way
// through a header and back is left alone.
func encodeWord(v string) string {
	plain := strings.TrimSpace(v) == v && !strings.Contains(v, "  ") && !strings.Contains(v, "=?")
	for i := 0; i < len(v) && plain; i++ {
		plain = v[i] >= ' ' && v[i] < 0x7f
	}
	if plain {
		return v
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}

// decodeMeta is the way back; names come in lower case.
func decodeMeta(meta map[string]string) map[string]string {
	if len(meta) == 0 {
		return nil
	}
	m := make(map[string]string, len(meta))
	var d mime.WordDecoder
	for k, v := range meta {
		if text, err := d.DecodeHeader(v); err == nil {
			v = text
		}
		m[strings.ToLower(k)] = v
	}
	return m
}
