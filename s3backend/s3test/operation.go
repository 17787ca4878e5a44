package s3test

import (
	"net/http"
	"strings"
)

// Operation returns the S3 name of what a request in path style asks for
// ("GetObject", "UploadPart"), "Other" if it is none of those moorfs uses.
func Operation(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	query := r.URL.Query()
	names := bucketOperations
	if key != "" {
		names = objectOperations
	}
	for _, n := range names {
		if n.method != r.Method || n.query != "" && !query.Has(n.query) {
			continue
		}
		if n.copies && r.Header.Get("X-Amz-Copy-Source") == "" {
			continue
		}
		return n.name
	}
	return "Other"
}

// An operation is recognised by its method, a parameter that must be in the
// query and a copy source; the first in a table that fits is it.
type operation struct {
	method, query string
	copies        bool
	name          string
}

var bucketOperations = []operation{
	{http.MethodGet, "uploads", false, "ListMultipartUploads"},
	{http.MethodGet, "versions", false, "ListObjectVersions"},
	{http.MethodGet, "location", false, "GetBucketLocation"},
	{http.MethodGet, "versioning", false, "GetBucketVersioning"},
	{http.MethodGet, "list-type", false, "ListObjectsV2"},
	{http.MethodGet, "", false, "ListObjects"},
	{http.MethodHead, "", false, "HeadBucket"},
	{http.MethodPost, "delete", false, "DeleteObjects"},
	{http.MethodPut, "", false, "CreateBucket"},
}

var objectOperations = []operation{
	{http.MethodGet, "uploadId", false, "ListParts"},
	{http.MethodGet, "tagging", false, "GetObjectTagging"},
	{http.MethodGet, "attributes", false, "GetObjectAttributes"},
	{http.MethodGet, "acl", false, "GetObjectAcl"},
	{http.MethodGet, "", false, "GetObject"},
	{http.MethodHead, "", false, "HeadObject"},
	{http.MethodPut, "partNumber", true, "UploadPartCopy"},
	{http.MethodPut, "partNumber", false, "UploadPart"},
	{http.MethodPut, "tagging", false, "PutObjectTagging"},
	{http.MethodPut, "acl", false, "PutObjectAcl"},
	{http.MethodPut, "", true, "CopyObject"},
	{http.MethodPut, "", false, "PutObject"},
	{http.MethodPost, "uploads", false, "CreateMultipartUpload"},
	{http.MethodPost, "uploadId", false, "CompleteMultipartUpload"},
	{http.MethodPost, "restore", false, "RestoreObject"},
	{http.MethodDelete, "uploadId", false, "AbortMultipartUpload"},
	{http.MethodDelete, "", false, "DeleteObject"},
}
