package main

import (
	"context"
	"fmt"
	"strconv"
)

const mib = 1 << 20

// largeWorks are about one large file, from its beginning to its end.
func largeWorks(s sizes) []*work {
	pages := 3 * s.Large // of the mount and of the data file
	read := func(r *run) error { return r.timed("read", r.path(large), mib) }
	once := func(r *run) error {
		_, err := r.exercise("read", r.path(large), mib)
		return err
	}
	size := strconv.FormatInt(s.Large>>20, 10) + " MiB"
	threefold := 3 * s.cache()
	return []*work{
		{name: "write", title: "write " + size, nets: []string{lan, wan}, input: large, changes: true, pages: pages,
			act:     func(r *run) error { return r.timed("write", r.path(large), s.Large, mib) },
			limit:   putFiles,
			targets: []target{{returned, through, asFastAs(0.9)}, {inBucket, limit, 1.15}, {peakRSS, "", mostRSS}}},
		{name: "read-cold", title: "read " + size + ", cold", nets: []string{lan, wan}, fixture: large, cold: true, pages: pages,
			act: read, limit: getLarge,
			targets: []target{{returned, limit, 1.3}, {firstByte, limit, 1.5}, {peakRSS, "", mostRSS}}},
		{name: "read-warm", title: "read " + size + ", in the cache, page cache dropped", fixture: large, cold: true, pages: pages,
			warm: once, act: read,
			targets: []target{{returned, ext4, asFastAs(0.9)}, {requests, "", 0}}},
		{name: "read-cached", title: "read " + size + ", in the page cache", fixture: large, pages: pages,
			warm: once, act: read,
			targets: []target{{returned, ext4, asFastAs(0.8)}, {requests, "", 0}}},
		{name: "three-caches", title: "write and read a file of three times the cache", nets: []string{wan}, fixture: nothing, input: beyond, changes: true,
			pages: pages, options: []string{"--cache-size", strconv.FormatInt(s.cache(), 10)}, once: true,
			act: func(r *run) error {
				if err := r.timed("write", r.path(beyond), threefold, mib); err != nil {
					return err
				}
				written := r.fig.Returned
				err := r.timed("read", r.path(beyond), mib)
				r.fig.Returned += written
				return err
			},
			limit:   putAndGet,
			targets: []target{{inBucket, limit, 1.3}, {peakRSS, "", mostRSS}}},
	}
}

// randomWorks read a large file here and there.
func randomWorks(s sizes) []*work {
	reads := func(block, count, jobs int64) func(*run) error {
		return func(r *run) error { return r.timed("random-read", r.path(large), block, count, jobs) }
	}
	all := func(r *run) error {
		_, err := r.exercise("read", r.path(large), mib)
		return err
	}
	blocks := s.Large / 4096
	big := min(400, s.Large/(256<<10))
	return []*work{
		{name: "random-warm-1", title: "20,000 random reads of 4 KiB, warm, 1 job", fixture: large, pages: 3 * s.Large, warm: all, check: checksItself,
			act: reads(4096, 20_000, 1), targets: []target{{returned, ext4, asFastAs(0.8)}}},
		{name: "random-warm-16", title: "40,000 random reads of 4 KiB, warm, 16 jobs", fixture: large, pages: 3 * s.Large, warm: all, check: checksItself,
			act: reads(4096, 40_000, 16), targets: []target{{returned, ext4, asFastAs(0.8)}}},
		{name: "random-cold-1", title: "200 random reads of 4 KiB, cold, 1 job", nets: []string{wan}, fixture: large, cold: true, check: checksItself,
			act: reads(4096, 200, 1), targets: []target{{returned, bestPeer, 1}}},
		{name: "random-cold-16", title: "4,000 random reads of 4 KiB, cold, 16 jobs", nets: []string{wan}, fixture: large, cold: true, check: checksItself,
			act: reads(4096, 4000, 16), targets: []target{{returned, bestPeer, 1}}},
		{name: "sparse", title: "1 % of the file by random reads of 4 KiB, cold, 16 jobs", nets: []string{wan}, fixture: large, cold: true, check: checksItself,
			act: reads(4096, blocks/100, 16), once: true, targets: []target{{fetched, "", float64(s.Large) / 10 / mib}}},
		{name: "random-256k", title: fmt.Sprintf("%d random reads of 256 KiB, cold, 16 jobs", big), nets: []string{wan}, fixture: large, cold: true, check: checksItself,
			act: reads(256<<10, big, 16), limit: getSome(256<<10, big, 16), targets: []target{{returned, limit, 1.3}}},
	}
}

// getSome reads blocks of the only file, far from each other, by so many
// requests at a time.
func getSome(block, count int64, jobs int) func(context.Context, *bare) error {
	return func(ctx context.Context, b *bare) error {
		blocks := b.names[0].size / block
		pieces := make([]piece, count)
		for i := range pieces {
			const step = 7919 // a prime
			pieces[i] = piece{b.names[0].name, int64(i) * step % blocks * block, block}
		}
		return parallel(ctx, jobs, pieces, b.get)
	}
}

// changeWorks change a file that is there, or write a new one, in small pieces.
func changeWorks(s sizes) []*work {
	over := func(order string) func(*run) error {
		return func(r *run) error { return r.timed("overwrite", r.path(middling), 4096, order) }
	}
	fetch := func(r *run) error {
		_, err := r.exercise("read", r.path(middling), mib)
		return err
	}
	size := strconv.FormatInt(s.middling()>>20, 10) + " MiB"
	change := func(name, title, offset string, rewrites ...string) *work {
		return &work{name: name, title: title, nets: []string{wan}, fixture: large, changes: true, rewrites: rewrites,
			act:     func(r *run) error { return r.timed("change", r.path(large), offset) },
			targets: []target{{inBucket, "", 1}, {sent, "", float64(partSize) / mib}}}
	}
	return []*work{
		{name: "overwrite-seq", title: "write " + size + " by 4 KiB into a cached file, in order", fixture: middling, changes: true,
			rewrites: []string{middling}, warm: fetch, act: over("in order"), targets: []target{{returned, ext4, asFastAs(0.5)}}},
		{name: "overwrite-random", title: "write " + size + " by 4 KiB into a cached file, at random", fixture: middling, changes: true,
			rewrites: []string{middling}, warm: fetch, act: over("at random"), targets: []target{{returned, ext4, asFastAs(0.5)}}},
		{name: "write-4k", title: "write " + size + " by 4 KiB into a new file", changes: true,
			act:     func(r *run) error { return r.timed("write", r.path(middling), s.middling(), 4096) },
			targets: []target{{returned, through, asFastAs(0.9)}}},
		change("change", "change 4 KiB in the middle of the large object", strconv.FormatInt(s.Large/2, 10), large),
		change("append", "append 4 KiB to the large object", "end"),
	}
}
