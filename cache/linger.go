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

type linger struct {
	ino   Ino
	until time.Time
}

func (l *lingering) keep(ino Ino) {
	l.lingerMu.Lock()
	defer l.lingerMu.Unlock()
	l.lingers = append(l.lingers, linger{ino, time.Now().Add(lingerTime)})
}

// due takes at most reapBatch files whose time has come.
func (l *lingering) due() (inos []Ino) {
	l.lingerMu.Lock()
	defer l.lingerMu.Unlock()
	now := time.Now()
	for len(inos) < min(reapBatch, len(l.lingers)) && l.lingers[len(inos)].until.Before(now) {
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
		for inos := c.due(); len(inos) > 0; inos = c.due() {
			if err := c.buryAll(inos); err != nil { // the next mount tries again
				c.cfg.Log.Error("cache: removing unlinked files", "error", err)
			}
		}
	}
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
