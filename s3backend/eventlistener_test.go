package s3backend

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listeningTo runs a listener until the test ends.
func listeningTo(t *testing.T, secret string) (url string, k *told, book *logbook) {
	t.Helper()
	book = &logbook{}
	l, err := ListenEvents(t.Context(), "127.0.0.1:0", NewSharedSecret(secret), slog.New(slog.NewTextHandler(book, nil)))
	if err != nil {
		t.Fatal(err)
	}
	k = &told{keys: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, k.handle)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr(), k, book
}

// send makes a request and returns its status.
func send(t *testing.T, method, url, body string, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || strings.Contains(string(b), "word") {
		t.Errorf("the answer is %q, error %v", b, err)
	}
	return resp.StatusCode
}

func TestListenerAsksForTheSecret(t *testing.T) {
	url, k, book := listeningTo(t, "word")
	for i, tc := range []struct {
		header []string
		want   int
	}{
		{nil, http.StatusUnauthorized},
		{[]string{"Authorization", "Bearer other"}, http.StatusUnauthorized},
		{[]string{"Authorization", "word"}, http.StatusUnauthorized},
		{[]string{"Authorization", "Basic word"}, http.StatusUnauthorized},
		{[]string{"X-Moorfs-Secret", "wor"}, http.StatusUnauthorized},
		{[]string{"X-Moorfs-Secret", ""}, http.StatusUnauthorized},
		{[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("moorfs:wor"))}, http.StatusUnauthorized},
		{[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("moorfs:"))}, http.StatusUnauthorized},
		{[]string{"Authorization", "Bearer word"}, http.StatusOK},
		{[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("moorfs:word"))}, http.StatusOK},
		{[]string{"X-Moorfs-Secret", "word"}, http.StatusOK},
	} {
		key := fmt.Sprint("k", i)
		if got := send(t, http.MethodPost, url, event("ObjectCreated:Put", key, ""), tc.header...); got != tc.want {
			t.Errorf("%q is answered with %d, want %d", tc.header, got, tc.want)
		}
		if told := k.times(key) == 1; told != (tc.want == http.StatusOK) {
			t.Errorf("%q: told %v", tc.header, told)
		}
	}
	if n := book.count("without the secret"); n != 1 {
		t.Errorf("eight refusals are %d lines of the log", n)
	}
	if book.count("word") > 0 {
		t.Error("the secret is in the log")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", NewSharedSecret("word"), NewSharedSecret("word"), NewSharedSecret("word"), Options{}.Bucket); strings.Contains(s, "word") {
		t.Errorf("the secret prints as %q", s)
	}
}

func TestStateOfAListener(t *testing.T) {
	l, err := ListenEvents(t.Context(), "127.0.0.1:0", NewSharedSecret("word"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, tc := range []struct{ word, body string }{{"word", "[" + fromBridge + "," + fromMinIO + "]"}, {"word", "hello"}, {"other", fromS3}, {"word", testEvent}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tc.body))
		r.Header.Set(eventSecret, tc.word)
		l.serve(httptest.NewRecorder(), r, func(...Change) {})
	}
	if s := l.State(); s.Source != l.Addr() || s.Changes != 2 || s.Refused != 2 || s.Failures != 0 || s.Error != "" || s.Last.IsZero() {
		t.Errorf("the state is %+v", s)
	}
}

// What SNS sends first is no notification: a person has to say that it may send
// them, and is told how, unless it leads elsewhere.
func TestListenerTellsOfASubscription(t *testing.T) {
	for link, want := range map[string]int{
		"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=123": http.StatusOK,
		"http://sns.eu-west-1.amazonaws.com/?Token=123":                             http.StatusBadRequest,
		"https://sns.eu-west-1.amazonaws.com.example.org/?Token=123":                http.StatusBadRequest,
		"https://example.org/?x=sns.eu-west-1.amazonaws.com":                        http.StatusBadRequest,
		"": http.StatusBadRequest,
	} {
		url, _, book := listeningTo(t, "")
		body := `{"Type":"SubscriptionConfirmation","MessageId":"1","Token":"123","TopicArn":"arn:aws:sns:eu-west-1:1:t","Message":"You have chosen to subscribe",` +
			`"SubscribeURL":"` + link + `","Timestamp":"2026-03-01T12:00:00.000Z","SignatureVersion":"1","Signature":"x","SigningCertURL":"https://x"}`
		if got := send(t, http.MethodPost, url, body, "X-Amz-Sns-Message-Type", "SubscriptionConfirmation"); got != want {
			t.Errorf("%q is answered with %d, want %d", link, got, want)
		}
		if told := book.count("open the link") == 1; told != (want == http.StatusOK) || told && book.count(link) != 1 {
			t.Errorf("%q: told %v", link, told)
		}
	}
}

func TestListenerTakesNotificationsOnly(t *testing.T) {
	url, k, _ := listeningTo(t, "")
	for what, tc := range map[string]struct {
		method, body string
		want         int
	}{
		"S3's":             {http.MethodPost, fromS3, http.StatusOK},
		"through SNS":      {http.MethodPost, inSNS(fromMinIO), http.StatusOK},
		"EventBridge's":    {http.MethodPut, fromBridge, http.StatusOK},
		"the test event":   {http.MethodPost, testEvent, http.StatusOK},
		"another body":     {http.MethodPost, "hello", http.StatusBadRequest},
		"no body":          {http.MethodPost, "", http.StatusBadRequest},
		"a look":           {http.MethodGet, "", http.StatusMethodNotAllowed},
		"a body too large": {http.MethodPost, strings.Repeat(" ", eventBody+1), http.StatusRequestEntityTooLarge},
	} {
		if got := send(t, tc.method, url+"/any/path", tc.body); got != tc.want {
			t.Errorf("%s is answered with %d, want %d", what, got, tc.want)
		}
	}
	for _, key := range []string{"d/a b+cé.txt", "d/x y", "d/a+b c%20.txt"} {
		if k.times(key) != 1 {
			t.Errorf("told of %v, but not of %q", k.keys, key)
		}
	}
}

func TestAddressesOfListeners(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	first, err := ListenEvents(t.Context(), "localhost:0", SharedSecret{}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}()
	for addr, want := range map[string]string{
		first.Addr(): "is taken by another process", ":0": "give a secret", "0.0.0.0:0": "give a secret", "[::]:0": "give a secret", "192.0.2.1:80": "give a secret",
		"example.org:80": "give a secret", "127.0.0.1": "no HOST:PORT", "127.0.0.1:": "no HOST:PORT", "": "no HOST:PORT", "127.0.0.1:x": "cannot listen",
	} {
		l, err := ListenEvents(t.Context(), addr, SharedSecret{}, log)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("listening on %q: %v, %v", addr, l, err)
		}
	}
	all, err := ListenEvents(t.Context(), ":0", NewSharedSecret("word"), log)
	if err != nil {
		t.Fatal(err)
	}
	if err := all.Close(); err != nil {
		t.Error(err)
	}
}

func TestSecretsInFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, tc := range []struct {
		text string
		mode os.FileMode
		want string // empty: it is read
	}{{"word\n", 0o600, ""}, {"  word", 0o400, ""}, {"\nword", 0o600, "has none"}, {"", 0o600, "has none"}, {"word", 0o640, "chmod 0600"}} {
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tc.mode); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSharedSecret(file)
		if tc.want == "" && (err != nil || !s.is("word") || s.is("words")) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q, mode %o: error %v", tc.text, tc.mode, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadSharedSecret(file); err == nil {
		t.Error("a file that is not there has a secret")
	}
}
