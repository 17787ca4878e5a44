package s3backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"
)

const (
	queueBatch   = 10               // messages of one answer, and of one deletion: SQS's most
	queueReaders = 8                // at once, if there are more messages than one can take
	queueWait    = 20 * time.Second // SQS's longest poll
	queuePatient = 15 * time.Second // for an answer beyond that
	queueRetry   = time.Second      // first pause after a failure …
	queueRest    = time.Minute      // … and the longest
)

// An EventQueue reads notifications from an SQS queue of which it is the only
// reader: what it has handed on it deletes.
type EventQueue struct {
	api *sqs.Client
	url string
	log *slog.Logger

	eventBook
	foreign sparing
	kept    sparing
}

// OpenEventQueue returns a reader of the queue at a URL, as SQS names its
// queues, with the credentials of o. It makes no request.
func OpenEventQueue(ctx context.Context, o Options, queueURL string) (*EventQueue, error) {
	o = o.withDefaults()
	u, err := url.Parse(queueURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("events: %q is no URL of a queue, as https://sqs.eu-west-1.amazonaws.com/123456789012/NAME", queueURL)
	}
	cfg, err := loadConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	cfg.Region = queueRegion(u.Hostname(), o.Region, cfg.Region)
	api := sqs.NewFromConfig(cfg, func(s *sqs.Options) {
		s.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host)
		s.DisableMessageChecksumValidation = true // what a body says is not believed anyway
		s.Retryer = aws.NopRetryer{}              // Run repeats
	})
	return &EventQueue{api: api, url: queueURL, log: o.Log, eventBook: eventBook{state: EventState{Source: queueURL}}}, nil
}

// queueRegion returns the region in the name of SQS's host, else the first that
// is known.
func queueRegion(host string, known ...string) string {
	parts := strings.Split(host, ".")
	for i, p := range parts[:max(0, len(parts)-1)] {
		if (p == "sqs" || p == "sqs-fips") && strings.Count(parts[i+1], "-") >= 2 {
			return parts[i+1]
		}
	}
	for _, region := range known {
		if region != "" {
			return region
		}
	}
	return defaultRegion
}

// Check reads the queue once, without waiting, and hands on what it has. An
// error that only time cures is logged, not returned: Run will go on.
func (q *EventQueue) Check(ctx context.Context, handle func(...Change)) error {
	_, err := q.read(ctx, 0, handle)
	switch KindOf(err) {
	case Denied:
		return fmt.Errorf("events: the queue %s may not be read (needs sqs:ReceiveMessage and sqs:DeleteMessage): %w", q.url, err)
	case NotFound:
		return fmt.Errorf("events: there is no queue %s: %w", q.url, err)
	}
	q.told(err)
	return nil
}

// Run reads the queue until ctx ends. After failures it goes on, more and more
// slowly; the log tells when it fails and when it works again. Messages come
// again until they are deleted, which is after handle has returned. handle is
// called by several at once.
func (q *EventQueue) Run(ctx context.Context, handle func(...Change)) {
	pause, readers := queueRetry, 1
	for {
		full, err := q.readMany(ctx, readers, handle)
		if ctx.Err() != nil {
			return
		}
		q.told(err)
		if readers = 1; full {
			readers = queueReaders
		}
		if err == nil {
			pause = queueRetry
			continue
		}
		if sleep(ctx, pause/2+rand.N(pause)) != nil {
			return
		}
		pause = min(2*pause, queueRest)
	}
}

// readMany reads a batch for each of n readers: of one that waits, or of several
// that catch up with a long queue. It reports whether all batches were full.
func (q *EventQueue) readMany(ctx context.Context, n int, handle func(...Change)) (full bool, err error) {
	wait := queueWait
	if n > 1 {
		wait = 0
	}
	var messages atomic.Int64
	var g errgroup.Group
	for range n {
		g.Go(func() error {
			got, err := q.read(ctx, wait, handle)
			messages.Add(int64(got))
			return err
		})
	}
	err = g.Wait()
	return messages.Load() == int64(n*queueBatch), err
}

// told logs that reading begins to fail, or works again.
func (q *EventQueue) told(err error) {
	switch other := q.ended(err); {
	case other && err != nil:
		q.log.Warn("events: the queue cannot be read; trying again, changes by others show by the TTLs meanwhile", "queue", q.url, "error", err)
	case other:
		q.log.Info("events: the queue can be read again", "queue", q.url)
	}
}

// read takes one batch from the queue, waiting for it to come, and returns how
// many messages it had.
func (q *EventQueue) read(ctx context.Context, wait time.Duration, handle func(...Change)) (int, error) {
	ask, cancel := context.WithTimeoutCause(ctx, wait+queuePatient, stalled{})
	defer cancel()
	out, err := q.api.ReceiveMessage(ask, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: queueBatch, WaitTimeSeconds: int32(wait / time.Second)})
	if err != nil {
		return 0, fail(ask, call{"ReceiveMessage", q.url}, err)
	}
	var changes []Change
	for _, m := range out.Messages {
		these, err := ParseChanges([]byte(aws.ToString(m.Body)))
		changes = append(changes, these...)
		if err == nil {
			continue
		}
		q.refused()
		if more, say := q.foreign.now(); say {
			q.log.Warn("events: a message that is no S3 notification was taken from the queue and deleted", "queue", q.url,
				"message", aws.ToString(m.MessageId), "bytes", len(aws.ToString(m.Body)), "more", more)
		}
	}
	handle(changes...)
	q.took(changes)
	return len(out.Messages), q.delete(ctx, out.Messages)
}

// delete removes what was handled. What is left comes again, which does no
// harm.
func (q *EventQueue) delete(ctx context.Context, messages []types.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, queuePatient, stalled{})
	defer cancel()
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
	for i, m := range messages {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	out, err := q.api.DeleteMessageBatch(ctx, in)
	if err != nil {
		return fail(ctx, call{"DeleteMessageBatch", q.url}, err)
	}
	if len(out.Failed) == 0 {
		return nil
	}
	err = errors.New(aws.ToString(out.Failed[0].Code) + ": " + aws.ToString(out.Failed[0].Message))
	if len(out.Failed) == len(messages) {
		return fail(ctx, call{"DeleteMessageBatch", q.url}, err)
	}
	if more, say := q.kept.now(); say {
		q.log.Warn("events: messages were not deleted and come again", "queue", q.url, "messages", len(out.Failed), "error", err, "more", more)
	}
	return nil
}
