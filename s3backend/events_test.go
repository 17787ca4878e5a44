package s3backend

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"
)

// Bodies as their senders document and send them.
const (
	fromS3 = `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"2026-03-01T12:00:00.123Z",
"eventName":"ObjectCreated:Put","userIdentity":{"principalId":"A"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},
"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"F"},"s3":{"s3SchemaVersion":"1.0","configurationId":"rule",
"bucket":{"name":"bucket","ownerIdentity":{"principalId":"A"},"arn":"arn:aws:s3:::bucket"},
"object":{"key":"d/a+b%2Bc%C3%A9.txt","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e","versionId":"096","sequencer":"0055AED6DCD90281E5"}}}]}`
	fromMinIO = `{"EventName":"s3:ObjectRemoved:Delete","Key":"bucket/d/x y","Records":[{"eventVersion":"2.0","eventSource":"minio:s3","awsRegion":"us-east-1",
"eventTime":"2026-03-01T12:00:00.5Z","eventName":"s3:ObjectRemoved:Delete","userIdentity":{"principalId":"a"},"requestParameters":{"region":"us-east-1"},
"responseElements":{"x-minio-deployment-id":"1"},"s3":{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{"name":"bucket","arn":"arn:aws:s3:::bucket"},
"object":{"key":"d%2Fx+y","sequencer":"1873"}},"source":{"host":"127.0.0.1","port":"","userAgent":"x"}}]}`
	fromBridge = `{"version":"0","id":"17793124","detail-type":"Object Created","source":"aws.s3","account":"111122223333","time":"2026-03-01T12:00:00Z",
"region":"ca-central-1","resources":["arn:aws:s3:::bucket"],"detail":{"version":"0","bucket":{"name":"bucket"},
"object":{"key":"d/a+b c%20.txt","size":5,"etag":"b1946ac92492d2347c6235b4d2611184","version-id":"IYV3p45","sequencer":"617f"},
"request-id":"N4N7","requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}}`
	markedByBridge = `{"version":"0","detail-type":"Object Deleted","source":"aws.s3","time":"2026-03-01T12:00:00Z","detail":{"bucket":{"name":"bucket"},
"object":{"key":"k","etag":"d41d8","version-id":"1QW9"},"reason":"DeleteObject","deletion-type":"Delete Marker Created"}}`
	versionDeletedByBridge = `{"detail-type":"Object Deleted","source":"aws.s3","time":"2026-03-01T12:00:00Z","detail":{"bucket":{"name":"bucket"},
"object":{"key":"k","version-id":"1QW9"},"reason":"DeleteObject","deletion-type":"Permanently Deleted"}}`
	taggedByBridge = `{"detail-type":"Object Tags Added","source":"aws.s3","detail":{"bucket":{"name":"bucket"},"object":{"key":"k","etag":"e"}}}`
	testEvent      = `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-03-01T12:00:00.000Z","Bucket":"bucket","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}`
)

