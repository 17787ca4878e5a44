package s3test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// A RawVersion is one version of an object, or a delete marker.
type RawVersion struct {
	Key, Version, ETag string
	Size               int64
	Latest, Deleted    bool
}

// Versions returns all versions of all objects whose keys begin with prefix.
func (w *Raw) Versions(ctx context.Context, prefix string) ([]RawVersion, error) {
	type line struct {
		Key, VersionId, ETag string
		Size                 int64
		IsLatest             bool
	}
	all := []RawVersion{}
	query := map[string]string{"versions": "", "prefix": prefix}
	for {
		var page struct {
			IsTruncated                        bool
			NextKeyMarker, NextVersionIdMarker string
			Version, DeleteMarker              []line
		}
		if err := w.getXML(ctx, query, &page); err != nil {
			return nil, err
		}
		for i, l := range append(page.Version, page.DeleteMarker...) {
			all = append(all, RawVersion{Key: l.Key, Version: l.VersionId, ETag: strings.Trim(l.ETag, `"`), Size: l.Size,
				Latest: l.IsLatest, Deleted: i >= len(page.Version)})
		}
		if !page.IsTruncated {
			return all, nil
		}
		query["key-marker"], query["version-id-marker"] = page.NextKeyMarker, page.NextVersionIdMarker
	}
}

// GetVersion returns one version of the object at key and its content.
func (w *Raw) GetVersion(ctx context.Context, key, version string) (RawObject, []byte, error) {
	return w.object(ctx, rawRequest{method: http.MethodGet, key: key, query: map[string]string{"versionId": version}})
}

// PutParts writes an object as a multipart upload.
func (w *Raw) PutParts(ctx context.Context, key string, body []byte, partSize int) error {
	a, err := w.do(ctx, rawRequest{method: http.MethodPost, key: key, query: map[string]string{"uploads": ""}})
	if err != nil {
		return err
	}
	var begun struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &begun); err != nil {
		return err
	}
	var list strings.Builder
	for n := 1; len(body) > 0; n++ {
		part := body[:min(partSize, len(body))]
		body = body[len(part):]
		a, err := w.do(ctx, rawRequest{method: http.MethodPut, key: key, body: part,
			query: map[string]string{"uploadId": begun.UploadId, "partNumber": fmt.Sprint(n)}})
		if err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, a.header.Get("ETag"))
	}
	_, err = w.do(ctx, rawRequest{method: http.MethodPost, key: key, query: map[string]string{"uploadId": begun.UploadId},
		body: []byte("<CompleteMultipartUpload>" + list.String() + "</CompleteMultipartUpload>")})
	return err
}
