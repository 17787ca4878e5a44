package anykey

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The documents of S3's protocol
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
type (
	listResult struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Name                  string
		Prefix                string
		Delimiter             string
		EncodingType          string
		KeyCount              int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []listed
		CommonPrefixes        []commonPrefix
	}
	listed struct {
		Key          string
		LastModified time.Time
		ETag         string
		Size         int64
	}
	commonPrefix struct{ Prefix string }
	copyResult   struct {
		XMLName      xml.Name `xml:"CopyObjectResult"`
		ETag         string
		LastModified time.Time
	}
	uploadList struct {
		XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket      string
		IsTruncated bool
	}
	failure struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
)

// list answers a LIST of one level; a token is the last key of the page
// before.
func (s *Server) list(w http.ResponseWriter, r *http.Request, query url.Values) error {
	limit, after := 1000, query.Get("start-after")
	if n, err := strconv.Atoi(query.Get("max-keys")); err == nil {
		limit = n
	}
	if token := query.Get("continuation-token"); token != "" {
		after, _ = url.QueryUnescape(token) // made by this server
	}
	entries, more, err := s.ListPage(r.Context(), query.Get("prefix"), after, limit)
	if err != nil {
		return err
	}
	result := listResult{Name: Bucket, Prefix: url.QueryEscape(query.Get("prefix")), Delimiter: "/", EncodingType: "url",
		KeyCount: len(entries), IsTruncated: more}
	for _, e := range entries {
		key := url.QueryEscape(e.Key)
		if e.Prefix {
			result.CommonPrefixes = append(result.CommonPrefixes, commonPrefix{key})
		} else {
			result.Contents = append(result.Contents, listed{key, e.Modified.UTC(), quote(e.ETag), e.Size})
		}
	}
	if more {
		result.NextContinuationToken = url.QueryEscape(entries[len(entries)-1].Key)
	}
	return answer(w, result)
}

func answer(w http.ResponseWriter, document any) error {
	body, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	_, err = w.Write(body)
	return err
}

func refuse(w http.ResponseWriter, status int, code string) {
	body, err := xml.Marshal(failure{Code: code})
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
