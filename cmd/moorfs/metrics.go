package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/moorfs/moorfs/cache"
	"github.com/moorfs/moorfs/fs"
	"github.com/moorfs/moorfs/s3backend"
)

// A sample is what one answer to /metrics is made of.
type sample struct {
	mount    registration
	cache    cache.Status
	requests fs.Counts
	results  map[s3backend.Result]int64
	retries  map[string]int64
	s3       map[string]int64
	stuck    stuckRequests
	faults   int64
	events   *s3backend.EventState // nil: none shall come
	skew     time.Duration
}

// A metric is one that /metrics shows, besides those of Go and the process. Its
// values come from a sample. METRICS.md is made of this table.
type metric struct {
	name   string
	kind   prometheus.ValueType // untyped: a histogram
	labels []string
	help   string
	values func(s sample, put func(v float64, labels ...string))
}

// one is the values of a metric without labels.
func one(f func(s sample) float64) func(sample, func(float64, ...string)) {
	return func(s sample, put func(float64, ...string)) { put(f(s)) }
}

// events is the value of a metric that there is only with --events.
func events(f func(e s3backend.EventState) float64) func(sample, func(float64, ...string)) {
	return func(s sample, put func(float64, ...string)) {
		if s.events != nil {
			put(f(*s.events))
		}
	}
}

const (
	counter   = prometheus.CounterValue
	gauge     = prometheus.GaugeValue
	histogram = prometheus.UntypedValue
)

// durations is the one histogram.
const durations = "moorfs_request_duration_seconds"

var metrics = []metric{
	{"moorfs_info", gauge, []string{"version", "source", "mountpoint"}, "1, for what the labels say",
		func(s sample, put func(float64, ...string)) {
			put(1, s.mount.Version, s.mount.Source, s.mount.Mountpoint)
		}},
	{"moorfs_requests_total", counter, []string{"operation", "outcome"}, "requests of the kernel answered, by system call; the outcome is ok or an errno", requestValues},
	{durations, histogram, []string{"operation"}, "how long they took", nil},
	{"moorfs_read_bytes_total", counter, nil, "bytes that programs have read through the daemon", one(func(s sample) float64 { return float64(s.requests.BytesRead) })},
	{"moorfs_written_bytes_total", counter, nil, "bytes that programs have written", one(func(s sample) float64 { return float64(s.requests.BytesWritten) })},
	{"moorfs_faults_total", counter, nil, "panics: requests that failed, or work that was done again, by a fault of moorfs; the log has the stacks",
		one(func(s sample) float64 { return float64(s.faults) })},
	{"moorfs_stuck_requests", gauge, []string{"side"}, "requests of the kernel, or to S3, that have been stuck for --stuck-after",
		func(s sample, put func(float64, ...string)) {
			put(float64(len(s.stuck.Kernel)), "kernel")
			put(float64(len(s.stuck.S3)), "s3")
		}},
	{"moorfs_s3_requests_total", counter, []string{"operation", "status"}, "requests to S3, repetitions included; the status is that of HTTP, timeout or network",
		func(s sample, put func(float64, ...string)) {
			for r, n := range s.results {
				put(float64(n), r.Operation, r.Status)
			}
		}},
	{"moorfs_s3_retries_total", counter, []string{"operation"}, "requests to S3 that were repetitions",
		func(s sample, put func(float64, ...string)) {
			for op, n := range s.retries {
				put(float64(n), op)
			}
		}},
	{"moorfs_s3_sent_bytes_total", counter, nil, "bytes of bodies sent to S3", one(func(s sample) float64 { return float64(s.s3["BytesOut"]) })},
	{"moorfs_s3_received_bytes_total", counter, nil, "bytes of bodies received from S3", one(func(s sample) float64 { return float64(s.s3["BytesIn"]) })},
	{"moorfs_network_state", gauge, []string{"state"}, "1 for what the way to the bucket is: online, degraded or offline; 0 for what it is not", networkValues},
	{"moorfs_network_changes_total", counter, nil, "changes of that", one(func(s sample) float64 { return float64(s.cache.Network.Changes) })},
	{"moorfs_events_up", gauge, nil, "1 if notifications of --events can come, 0 if not", events(func(e s3backend.EventState) float64 { return boolValue(e.Error == "") })},
	{"moorfs_events_changes_total", counter, nil, "changes that they told of", events(func(e s3backend.EventState) float64 { return float64(e.Changes) })},
	{"moorfs_events_refused_total", counter, nil, "what came and was no notification, or had not the secret", events(func(e s3backend.EventState) float64 { return float64(e.Refused) })},
	{"moorfs_events_failures_total", counter, nil, "how often the queue could not be read", events(func(e s3backend.EventState) float64 { return float64(e.Failures) })},
	{"moorfs_events_last_timestamp_seconds", gauge, nil, "when the last notification came, in seconds since 1970; 0: none has", events(func(e s3backend.EventState) float64 {
		if e.Last.IsZero() {
			return 0
		}
		return float64(e.Last.UnixMilli()) / 1000
	})},
	{"moorfs_queue_keys", gauge, []string{"state"}, "files and directories that are not yet in the bucket as they are here: waiting, running, or refused by S3", queueValues},
	{"moorfs_queue_bytes", gauge, nil, "bytes that are still to be sent", one(func(s sample) float64 { return float64(s.cache.DirtyBytes) })},
	{"moorfs_uploaded_bytes_total", counter, nil, "bytes of files that have been sent", one(func(s sample) float64 { return float64(s.cache.Uploaded) })},
	{"moorfs_conflicts", gauge, nil, "conflicts that nobody has decided; moorfs conflicts list shows them", one(func(s sample) float64 { return float64(len(s.cache.Conflicts)) })},
	{"moorfs_cache_bytes", gauge, nil, "bytes of files on the cache's disk", one(func(s sample) float64 { return float64(s.cache.CacheBytes) })},
	{"moorfs_cache_limit_bytes", gauge, nil, "what that may be: --cache-size", one(func(s sample) float64 { return float64(s.cache.CacheLimit) })},
	{"moorfs_clock_skew_seconds", gauge, nil, "how far S3's clock is ahead of this machine's", one(func(s sample) float64 { return s.skew.Seconds() })},
}

