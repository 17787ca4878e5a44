package s3backend

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Headers of server-side encryption
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
const (
	headerSSE        = "X-Amz-Server-Side-Encryption"
	headerKMSKey     = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	headerKMSContext = "X-Amz-Server-Side-Encryption-Context"
	headerBucketKey  = "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"
	prefixSSEC       = "X-Amz-Server-Side-Encryption-Customer-"
	prefixSourceSSEC = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
)

// encryption is how objects are written, and the keys that can read them.
type encryption struct {
	sse    headers // of requests that create objects; empty for SSE-C
	ring   []CustomerKey
	kmsKey string
}

func newEncryption(o Options) (encryption, error) {
	e := encryption{ring: o.SSECKeys, kmsKey: o.SSEKMSKeyID, sse: headers{}}
	if o.SSE == "" {
		return e, nil
	}
	e.sse[headerSSE] = o.SSE
	if o.SSEKMSKeyID != "" {
		e.sse[headerKMSKey] = o.SSEKMSKeyID
	}
	if o.SSEKMSContext != "" {
		e.sse[headerKMSContext] = base64.StdEncoding.EncodeToString([]byte(o.SSEKMSContext))
	}
	if o.BucketKey != nil {
		e.sse[headerBucketKey] = strconv.FormatBool(*o.BucketKey)
	}
	return e, nil
}

// writeKey returns the SSE-C key that objects are written with, or the zero
// key.
func (e encryption) writeKey() CustomerKey {
	if len(e.ring) == 0 {
		return CustomerKey{}
	}
	return e.ring[0]
}

// create returns the headers of requests that create an object: PutObject,
// CreateMultipartUpload, CopyObject.
func (e encryption) create() headers { return e.sse.with(e.writeKey().headers(prefixSSEC)) }

// part returns the headers of requests on an upload under way: UploadPart,
// UploadPartCopy, CompleteMultipartUpload. Only SSE-C is repeated there.
func (e encryption) part() headers { return e.writeKey().headers(prefixSSEC) }

// headers returns the three headers by which S3 is given the key; none for the
// zero key.
func (k CustomerKey) headers(prefix string) headers {
	if k.secret == nil {
		return nil
	}
	return headers{prefix + "Algorithm": "AES256", prefix + "Key": k.base64(), prefix + "Key-Md5": k.secret.md5}
}

// sealed compares the answer to a request that created an object, or an
// upload, with what was asked.
func (e encryption) sealed(h http.Header) error {
	if err := e.sealedByKey(h); err != nil {
		return err
	}
	want := e.sse[headerSSE]
	if want == "" {
		return nil
	}
	if got := h.Get(headerSSE); got != want {
		return fmt.Errorf("server-side encryption %s was asked for, the server answered %q", want, got)
	}
	if got := h.Get(headerKMSKey); e.kmsKey != "" && !sameKMSKey(e.kmsKey, got) {
		return fmt.Errorf("KMS key %s was asked for, the server answered %q", e.kmsKey, got)
	}
	return nil
}

// sealedByKey compares the answer to any request that wrote bytes with the
// SSE-C key it carried.
func (e encryption) sealedByKey(h http.Header) error {
	k := e.writeKey()
	if k.secret == nil {
		return nil
	}
	if h.Get(prefixSSEC+"Algorithm") != "AES256" || h.Get(prefixSSEC+"Key-Md5") != k.MD5() {
		return fmt.Errorf("the server did not confirm the SSE-C key with MD5 %s", k.MD5())
	}
	return nil
}

// contradicts compares the answer to a request that need not echo the
// encryption: what it says must be what was asked.
func (e encryption) contradicts(h http.Header) error {
	want := e.sse[headerSSE]
	if got := h.Get(headerSSE); want != "" && got != "" && got != want {
		return fmt.Errorf("server-side encryption %s was asked for, the server answered %q", want, got)
	}
	return nil
}

// sameKMSKey compares a key as asked for (id, ARN or alias) with the ARN or id
// that the server answered. What an alias stands for cannot be told.
func sameKMSKey(asked, got string) bool {
	if got == "" {
		return false
	}
	if strings.HasPrefix(asked, "alias/") || strings.Contains(asked, ":alias/") {
		return true
	}
	return asked == got || keyID(asked) == keyID(got)
}

// keyID returns the last element of an ARN: what AWS puts behind "key/",
// MinIO behind "kms:".
func keyID(s string) string { return s[strings.LastIndexAny(s, "/:")+1:] }
