package cache

import (
	"sync"
	"time"
)

const (
	// lingerTime is how long a file that has lost its name stays for who had
	// looked the name up just before: the kernel opens what it has found, and
	// on a local disk that always succeeds.
	lingerTime = 2 * time.Second
	lingerLook = 500 * time.Millisecond
)

// lingering are the files that have lost their names lately, the first to go
// first. What is left of them at the end of the process the next one buries.
type lingering struct {
	lingerMu sync.Mutex // a leaf
	lingers  []linger
}

// condemned are the data files that nothing refers to any more. They go when
// that is durable: a power cut that brings a name back brings its bytes.
type condemned struct {
	condemnedMu sync.Mutex // a leaf
	condemns    []Ino
}

func (d *condemned) condemn(inos []Ino) {
	d.condemnedMu.Lock()
	defer d.condemnedMu.Unlock()
	d.condemns = append(d.condemns, inos...)
}

// removeCondemned removes the data files that wait for it, and reports whether
// there were any.
func (c *Cache) removeCondemned() bool {
	c.condemnedMu.Lock()
	inos := c.condemns
	c.condemns = nil
	c.condemnedMu.Unlock()
	if len(inos) == 0 {
		return false
	}
	err := c.syncOrder() // what took the place of these
	if err == nil {
		err = c.syncJournal()
	}
	if err != nil {
		c.condemn(inos)
		if !c.disk.failed(err) {
			c.cfg.Log.Error("cache: data files that nothing refers to stay", "files", len(inos), "error", err)
		}
		return false
	}
	for _, ino := range inos {
		c.removeData(ino)
	}
	return true
}

type linger struct {
	ino   Ino
	until time.Time
}

func (l *lingering) keep(ino Ino) {
	l.lingerMu.Lock()
	defer l.lingerMu.Unlock()
	l.lingers = append(l.lingers, linger{ino, time.Now().Add(lingerTime)})
}

// take takes at most reapBatch files whose time has come by then.
func (l *lingering) take(then time.Time) (inos []Ino) {
	l.lingerMu.Lock()
	defer l.lingerMu.Unlock()
	for len(inos) < min(reapBatch, len(l.lingers)) && l.lingers[len(inos)].until.Before(then) {
		inos = append(inos, l.lingers[len(inos)].ino)
	}
	if l.lingers = l.lingers[len(inos):]; len(l.lingers) == 0 {
		l.lingers = nil
	}
	return inos
}

func (c *Cache) lingerLoop() {
	tick := time.NewTicker(lingerLook)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		for c.buryBefore(time.Now()) {
		}
		c.removeCondemned()
	}
}

// buryLingering gives up the longest lingering files before their time,
// because their space is needed, and reports whether there were any.
func (c *Cache) buryLingering() bool { return c.buryBefore(time.Now().Add(lingerTime)) }

// buryBefore buries some of the files whose time has come by then, and reports
// whether there were any.
func (c *Cache) buryBefore(then time.Time) bool {
	inos := c.take(then)
	if len(inos) == 0 {
		return false
	}
	if err := c.buryAll(inos); err != nil { // the next mount tries again
		c.cfg.Log.Error("cache: removing unlinked files", "error", err)
	}
	return true
}

// buryAll removes files without a name, all but those that are open: they go
// with their last close.
func (c *Cache) buryAll(inos []Ino) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update("buried", func(ch *change) error {
		for _, ino := range inos {
			if c.files[ino] != nil {
				continue
			}
			if err := ch.bury(ino); err != nil {
				return err
			}
		}
		return nil
	})
}
