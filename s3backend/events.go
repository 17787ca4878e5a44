package s3backend

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
)

// A Change is what a notification says of one key. Notifications come late,
// twice and out of order: a Change is a reason to ask the bucket, never an
// answer.
type Change struct {
	Bucket  string
	Key     string
	ETag    ETag      // of what was written; empty where the notification does not tell
	When    time.Time // by S3's clock; zero where it does not tell
	Removed bool      // the key has no object any more
}

// ErrNoNotification says that a body is none that S3, or what passes its
// notifications on, sends.
var ErrNoNotification = errors.New("not an S3 event notification")

// wrappings is how often a notification may be wrapped into another.
const wrappings = 4

// ParseChanges reads a notification: as S3 sends it (and MinIO's webhook), as
// EventBridge does, either in the envelope of SNS, or a list of them. What tells
// of no change of an object (a test event, an access, tags) gives no Change and
// no error; what is no notification gives ErrNoNotification, beside the changes of
// what could be read.
func ParseChanges(body []byte) ([]Change, error) { return parseChanges(body, wrappings) }

// A notification has the fields of all forms.
type notification struct {
	Records []struct { // S3
		EventName string
		EventTime string
		S3        struct {
			Bucket struct{ Name string }
			Object eventObject
		}
	}
	Event         string // S3's test event
	Type, Message string // SNS
	DetailType    string `json:"detail-type"` // EventBridge
	Time          string
	Detail        struct {
		Bucket       struct{ Name string }
		Object       eventObject
		DeletionType string `json:"deletion-type"`
	}
}

type eventObject struct {
	Key           string
	ETag          string
	VersionID     string `json:"versionId"`
	BridgeVersion string `json:"version-id"`
}

func parseChanges(body []byte, depth int) ([]Change, error) {
	if depth == 0 {
		return nil, ErrNoNotification
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		return parseList(list, depth-1)
	}
	var n notification
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, ErrNoNotification // its text would quote what anybody may have sent
	}
	switch {
	case n.Message != "" && n.Type == "Notification":
		return parseChanges([]byte(n.Message), depth-1)
	case n.DetailType != "":
		return n.bridged()
	case len(n.Records) > 0:
		return n.recorded()
	case strings.HasSuffix(n.Event, "TestEvent"):
		return nil, nil
	}
	return nil, ErrNoNotification
}

// parseList returns the changes of those that are notifications.
func parseList(list []json.RawMessage, depth int) (changes []Change, err error) {
	for _, one := range list {
		more, failed := parseChanges(one, depth)
		err = errors.Join(err, failed)
		changes = append(changes, more...)
	}
	if len(list) == 0 || err != nil {
		err = ErrNoNotification
	}
	return changes, err
}

// recorded reads S3's own form. Its keys are url-encoded.
func (n *notification) recorded() (changes []Change, err error) {
	for _, r := range n.Records {
		name, o := strings.TrimPrefix(r.EventName, "s3:"), r.S3.Object
		if name == "" || o.Key == "" || r.S3.Bucket.Name == "" {
			err = ErrNoNotification
			continue
		}
		removed, known := meaning(name, o.VersionID)
		if !known {
			continue
		}
		key, bad := url.QueryUnescape(o.Key)
		if bad != nil {
			key = o.Key // a server that does not encode
		}
		c := Change{Bucket: r.S3.Bucket.Name, Key: key, When: eventTime(r.EventTime), Removed: removed}
		if strings.HasPrefix(name, "ObjectCreated") {
			c.ETag = unquote(&o.ETag)
		}
		changes = append(changes, c)
	}
	return changes, err
}

// meaning reports whether an event is about the content of a key, and whether
// it leaves none there. A version that is deleted may uncover an older one.
func meaning(name, version string) (removed, known bool) {
	kind, detail, _ := strings.Cut(name, ":")
	switch kind {
	case "ObjectCreated", "LifecycleTransition", "IntelligentTiering", "ObjectRestore":
		return false, true
	case "ObjectRemoved", "LifecycleExpiration":
		return version == "" || detail == "DeleteMarkerCreated", true
	}
	return false, false
}

// bridged reads EventBridge's form, whose keys are as they are.
func (n *notification) bridged() ([]Change, error) {
	o := n.Detail.Object
	if o.Key == "" || n.Detail.Bucket.Name == "" {
		return nil, ErrNoNotification
	}
	removed := false
	switch n.DetailType {
	case "Object Created", "Object Restore Initiated", "Object Restore Completed", "Object Restore Expired",
		"Object Storage Class Changed", "Object Access Tier Changed":
	case "Object Deleted":
		removed = o.BridgeVersion == "" || n.Detail.DeletionType == "Delete Marker Created"
	default:
		return nil, nil
	}
	c := Change{Bucket: n.Detail.Bucket.Name, Key: o.Key, When: eventTime(n.Time), Removed: removed}
	if n.DetailType == "Object Created" {
		c.ETag = unquote(&o.ETag)
	}
	return []Change{c}, nil
}

// eventTime reads a time as all of them write it, else returns zero.
func eventTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
