package cache

import (
	"fmt"

	"github.com/moorfs/moorfs/cache/journal"
)

// A State says what must still happen at S3 for a file. Presence of bytes is
// no state.
type State = journal.State

// An event is what happens to a file's state.
type event uint8

const (
	openWrite event = iota
	changed
	lastWriterClosed // and nothing changed
	beginFlush
	flushOK
	flushRetry
	flushChanged
	flushRefused
	parked
	remoteChanged
	unlinked
	named // what was made without a name has one
	eventCount
)

var eventNames = [eventCount]string{"OpenWrite", "Changed", "LastWriterClosed", "BeginFlush", "FlushOK", "FlushRetry",
	"FlushChanged", "FlushRefused", "Parked", "RemoteChanged", "Unlinked", "Named"}

func (e event) String() string { return eventNames[e] }

const (
	stay   State = 100 // the state does not change
	cannot State = 101 // the event cannot happen in this state
)

// transitions is the table of DESIGN "State of a file"; columns are Clean,
// Armed, Dirty, Flushing, Redirtied, Conflicted, Refused, Orphan. FlushOK of a
// Flushing file whose writers are still open leads to Clean here and Armed by
// the OpenWrite that setState adds.
var transitions = [eventCount][8]State{
	openWrite:        {journal.Armed, stay, stay, stay, stay, stay, stay, stay},
	changed:          {journal.Dirty, journal.Dirty, stay, journal.Redirtied, stay, stay, journal.Dirty, stay},
	lastWriterClosed: {stay, journal.Clean, stay, stay, stay, stay, stay, stay},
	beginFlush:       {cannot, cannot, journal.Flushing, cannot, cannot, cannot, journal.Flushing, cannot},
	flushOK:          {cannot, cannot, cannot, journal.Clean, journal.Dirty, cannot, cannot, stay},
	flushRetry:       {cannot, cannot, cannot, journal.Dirty, journal.Dirty, cannot, cannot, stay},
	flushChanged:     {cannot, cannot, cannot, journal.Conflicted, journal.Conflicted, cannot, cannot, stay},
	flushRefused:     {cannot, cannot, cannot, journal.Refused, journal.Refused, cannot, cannot, stay},
	parked:           {cannot, cannot, cannot, cannot, cannot, journal.Dirty, cannot, cannot},
	remoteChanged:    {journal.Orphan, journal.Orphan, stay, stay, stay, stay, stay, stay},
	named:            {cannot, cannot, cannot, cannot, cannot, cannot, cannot, journal.Dirty},
	unlinked:         {journal.Orphan, journal.Orphan, journal.Orphan, journal.Orphan, journal.Orphan, journal.Orphan, journal.Orphan, stay},
}

var stateNames = map[State]string{journal.Clean: "clean", journal.Armed: "armed", journal.Dirty: "dirty", journal.Flushing: "flushing",
	journal.Redirtied: "redirtied", journal.Conflicted: "conflicted", journal.Refused: "refused", journal.Orphan: "orphan"}

// setState is the only place that moves a file from one state to another. An
// event that cannot happen is an error: the caller's transaction is given up.
func setState(rec *journal.Inode, e event) error {
	if rec.State < journal.Clean || rec.State > journal.Orphan {
		return fmt.Errorf("inode %q has no state (%d)", rec.Name, rec.State)
	}
	switch next := transitions[e][rec.State-journal.Clean]; next {
	case stay:
	case cannot:
		return fmt.Errorf("inode %q: %v cannot happen in state %s", rec.Name, e, stateNames[rec.State])
	default:
		rec.State = next
	}
	return nil
}
