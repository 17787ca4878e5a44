package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A syncGroup lets concurrent callers share one sync.
type syncGroup struct {
	turn sync.Mutex // held during a sync; before mu

	mu     sync.Mutex
	round  *syncRound // that has not begun yet, nil if nobody waits for one
	broken error      // of the first sync that failed, until the journal is mended
}

type syncRound struct {
	done chan struct{} // closed when err is set
	err  error
}

// Sync returns when everything that was committed before the call survives
// power loss. Concurrent callers share the work: one that comes while a sync
// runs waits for the next, which covers it. After a failure every further
// Sync fails as well until the journal is mended or opened again, because the
// kernel reports lost writes once and then calls them written.
func (db *DB) Sync() error {
	g := &db.syncs
	g.mu.Lock()
	r := g.round
	if r != nil {
		g.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &syncRound{done: make(chan struct{})}
	g.round = r
	g.mu.Unlock()

	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	g.round = nil // who comes from here on may have committed too late for this one
	r.err = g.broken
	g.mu.Unlock()
	if r.err == nil {
		r.err = db.syncLogs()
	}
	if r.err != nil {
		g.mu.Lock()
		g.broken = r.err
		g.mu.Unlock()
	}
	close(r.done)
	return r.err
}

// syncLogs makes badger's logs durable.
//
// Badger's own Sync covers the log of the memtable in use and not one that was
// rotated out and is still being turned into a table: what was committed there
// would be lost with the power. Hence every *.mem file is synced through a
// descriptor of our own; fsync writes the pages that badger changed through its
// mapping as well.
//
//   - A commit before this call lies in a *.mem file that is listed, or in a
//     table. A log is removed only after its table was written, synced and
//     entered into the synced MANIFEST, so one that is gone by the time it is
//     opened needs nothing but the directory, which is synced last.
//   - Logs are synced in the order of their numbers. Each is replayed up to its
//     first torn record, so that older changes are never missing behind newer
//     ones that this sync wrote.
//   - Values never go to the value log (badgerOptions), so it needs no sync.
func (db *DB) syncLogs() error {
	entries, err := os.ReadDir(db.dir)
	if err != nil {
		return fmt.Errorf("journal: sync: %w", err)
	}
	type log struct {
		number int
		name   string
	}
	var logs []log
	for _, e := range entries {
		stem, isLog := strings.CutSuffix(e.Name(), ".mem")
		if !isLog {
			continue
		}
		n, err := strconv.Atoi(stem)
		if err != nil {
			return fmt.Errorf("journal: sync: unexpected file %q", e.Name())
		}
		logs = append(logs, log{n, e.Name()})
	}
	slices.SortFunc(logs, func(a, b log) int { return a.number - b.number })
	for _, l := range logs {
		if err := syncFile(filepath.Join(db.dir, l.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: sync: %w", err)
		}
	}
	return syncDir(db.dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	if err := syncFile(dir); err != nil {
		return fmt.Errorf("journal: sync: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