// inSNS wraps a body as SNS does.
func inSNS(body string) string {
	b, err := json.Marshal(map[string]string{"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-1:1:t",
		"Subject": "Amazon S3 Notification", "Message": body, "Timestamp": "2026-03-01T12:00:01Z"})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// event is one event of S3's own form.
func event(name, key, version string) string {
	return `{"Records":[{"eventName":"` + name + `","eventTime":"x","s3":{"bucket":{"name":"bucket"},"object":{"key":"` + key + `","eTag":"e","versionId":"` + version + `"}}}]}`
}

func TestNotificationsAreRead(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	created := Change{Bucket: "bucket", Key: "d/a b+cé.txt", ETag: "d41d8cd98f00b204e9800998ecf8427e", When: noon.Add(123 * time.Millisecond)}
	removed := Change{Bucket: "bucket", Key: "d/x y", When: noon.Add(500 * time.Millisecond), Removed: true}
	bridged := Change{Bucket: "bucket", Key: "d/a+b c%20.txt", ETag: "b1946ac92492d2347c6235b4d2611184", When: noon}
	plain := Change{Bucket: "bucket", Key: "k"}
	for name, tc := range map[string]struct {
		body string
		want []Change
	}{
		"S3":                         {fromS3, []Change{created}},
		"MinIO":                      {fromMinIO, []Change{removed}},
		"EventBridge":                {fromBridge, []Change{bridged}},
		"S3 through SNS":             {inSNS(fromS3), []Change{created}},
		"EventBridge through SNS":    {inSNS(fromBridge), []Change{bridged}},
		"a list":                     {"[" + fromBridge + "," + fromMinIO + "]", []Change{bridged, removed}},
		"a delete marker":            {markedByBridge, []Change{{Bucket: "bucket", Key: "k", When: noon, Removed: true}}},
		"a version that goes":        {versionDeletedByBridge, []Change{{Bucket: "bucket", Key: "k", When: noon}}},
		"the same from S3":           {event("ObjectRemoved:Delete", "k", "v1"), []Change{plain}},
		"a delete marker from S3":    {event("ObjectRemoved:DeleteMarkerCreated", "k", "v1"), []Change{{Bucket: "bucket", Key: "k", Removed: true}}},
		"expiry":                     {event("LifecycleExpiration:Delete", "k", ""), []Change{{Bucket: "bucket", Key: "k", Removed: true}}},
		"a restored object":          {event("ObjectRestore:Completed", "k", "v1"), []Change{plain}},
		"a copy":                     {event("s3:ObjectCreated:Copy", "k", ""), []Change{{Bucket: "bucket", Key: "k", ETag: "e"}}},
		"a key that is not encoded":  {event("ObjectCreated:Put", "100%.txt", ""), []Change{{Bucket: "bucket", Key: "100%.txt", ETag: "e"}}},
		"an access":                  {event("s3:ObjectAccessed:Head", "k", ""), nil},
		"tags":                       {event("ObjectTagging:Put", "k", ""), nil},
		"tags, by EventBridge":       {taggedByBridge, nil},
		"the test event":             {testEvent, nil},
		"the test event through SNS": {inSNS(testEvent), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseChanges([]byte(tc.body))
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %+v, error %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestOtherBodiesAreNoNotifications(t *testing.T) {
	deep := fromS3
	for range wrappings {
		deep = inSNS(deep)
	}
	for _, body := range []string{"", "x", "null", "1", `"` + "a" + `"`, "{}", "[]", `{"Records":[]}`, `{"Records":1}`, `{"Records":[{}]}`, `{"Records":[null]}`,
		`{"Type":"Notification","Message":"hello"}`, `{"Type":"SubscriptionConfirmation","SubscribeURL":"http://x","Message":"` + "m" + `"}`,
		`{"detail-type":"Object Created","detail":{}}`, `{"detail-type":"Object Created"}`, event("ObjectCreated:Put", "", ""), deep} {
		if got, err := ParseChanges([]byte(body)); !errors.Is(err, ErrNoNotification) || len(got) > 0 {
			t.Errorf("%q gives %+v and error %v", body, got, err)
		}
	}
	got, err := ParseChanges([]byte("[" + fromBridge + `,{"x":1}]`))
	if !errors.Is(err, ErrNoNotification) || len(got) != 1 {
		t.Errorf("a list with one notification gives %+v and error %v", got, err)
	}
}

func FuzzParseChanges(f *testing.F) {
	for _, body := range []string{fromS3, fromMinIO, fromBridge, markedByBridge, versionDeletedByBridge, testEvent, inSNS(fromS3), "[" + fromBridge + "]"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		changes, err := ParseChanges(body)
		if err != nil && !errors.Is(err, ErrNoNotification) {
			t.Errorf("error %v", err)
		}
		for _, c := range changes {
			if c.Bucket == "" || c.Key == "" {
				t.Errorf("a change without a key: %+v", c)
			}
		}
	})
}
