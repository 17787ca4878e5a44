package s3backend

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// listXML is an answer to a LIST, url-encoded as S3 does it.
func listXML(prefix string, keys, prefixes []string, next string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType><Prefix>%s</Prefix><IsTruncated>%t</IsTruncated>",
		url.QueryEscape(prefix), next != "")
	if next != "" {
		fmt.Fprintf(&b, "<NextContinuationToken>%s</NextContinuationToken>", next)
	}
	for _, k := range keys {
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents>", url.QueryEscape(k))
	}
	for _, p := range prefixes {
		fmt.Fprintf(&b, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", url.QueryEscape(p))
	}
	return b.String() + "</ListBucketResult>"
}

func listed(t *testing.T, c *Client, prefix, after string) ([]string, error) {
	t.Helper()
	var keys []string
	for e, err := range c.List(t.Context(), prefix, after) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, e.Key)
	}
	return keys, nil
}

func TestListDecodesAndMerges(t *testing.T) {
	odd := "p+ é/"
	pages := map[string]string{
		"":   listXML(odd, []string{odd, odd + "a\x01b", odd + "b c", odd + "d+%41"}, []string{odd + "c/"}, "t1"),
		"t1": listXML(odd, nil, []string{odd + "e\n/"}, "t2"),
		"t2": listXML(odd, []string{odd + "z"}, nil, ""),
	}
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("prefix") != odd || q.Get("encoding-type") != "url" || q.Get("delimiter") != "/" {
			t.Errorf("query %v", q)
		}
		_, _ = fmt.Fprint(w, pages[q.Get("continuation-token")])
	})
	got, err := listed(t, c, odd, "")
	want := []string{odd, odd + "a\x01b", odd + "b c", odd + "c/", odd + "d+%41", odd + "e\n/", odd + "z"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	got, err = listed(t, c, odd, odd+"c/")
	if err != nil || !slices.Equal(got, want[4:]) {
		t.Errorf("after: got %q, %v", got, err)
	}
}

func TestListStopsWhenItsReaderDoes(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		n := len(r.URL.Query().Get("continuation-token"))
		key := strings.Repeat("a", n+1)
		_, _ = fmt.Fprint(w, listXML("", []string{key}, nil, key))
	})
	for range c.List(t.Context(), "", "") {
		break
	}
	if n := c.Counts()["ListObjectsV2"]; n > 3 {
		t.Errorf("%d pages were fetched for one entry", n)
	}
}

func TestListingsThatAreNotTheOneAskedFor(t *testing.T) {
	for name, answer := range map[string]string{
		"another prefix":      listXML("q/", nil, nil, ""),
		"no listing":          "<html><body/></html>",
		"a key from outside":  listXML("p/", []string{"q/x"}, nil, ""),
		"the same page again": listXML("p/", []string{"p/x"}, nil, "t"),
		"more, but not where": strings.Replace(listXML("p/", nil, nil, ""), "false", "true", 1),
		"half an answer":      "<ListBucketResult><Name>bucket</Name><Prefix>p/</Pre",
	} {
		t.Run(name, func(t *testing.T) {
			c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, answer) })
			_, err := listed(t, c, "p/", "")
			wantKind(t, err, Corrupt)
		})
	}
}
