package s3backend

import (
	"fmt"
	"io"
	"time"
)

// An ETag is the entity tag of one object, without quotes. It is compared,
// never computed: with SSE-KMS, SSE-C and multipart it is no MD5.
type ETag string

// A Condition must hold at the key for a request to take effect. The zero
// Condition always holds.
type Condition struct {
	Match  ETag // the object there has this ETag
	Absent bool // nothing is there
}

// None reports whether c always holds.
func (c Condition) None() bool { return c.Match == "" && !c.Absent }

func (c Condition) String() string {
	switch {
	case c.Absent:
		return "absent"
	case c.Match != "":
		return fmt.Sprintf("etag %s", c.Match)
	}
	return "always"
}

// A Range is Len bytes beginning at Off.
type Range struct{ Off, Len int64 }

// End returns the offset behind the last byte.
func (r Range) End() int64 { return r.Off + r.Len }

// Headers are the HTTP headers S3 stores with an object and gives back
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
type Headers struct {
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	ContentType        string
	Expires            string
	WebsiteRedirect    string
}

// An Object is what Head, Put and Copy say of one version of one object.
type Object struct {
	Key          string
	Size         int64
	ETag         ETag
	Version      string // empty or "null" where the bucket is not versioned
	Modified     time.Time
	Meta         map[string]string // user metadata, lower-case names without x-amz-meta-
	Headers      Headers
	StorageClass string
	Tags         int  // number of tags
	Archived     bool // must be restored before it can be read
}

// An Entry is one line of a listing: an object, or a common prefix (Key ends
// in "/" and only Key is set).
type Entry struct {
	Key          string
	Prefix       bool
	Size         int64
	ETag         ETag
	Modified     time.Time
	StorageClass string
}

// A Get asks for a range of exactly one version of an object.
type Get struct {
	Key     string
	At      ETag   // If-Match; empty: whatever is there
	Version string // ask for this version id; empty: the current one
	Past    bool   // without a Version: ask for the newest version with the ETag At, the current one or not
	Range   Range  // Len 0 asks for nothing and is an error
	Size    int64  // size of the whole object; a Range that covers it is verified by checksum
}

// An Upload is a multipart upload under way, as far as another attempt needs
// to know to resume it.
type Upload struct {
	ID       string
	PartSize int64
	Parts    []Part
}

// A Part is one part that S3 has confirmed.
type Part struct {
	Number int32
	Size   int64
	ETag   ETag
	CRC    string // as S3 spells it (base64), of the algorithm in use; empty for copied parts without one
}

// A Put writes one object.
type Put struct {
	Key          string
	Body         io.ReaderAt // read concurrently, ranges more than once; must not change meanwhile
	Size         int64
	If           Condition
	Meta         map[string]string
	Headers      Headers
	StorageClass string             // empty: the client's default
	Keep         *Object            // if set, and there is an object at its key, the tags of that are carried over
	Base         *Object            // if set, Unchanged ranges may be copied from it on the server
	Unchanged    []Range            // ranges of Body equal to the same ranges of Base
	Resume       Upload             // from an earlier attempt with the same content; zero: none
	Progress     func(Upload) error // after create and after each part, serialised; an error stops the put
	Ready        func() error       // last, before the object becomes visible; an error aborts
}

// A Copy writes the content of one object to a key (perhaps its own) on the
// server, with new metadata. The source must still have From.ETag.
type Copy struct {
	From         Object // Key, Size, ETag; Tags are carried over
	To           string
	If           Condition // of the destination
	Meta         map[string]string
	Headers      Headers
	StorageClass string
}

// A Deletion removes the object at a key, if the condition holds.
type Deletion struct {
	Key string
	If  Condition
}
