package s3backend

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func stringBody(s string) *strings.Reader { return strings.NewReader(s) }

func TestErrorsHaveTheKindThatS3Means(t *testing.T) {
	for _, tc := range []struct {
		status        int
		code, message string
		want          Kind
	}{
		{404, "NoSuchKey", "The specified key does not exist.", NotFound},
		{404, "NoSuchBucket", "The specified bucket does not exist", NoBucket},
		{412, "PreconditionFailed", "At least one of the pre-conditions", Changed},
		{409, "ConditionalRequestConflict", "A conflicting operation occurred", Busy},
		{416, "InvalidRange", "The requested range is not satisfiable", Changed},
		{403, "AccessDenied", "Access Denied", Denied},
		{403, "AccessDenied", "Access Denied because object protected by object lock.", Locked},
		{403, "SignatureDoesNotMatch", "The request signature we calculated does not match", Denied},
		{400, "ExpiredToken", "The provided token has expired.", Expired},
		{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", Skewed},
		{403, "InvalidObjectState", "The operation is not valid for the object's storage class", Archived},
		{400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided", NeedsKey},
		{400, "KMS.DisabledException", "key is disabled", Denied},
		{400, "kms:KeyNotFound", "key with given key ID does not exist", Denied},
		{400, "EntityTooLarge", "Your proposed upload exceeds the maximum", TooBig},
		{400, "BadDigest", "The CRC64NVME you specified did not match", Corrupt},
		{409, "ObjectParentIsFile", "Object parent already exists as a file.", Blocked},
		{501, "NotImplemented", "A header you provided implies functionality", Other},
	} {
		t.Run(tc.code, func(t *testing.T) {
			c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { refusal(w, tc.status, tc.code, tc.message) })
			_, err := c.Get(t.Context(), Get{Key: "k", Range: Range{0, 10}})
			wantKind(t, err, tc.want)
			var e *Error
			if !errors.As(err, &e) || e.RequestID != "REQ1" || e.Key != "k" || e.Op != "GetObject" {
				t.Errorf("error %+v", e)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}

func TestBusyServerIsAskedAgainAndThenBusy(t *testing.T) {
	t.Parallel()
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		refusal(w, 503, "SlowDown", "Please reduce your request rate.")
	})
	wantKind(t, put(c, t.Context(), "body"), Busy)
	if n := c.Counts()["PutObject"]; n != writeAttempts {
		t.Errorf("%d requests, want %d", n, writeAttempts)
	}
}

func TestDeniedNamesTheMissingPermission(t *testing.T) {
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { refusal(w, 403, "AccessDenied", "Access Denied") })
	if err := put(c, t.Context(), "body"); err == nil || !strings.Contains(err.Error(), "s3:PutObject") {
		t.Errorf("put: %v", err)
	}
	_, _, err := c.ListPage(t.Context(), "p/", "", 10)
	if err == nil || !strings.Contains(err.Error(), "s3:ListBucket") {
		t.Errorf("list: %v", err)
	}
}

func TestForeignPageIsNoAnswer(t *testing.T) {
	for _, status := range []int{200, 404, 403} {
		c := fake(t, impatient(), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			if _, err := w.Write([]byte("<html><body>Please log in</body></html>")); err != nil {
				t.Log(err)
			}
		})
		_, _, err := c.ListPage(t.Context(), "", "", 10)
		wantKind(t, err, Corrupt)
		_, err = c.Head(t.Context(), "k")
		wantKind(t, err, Corrupt)
		_, err = c.Get(t.Context(), Get{Key: "k", Range: Range{0, 39}, Size: 39})
		wantKind(t, err, Corrupt)
		wantKind(t, put(c, t.Context(), "body"), Corrupt)
		_, err = c.Copy(t.Context(), Copy{From: Object{Key: "a", ETag: "e"}, To: "b"})
		wantKind(t, err, Corrupt)
		for _, err := range c.Delete(t.Context(), Deletion{Key: "a"}, Deletion{Key: "b"}) {
			wantKind(t, err, Corrupt)
		}
	}
}

func TestDeadServerIsOffline(t *testing.T) {
	c := fake(t, impatient(), nil)
	o := c.opts
	o.EndpointURL = "http://127.0.0.1:1"
	d, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Head(t.Context(), "k")
	wantKind(t, err, Offline)
	_, err = d.Get(t.Context(), Get{Key: "k", Range: Range{0, 1}})
	wantKind(t, err, Offline)
	if err := d.Check(t.Context(), ""); err == nil || !strings.HasPrefix(err.Error(), "offline: ") {
		t.Errorf("check: %v", err)
	}
}

// An errno of the disk that a body comes from says nothing of the network.
func TestUnreadableBodyIsNotOffline(t *testing.T) {
	c := fake(t, impatient(), func(http.ResponseWriter, *http.Request) {})
	_, err := c.Put(t.Context(), Put{Key: "k", Body: badDisk{}, Size: 10})
	wantKind(t, err, Other)
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("the cause is lost: %v", err)
	}
}