func networkValues(s sample, put func(float64, ...string)) {
	for _, state := range []cache.NetworkState{cache.Online, cache.Degraded, cache.Offline} {
		put(boolValue(s.cache.Network.State == state), string(state))
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func requestValues(s sample, put func(float64, ...string)) {
	for _, o := range s.requests.Operations {
		for errno, n := range o.Outcomes {
			outcome := "ok"
			if errno != 0 {
				if outcome = unix.ErrnoName(errno); outcome == "" {
					outcome = strconv.Itoa(int(errno))
				}
			}
			put(float64(n), o.Operation, outcome)
		}
	}
}

func queueValues(s sample, put func(float64, ...string)) {
	put(float64(max(0, s.cache.Queued-s.cache.Running-s.cache.Refused)), "waiting")
	put(float64(s.cache.Running), "running")
	put(float64(s.cache.Refused), "refused")
}

// A collector makes one sample's metrics (prometheus.Collector).
type collector struct{ sample sample }

func (m metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.name, m.help, m.labels, nil) }

// Describe sends what there is.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range metrics {
		out <- m.desc()
	}
}

// Collect sends the values.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range metrics {
		desc := m.desc()
		if m.kind == histogram {
			c.histograms(desc, out)
			continue
		}
		m.values(c.sample, func(v float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, m.kind, v, labels...)
		})
	}
}

func (c collector) histograms(desc *prometheus.Desc, out chan<- prometheus.Metric) {
	for _, o := range c.sample.requests.Operations {
		buckets, count := map[float64]uint64{}, uint64(0)
		for bound, n := range o.Classes {
			buckets[bound.Seconds()] = n
		}
		for _, n := range o.Outcomes {
			count += n
		}
		out <- prometheus.MustNewConstHistogram(desc, count, o.Total.Seconds(), buckets, o.Operation)
	}
}