type badDisk struct{}

func (badDisk) ReadAt([]byte, int64) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: "f", Err: syscall.EIO}
}

// A name that cannot be resolved is a network that is away.
func TestUnknownHostIsOffline(t *testing.T) {
	t.Parallel()
	c, err := New(t.Context(), Options{Bucket: "b", EndpointURL: "http://moorfs.invalid:9", ReadTimeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Head(t.Context(), "k")
	wantKind(t, err, Offline)
	_, err = c.Get(t.Context(), Get{Key: "k", Range: Range{0, 1}})
	wantKind(t, err, Offline)
	_, _, err = c.ListPage(t.Context(), "", "", 1)
	wantKind(t, err, Offline)
}

func TestEndedContextIsReturnedAsSuch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees the connection close
		cancel()
		<-r.Context().Done()
	})
	if err := put(c, ctx, "body"); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	for _, err := range c.List(ctx, "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("list: %v", err)
		}
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		status        int
		code, message string
		region        string
		want          string
	}{
		{404, "NoSuchBucket", "The specified bucket does not exist", "", "no such bucket: bucket"},
		{403, "AccessDenied", "Access Denied", "us-east-1", "access denied to bucket bucket, s3:ListBucket is needed"},
		{403, "SignatureDoesNotMatch", "signature", "", "bad credentials"},
		{403, "InvalidAccessKeyId", "no such key", "", "bad credentials"},
		{404, "XAdminUserNotFound", "no user", "", "bad credentials"},
		{403, "RequestTimeTooSkewed", "skewed", "", "this machine's clock is wrong"},
		{400, "ExpiredToken", "expired", "", "expired credentials"},
		{301, "PermanentRedirect", "elsewhere", "eu-west-3", "wrong region: bucket bucket is in eu-west-3, not in us-east-1"},
		{400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-south-2'", "",
			"wrong region: bucket bucket is in eu-south-2, not in us-east-1"},
		{400, "AuthorizationHeaderMalformed", `the region "us-east-1" is wrong; expecting "eu-north-1"`, "",
			"wrong region: bucket bucket is in eu-north-1, not in us-east-1"},
	} {
		t.Run(tc.code, func(t *testing.T) {
			c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if tc.region != "" {
					w.Header().Set("X-Amz-Bucket-Region", tc.region)
				}
				refusal(w, tc.status, tc.code, tc.message)
			})
			err := c.Check(t.Context(), "")
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s…", err, tc.want)
			}
		})
	}
}

func TestRegionOfOtherServersIsFoundOut(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	for tells, want := range map[string]string{"eu-west-1": "eu-west-1", "": defaultRegion} {
		c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead || r.Header.Get("Authorization") != "" {
				t.Errorf("%s with authorization %q, want an anonymous HEAD", r.Method, r.Header.Get("Authorization"))
			}
			w.Header().Set("X-Amz-Bucket-Region", tells)
			w.WriteHeader(http.StatusForbidden)
		})
		if c.Region() != want {
			t.Errorf("a server in %q: region %q, want %q", tells, c.Region(), want)
		}
		c = fake(t, Options{Region: "ap-south-1"}, func(http.ResponseWriter, *http.Request) { t.Error("asked for a region that is given") })
		if c.Region() != "ap-south-1" {
			t.Errorf("region %q, want the one given", c.Region())
		}
	}
}

func TestMissingCredentialsAreSaid(t *testing.T) {
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(k, "")
	}
	c := fake(t, Options{}, func(w http.ResponseWriter, r *http.Request) { t.Error("a request was sent") })
	err := c.Check(t.Context(), "")
	wantKind(t, err, Denied)
	if err == nil || !strings.HasPrefix(err.Error(), "no credentials found") {
		t.Errorf("check: %v", err)
	}
}
